//! What a partner answers.

use std::time::Duration;

use serde_json::json;

use crate::support::partner::Behaviour;
use crate::{ground, shown, world};

const ANSWER: &str = "what-a-vendor-says-5d1f0c";
/// A moment in which nothing must happen.
const QUIET: Duration = Duration::from_millis(1500);

fn says(code: u16, words: &str) -> Behaviour {
    let headers = vec![("x-request-id".to_owned(), words.to_owned())];
    Behaviour::Status(code, headers, json!({"error": words}).to_string().into_bytes())
}

/// cert-manager: the whole body of an answer, of any length, was written into the status of the Issuer.
/// <https://github.com/cert-manager/cert-manager/issues/8756>, <https://github.com/cert-manager/cert-manager/issues/9206>
#[tokio::test]
async fn cert_manager_8756_and_9206_a_response_body_never_reaches_status() {
    let world = world("body").await;
    world.create_partner(json!({})).await;
    for (name, code, reason) in [
        ("refused", 401, "CredentialRejected"),
        ("lost", 404, "UnexpectedResponse"),
        ("down", 500, "PartnerUnavailable"),
    ] {
        world.sim.set_region_behaviour("eu1", Some(says(code, ANSWER))).unwrap();
        world.connect(name, "eu1", "the-key").await;
        world.reaches(name, reason).await;
        assert!(!shown(&world, name).await.contains(ANSWER), "{name}");
    }
    let events = ["get", "events.events.k8s.io", "-n", &world.namespace, "-o", "json"];
    let events = world.plane.kubectl(&events).await.unwrap();
    assert!(!events.contains(ANSWER), "an Event");
    assert!(!ground().await.1.log().contains(ANSWER), "the log");
}

/// cert-manager: the id of the failed request stood in the condition, so each failure changed the status, which was an event,
/// which was a retry at once. <https://github.com/cert-manager/cert-manager/issues/7261>
#[tokio::test]
async fn cert_manager_7261_a_changing_answer_causes_no_hot_retry() {
    let world = world("request-id").await;
    world.create_partner(json!({})).await;
    world.sim.set_region_behaviour("eu1", Some(says(404, "request-1"))).unwrap();
    world.connect("it", "eu1", "the-key").await;
    let first = world.reaches("it", "UnexpectedResponse").await;
    tokio::time::sleep(QUIET).await;
    world.cost("it", 1, 1).await;
    world.sim.set_region_behaviour("eu1", Some(says(404, "request-2"))).unwrap();
    world.ask("it", "now").await;
    let asked = |it: &partner_integration_operator::api::PartnerIntegration| {
        it.status.as_ref().is_some_and(|status| status.last_handled_check_request.is_some())
    };
    let (second, _) = world.until("it", "checked again", asked).await;
    assert_eq!(second.status.unwrap().conditions, first.status.unwrap().conditions);
    tokio::time::sleep(QUIET).await;
    world.cost("it", 2, 2).await;
}
