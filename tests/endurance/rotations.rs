//! Keys that change, one Secret after the other.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::PATIENCE;
use crate::support::wait_for;
use crate::world::{ALLOW, World, own_operator, own_plane};

/// As many as the issue asks for.
const ROTATIONS: usize = 200;

#[tokio::test]
async fn two_hundred_rotations_in_a_row_are_each_seen_by_the_partner_with_the_new_key() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = &World::on(&plane, "rotations", &["eu1"]).await;
    let (old, new) = (|number: usize| format!("old-{number}"), |number: usize| format!("new-{number}"));
    for number in 0..ROTATIONS {
        world.sim.accept("eu1", &old(number));
        world.sim.accept("eu1", &new(number));
    }
    world.create_partner(json!({})).await;
    let connect = async |number| world.connect(&format!("it-{number}"), "eu1", &old(number)).await;
    stream::iter(0..ROTATIONS).map(connect).buffer_unordered(16).collect::<()>().await;
    for number in 0..ROTATIONS {
        world.reaches(&format!("it-{number}"), "Connected").await;
    }
    let mut took = Vec::new();
    for number in 0..ROTATIONS {
        let began = Instant::now();
        world.put_secret(&format!("it-{number}"), new(number).as_bytes()).await;
        let seen =
            wait_for("the new key", PATIENCE, async || world.sim.requests_with(&new(number)).pop()).await.unwrap();
        took.push(seen.at - began);
    }
    took.sort();
    println!(
        "{ROTATIONS} rotations, from the write of the Secret to the request with the new key: median {:.0?}, worst {:.0?}",
        took[ROTATIONS / 2],
        took[ROTATIONS - 1]
    );
    let proved = async |number: usize| {
        let (name, secrets) = (format!("it-{number}"), world.secrets());
        let version = secrets.get(&name).await.unwrap().metadata.resource_version;
        world
            .until(&name, "proved with the new key", |it| {
                let verified = it.status.as_ref().and_then(|status| status.verified.as_ref());
                verified.is_some_and(|verified| Some(&verified.secret_resource_version) == version.as_ref())
            })
            .await;
    };
    for number in 0..ROTATIONS {
        proved(number).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..ROTATIONS {
        assert_eq!((world.checks_with(&old(number)), world.checks_with(&new(number))), (1, 1), "it-{number}");
    }
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
