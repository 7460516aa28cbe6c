//! No key and nothing that a partner answers is anywhere but in the Secret: not in any object, not in the log at trace
//! level, not on the admin address.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use futures::future::join_all;
use serde_json::json;

use crate::support::partner::Behaviour;
use crate::world::{World, cluster, world};

/// Distinctive, and long enough that three base64 alignments of its middle are distinctive, too.
const KEY: &str = "CanaryKey-7f3a9c51e2d84b60-do-not-leak-8h2k5n1q";
const ANSWER: &str = "CanaryAnswer-b81d6e07-what-a-partner-says-5c2f";
/// Headers cannot carry it, so it is never sent; it is a key all the same.
const BAD_KEY: &str = "CanaryBad-91c4e7aa\nsecond-line-of-the-key-6d0b";

/// Everything that must not be found: the texts, their base64 wherever it may begin, their bytes in hexadecimal, and as
/// Rust prints bytes for debugging.
fn canaries() -> Vec<String> {
    let mut found = Vec::new();
    for text in [KEY, ANSWER, &BAD_KEY[..18], &BAD_KEY[19..]] {
        found.push(text.to_owned());
        found.push(text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")));
        found.push(text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
        for from in 0..3 {
            let middle = &text.as_bytes()[from..];
            let whole = middle.len() / 3 * 3;
            found.push(STANDARD.encode(&middle[..whole]));
            found.push(URL_SAFE.encode(&middle[..whole]));
        }
    }
    found
}

pub fn search(place: &str, text: &str) {
    for canary in canaries() {
        if let Some(at) = text.find(&canary) {
            let from = text.floor_char_boundary(at.saturating_sub(200));
            panic!("{canary} is in {place}: …{}", &text[from..at + canary.len()]);
        }
    }
}

/// Checks that end in every way, with answers that hold the key and a text of the partner's.
pub async fn scenes(world: &World<'_>) {
    let status = |code: u16| {
        let headers = vec![("x-says".to_owned(), ANSWER.to_owned()), ("retry-after".to_owned(), ANSWER.to_owned())];
        Behaviour::Status(code, headers, format!(r#"{{"valid": true, "says": "{ANSWER} {KEY}"}}"#).into_bytes())
    };
    let location = format!("https://{KEY}.example/{ANSWER}");
    let table = [
        ("echo", Behaviour::EchoKey(200), "Connected"),
        ("echo-refused", Behaviour::EchoKey(401), "CredentialRejected"),
        ("echo-down", Behaviour::EchoKey(502), "PartnerUnavailable"),
        ("echo-lost", Behaviour::EchoKey(404), "UnexpectedResponse"),
        ("says", status(200), "Connected"),
        ("says-throttled", status(429), "RateLimited"),
        ("says-down", status(503), "PartnerUnavailable"),
        ("says-lost", status(418), "UnexpectedResponse"),
        ("moved", Behaviour::Redirect(302, location), "RedirectRefused"),
        ("babbles", Behaviour::MalformedHead, "ConnectFailed"),
        ("hangs", Behaviour::HangForever, "Timeout"),
        ("cut", Behaviour::CloseMidBody, "ConnectFailed"),
    ];
    join_all(table.iter().map(async |(region, behaviour, reason)| {
        world.sim.accept(region, KEY);
        world.sim.set_region_behaviour(region, Some(behaviour.clone())).unwrap();
        world.connect(region, region, KEY).await;
        world.reaches(region, reason).await;
    }))
    .await;
    world.put_secret("bad", BAD_KEY.as_bytes()).await;
    world.configure("bad", "echo", "bad").await;
    world.reaches("bad", "InvalidCredential").await;
    assert!(world.checks_with(KEY) >= 12, "the key was sent, so it could have leaked");
}

/// The regions of [`scenes`].
pub const REGIONS: [&str; 12] = [
    "echo",
    "echo-refused",
    "echo-down",
    "echo-lost",
    "says",
    "says-throttled",
    "says-down",
    "says-lost",
    "moved",
    "babbles",
    "hangs",
    "cut",
];

/// The Partner of [`scenes`].
pub async fn partner(world: &World<'_>) {
    let check = json!({"timeout": "2s", "success": {"expression": "body.valid == true"}});
    let authentication = json!({"headers": [{"name": "X-Api-Key"}]});
    world.create_partner(json!({"spec": {"check": check, "authentication": authentication}})).await;
}

#[tokio::test]
async fn no_key_and_no_answer_is_in_any_object_log_line_or_admin_page() {
    let (plane, operator) = cluster().await;
    let world = &world("canary", &REGIONS).await;
    partner(world).await;
    scenes(world).await;
    let basic = World::on(plane, "canary-basic", &["eu1"]).await;
    basic.sim.accept("eu1", KEY);
    basic.create_partner(json!({"spec": {"authentication": {"headers": null, "basic": {"username": "api"}}}})).await;
    basic.connect("it", "eu1", KEY).await;
    basic.reaches("it", "Connected").await;

    let kinds = plane.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await.unwrap();
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    for kind in ["events.events.k8s.io", "partners.integrations.kognitiv.com", "leases.coordination.k8s.io"] {
        assert!(kinds.contains(&kind), "{kind} is not searched: {kinds:?}");
    }
    // The Partner itself names no key; the API server's own audit log is not the operator's.
    let objects = plane.kubectl(&["get", &kinds.join(","), "-A", "-o", "json", "--show-managed-fields"]).await.unwrap();
    assert!(objects.contains(&world.namespace) && objects.contains("CredentialRejected"));
    search("an object", &objects);
    let log = operator.log();
    assert!(log.contains(&world.namespace), "the log is of this operator");
    search("the log", &log);
    for path in ["/livez", "/readyz", "/metrics", "/"] {
        search(path, &operator.admin(path).await.unwrap().1);
    }
    // The search itself: it finds what is there.
    let secret = plane.kubectl(&["get", "secret", "echo", "-n", &world.namespace, "-o", "json"]).await.unwrap();
    assert!(canaries().iter().any(|canary| secret.contains(canary)), "the search finds nothing at all");
}
