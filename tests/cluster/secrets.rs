//! A Secret that is created, changed, deleted or mended is seen within two seconds.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::world;

const SEEN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_secret_created_changed_deleted_and_mended_is_each_seen_within_two_seconds() {
    let world = world("secrets", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.sim.accept("eu1", "rotated");
    world.create_partner(json!({})).await;
    world.configure("it", "eu1", "key").await;
    world.reaches("it", "SecretNotFound").await;
    let steps: [(&str, Option<&[u8]>, &str); 6] = [
        ("created", Some(b"good"), "Connected"),
        ("changed to a wrong one", Some(b"wrong"), "CredentialRejected"),
        ("mended", Some(b"good"), "Connected"),
        ("deleted", None, "SecretNotFound"),
        ("created again", Some(b"rotated"), "Connected"),
        ("changed to what cannot be sent", Some(b"two\nlines"), "InvalidCredential"),
    ];
    for (what, key, reason) in steps {
        let began = Instant::now();
        match key {
            Some(key) => drop(world.put_secret("key", key).await),
            None => world.delete_secret("key").await,
        }
        world.reaches("it", reason).await;
        let took = began.elapsed();
        println!("{what}: {reason} after {took:.0?}");
        assert!(took < SEEN, "{what}: {took:?}");
    }
    assert_eq!(world.checks(), 4, "one for each key that can be sent");
}

#[tokio::test]
async fn a_rotated_key_is_proved_without_a_moment_of_disconnection() {
    let world = world("rotation", &["eu1"]).await;
    world.sim.accept("eu1", "old");
    world.sim.accept("eu1", "new");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "old").await;
    let before = world.reaches("it", "Connected").await.status.unwrap().verified.unwrap();
    world.put_secret("it", b"new").await;
    let (found, took) = world
        .until("it", "proved again", |it| {
            let verified = it.status.as_ref().and_then(|status| status.verified.as_ref());
            assert!(it.status.as_ref().is_some_and(|status| status.connected), "{it:#?}");
            verified.is_some_and(|verified| verified.secret_resource_version != before.secret_resource_version)
        })
        .await;
    println!("rotated: proved after {took:.0?}");
    assert!(took < SEEN, "{took:?}");
    let after = found.status.unwrap().verified.unwrap();
    assert_eq!((after.secret_uid, &after.digest), (before.secret_uid, &before.digest));
    assert_eq!((world.checks_with("old"), world.checks_with("new")), (1, 1));
    world.cost("it", 2, 2).await;
}

#[tokio::test]
async fn one_secret_that_many_integrations_name_wakes_them_all_and_another_wakes_none() {
    let world = world("shared-key", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("key", b"wrong").await;
    world.put_secret("another", b"unrelated").await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        world.configure(name, "eu1", "key").await;
    }
    for name in names {
        world.reaches(name, "CredentialRejected").await;
    }
    world.put_secret("another", b"still unrelated").await;
    world.put_secret("key", b"good").await;
    for name in names {
        world.reaches(name, "Connected").await;
    }
    assert_eq!((world.checks_with("wrong"), world.checks_with("good")), (5, 5));
    assert_eq!(world.checks_with("unrelated") + world.checks_with("still unrelated"), 0);
}
