//! Keys that no header may carry: nothing is sent, and a mended Secret is checked at once.

use futures::future::join_all;
use serde_json::json;

use crate::world::world;

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_invalid_nothing_is_sent_and_a_mended_one_connects() {
    let world = &world("keys", &["eu1"]).await;
    world.sim.accept("eu1", "mended");
    world.create_partner(json!({})).await;
    let long = vec![b'k'; 4097];
    let table: [(&str, &[u8]); 10] = [
        ("inner-newline", b"first\nsecond"),
        ("inner-carriage-return", b"first\rsecond"),
        ("two-newlines-behind", b"key\n\n"),
        ("nul", b"first\0second"),
        ("non-ascii", "schl\u{fc}ssel".as_bytes()),
        ("latin-1", b"schl\xfcssel"),
        ("empty", b""),
        ("only-a-newline", b"\n"),
        ("space-in-front", b" key"),
        ("too-long", &long),
    ];
    join_all(table.iter().map(async |(name, key)| {
        world.put_secret(name, key).await;
        world.configure(name, "eu1", name).await;
        world.reaches(name, "InvalidCredential").await;
    }))
    .await;
    assert_eq!(world.checks(), 0, "{:?}", world.sim.requests());
    join_all(table.iter().map(async |(name, _)| {
        world.put_secret(name, b"mended").await;
        world.reaches(name, "Connected").await;
    }))
    .await;
    assert_eq!(world.checks(), table.len());
}

#[tokio::test]
async fn a_key_that_turns_bad_ends_the_connection_at_once() {
    let world = world("turns-bad", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({"spec": {"check": {"failureThreshold": 10}}})).await;
    world.connect("it", "eu1", "good").await;
    world.reaches("it", "Connected").await;
    world.put_secret("it", b"bad\nkey").await;
    world.reaches("it", "InvalidCredential").await;
    assert_eq!(world.checks(), 1);
}

#[tokio::test]
async fn the_newline_that_echo_leaves_is_taken_off_and_4096_bytes_are_sent() {
    let world = world("sound", &["eu1"]).await;
    let longest = "k".repeat(4096);
    world.sim.accept("eu1", "with-newline");
    world.sim.accept("eu1", &longest);
    world.create_partner(json!({})).await;
    world.connect("newline", "eu1", "with-newline\n").await;
    world.connect("longest", "eu1", &longest).await;
    world.reaches("newline", "Connected").await;
    world.reaches("longest", "Connected").await;
    assert_eq!((world.checks_with("with-newline"), world.checks_with(&longest)), (1, 1));
}

#[tokio::test]
async fn each_form_of_authentication_carries_the_key_as_the_partner_wants_it() {
    let forms = [
        (json!({"headers": null, "bearer": {}}), "authorization", "Bearer the-key"),
        (json!({"headers": null, "basic": {"username": "api"}}), "authorization", "Basic YXBpOnRoZS1rZXk="),
        (json!({"headers": [{"name": "Authorization", "prefix": "GenieKey "}]}), "authorization", "GenieKey the-key"),
        (json!({"headers": [{"name": "DD-API-KEY"}]}), "dd-api-key", "the-key"),
    ];
    join_all(forms.into_iter().map(async |(authentication, header, value)| {
        let world = world("form", &["eu1"]).await;
        world.sim.accept("eu1", "the-key");
        world.create_partner(json!({"spec": {"authentication": authentication}})).await;
        world.connect("it", "eu1", "the-key").await;
        world.reaches("it", "Connected").await;
        let request = &world.sim.requests()[0];
        assert_eq!(request.header(header), Some(value));
        let agent = concat!("partner-integration-operator/", env!("CARGO_PKG_VERSION"));
        assert_eq!((request.header("user-agent"), &*request.path), (Some(agent), "/eu1/v1/validate"));
    }))
    .await;
}
