//! Each reason of section 3, reached by a real server behaving so, and left again when it is mended.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::partner::Behaviour;
use crate::world::{World, condition, world};

/// A region for each way to answer: what the partner does there, the reason, what the message says.
fn answers() -> Vec<(&'static str, Behaviour, &'static str, &'static str)> {
    let code = |code| Behaviour::Status(code, vec![], vec![]);
    vec![
        ("good", Behaviour::Normal, "Connected", "Loyalty Platform is connected in region good."),
        ("hangs", Behaviour::HangForever, "Timeout", "did not answer in time"),
        ("throttles", Behaviour::Throttle429(Some("1".to_owned())), "RateLimited", "asks for fewer requests"),
        ("down", Behaviour::Down503(None), "PartnerUnavailable", "is not available"),
        ("cut", Behaviour::CloseMidHead, "ConnectFailed", "cannot be reached, or broke the connection off"),
        ("babbles", Behaviour::MalformedHead, "ConnectFailed", "cannot be reached, or broke the connection off"),
        ("refuses", code(401), "CredentialRejected", "refused the key; put a valid one into the Secret. (HTTP 401)"),
        ("forbids", code(403), "CredentialRejected", "refused the key; put a valid one into the Secret. (HTTP 403)"),
        ("moved", Behaviour::Redirect(308, "https://localhost/".into()), "RedirectRefused", "(HTTP 308)"),
        ("lost", code(404), "UnexpectedResponse", "(HTTP 404)"),
    ]
}

/// Reasons after which nothing is tried for ten minutes: somebody has to ask.
const NEED_A_PERSON: [&str; 4] = ["CredentialRejected", "RedirectRefused", "UnexpectedResponse", "TLSFailed"];

#[tokio::test]
async fn every_answer_of_a_partner_has_its_reason_and_is_forgotten_once_the_partner_is_mended() {
    let table = answers();
    let regions: Vec<&str> = table.iter().map(|(region, ..)| *region).collect();
    let world = &world("answers", &regions).await;
    world.create_partner(json!({"spec": {"check": {"timeout": "2s"}}})).await;
    join_all(table.iter().map(async |(region, behaviour, reason, message)| {
        world.sim.accept(region, "the-key");
        world.sim.set_region_behaviour(region, Some(behaviour.clone())).unwrap();
        world.connect(region, region, "the-key").await;
        let found = world.reaches(region, reason).await;
        let said = &condition(&found, "Connected").unwrap().message;
        assert!(said.contains(message), "{region}: {said}");
        let status = found.status.unwrap();
        assert_eq!(status.endpoint, Some(world.sim.endpoint_by_address(region)));
        assert_eq!(status.partner_name.as_deref(), Some("Loyalty Platform"));
        assert_eq!(status.failing.is_some(), *reason != "Connected");

        world.sim.set_region_behaviour(region, None).unwrap();
        if NEED_A_PERSON.contains(reason) {
            world.ask(region, "mended").await;
        }
        let mended = world.reaches(region, "Connected").await.status.unwrap();
        assert_eq!(mended.failing, None, "{region}");
        let handled = NEED_A_PERSON.contains(reason).then(|| "mended".to_owned());
        assert_eq!(mended.last_handled_check_request, handled, "{region}");
    }))
    .await;
}

/// A partner of its own, because the trouble comes before there is a request.
async fn trouble(behaviour: Behaviour, reason: &str) {
    let world = world("trouble", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.sim.set_behaviour(behaviour.clone()).await.unwrap();
    world.create_partner(json!({"spec": {"check": {"timeout": "2s"}}})).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", reason).await;
    assert_eq!(world.checks(), 0, "{behaviour:?}: a key was sent");
    world.sim.set_behaviour(Behaviour::Normal).await.unwrap();
    if NEED_A_PERSON.contains(&reason) {
        world.ask("it", "mended").await;
    }
    world.reaches("it", "Connected").await;
}

#[tokio::test]
async fn trouble_before_there_is_a_request_has_its_reason_too() {
    tokio::join!(
        trouble(Behaviour::RefuseConnections, "ConnectFailed"),
        trouble(Behaviour::ResetOnAccept, "ConnectFailed"),
        trouble(Behaviour::HangBeforeTls, "Timeout"),
        trouble(Behaviour::OtherAuthority, "TLSFailed"),
        trouble(Behaviour::Expired, "TLSFailed"),
        trouble(Behaviour::WrongName, "TLSFailed"),
        trouble(Behaviour::OldTls, "TLSFailed"),
    );
}

#[tokio::test]
async fn a_host_without_an_address_is_a_dns_failure_until_the_endpoint_is_corrected() {
    let world = world("dns", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({"spec": {"regions": [{"name": "eu1", "endpoint": "https://nowhere.invalid"}]}})).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "DNSFailure").await;
    world.edit_partner(json!({"spec": {"regions": [{"name": "eu1", "endpoint": world.sim.endpoint("eu1")}]}})).await;
    let status = world.reaches("it", "Connected").await.status.unwrap();
    assert_eq!(status.endpoint, Some(world.sim.endpoint("eu1")));
}

#[tokio::test]
async fn what_is_only_added_is_available_and_becomes_enabled_once_region_and_key_are_given() {
    let world = world("added", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.add("it").await;
    let found = world.reaches("it", "NotConfigured").await;
    assert_eq!(condition(&found, "Ready").unwrap().message, "Loyalty Platform has been added.");
    assert_eq!(found.status.unwrap().partner_name.as_deref(), Some("Loyalty Platform"));
    world.put_secret("key", b"the-key").await;
    world.edit("it", json!({"spec": {"region": "eu1", "apiKeySecretRef": {"name": "key"}}})).await;
    world.reaches("it", "Connected").await;
    world.edit("it", json!({"spec": {"region": null, "apiKeySecretRef": null}})).await;
    let status = world.reaches("it", "NotConfigured").await.status.unwrap();
    assert_eq!((status.endpoint, status.failing), (None, None), "nothing is left over");
}

#[tokio::test]
async fn a_suspended_integration_is_available_and_is_connected_again_after_it() {
    let world = world("suspended", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.put_secret("key", b"the-key").await;
    let spec =
        json!({"partner": world.namespace, "region": "eu1", "apiKeySecretRef": {"name": "key"}, "suspend": true});
    world.create(json!({"metadata": {"name": "it"}, "spec": spec})).await;
    world.reaches("it", "Suspended").await;
    assert_eq!(world.checks(), 0);
    world.edit("it", json!({"spec": {"suspend": false}})).await;
    world.reaches("it", "Connected").await;
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    world.reaches("it", "Suspended").await;
    assert_eq!(world.checks(), 1);
}

#[tokio::test]
async fn a_partner_that_the_catalogue_lacks_is_waited_for_whether_configured_or_only_added() {
    let world = world("absent", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.add("added").await;
    world.connect("configured", "eu1", "the-key").await;
    world.reaches("added", "PartnerNotFound").await;
    let found = world.reaches("configured", "PartnerNotFound").await;
    let said = &condition(&found, "Connected").unwrap().message;
    assert_eq!(*said, format!("The catalogue has no partner {}; see kubectl get partners.", world.namespace));
    world.create_partner(json!({})).await;
    world.reaches("added", "NotConfigured").await;
    world.reaches("configured", "Connected").await;
}

#[tokio::test]
async fn a_secret_that_lacks_the_key_is_waited_for() {
    let world = world("keyless", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.put_secret("key", b"the-key").await;
    let reference = json!({"name": "key", "key": "another"});
    let spec = json!({"partner": world.namespace, "region": "eu1", "apiKeySecretRef": reference});
    world.create(json!({"metadata": {"name": "it"}, "spec": spec})).await;
    world.reaches("it", "SecretKeyNotFound").await;
    assert_eq!(world.checks(), 0);
    world.edit("it", json!({"spec": {"apiKeySecretRef": {"key": "api-key"}}})).await;
    world.reaches("it", "Connected").await;
}

/// A catalogue entry with this mistake, and the change that mends it.
async fn mistake(patch: Value, mend: Value, reason: &str) {
    let world = world("mistake", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(patch).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", reason).await;
    assert_eq!(world.checks(), 0, "{reason}");
    let mend = serde_json::from_str(&mend.to_string().replace("ENDPOINT", &world.sim.endpoint_by_address("eu1")));
    let mend: Value = mend.unwrap();
    world
        .edit_partner(json!({"spec": mend.get("spec").cloned().unwrap_or(json!({"trustBundle": world.sim.ca_pem()}))}))
        .await;
    world.reaches("it", "Connected").await;
}

#[tokio::test]
async fn a_mistake_in_the_catalogue_has_its_reason_and_is_forgotten_once_it_is_mended() {
    let region = |name: &str, endpoint: &str| json!({"spec": {"regions": [{"name": name, "endpoint": endpoint}]}});
    let good = region("eu1", "ENDPOINT");
    let expression = |text: Value| json!({"spec": {"check": {"success": {"expression": text}}}});
    let rejected = |text: Value| json!({"spec": {"check": {"rejected": {"expression": text}}}});
    tokio::join!(
        mistake(expression(json!("body.valid ==")), expression(json!("body.valid == true")), "PartnerInvalid"),
        mistake(rejected(json!("nonsense(")), rejected(Value::Null), "PartnerInvalid"),
        mistake(json!({"spec": {"trustBundle": "no certificate"}}), json!({}), "PartnerInvalid"),
        mistake(region("us1", "https://example.com"), good.clone(), "RegionNotFound"),
        mistake(region("eu1", "https://10.0.0.1"), good.clone(), "EndpointForbidden"),
        mistake(region("eu1", "https://0xa9fea9fe/latest"), good.clone(), "EndpointForbidden"),
        mistake(region("eu1", "https://[::1]:8443"), good, "EndpointForbidden"),
    );
}

#[tokio::test]
async fn a_connected_integration_survives_failures_below_the_threshold_and_recovers() {
    let world = world("threshold", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({"spec": {"check": {"failureThreshold": 3}}})).await;
    world.connect("it", "eu1", "the-key").await;
    let proved = world.reaches("it", "Connected").await.status.unwrap().verified;
    world.sim.set_region_behaviour("eu1", Some(Behaviour::Down503(None))).unwrap();
    for count in 1..=2 {
        world.ask("it", &count.to_string()).await;
        let (found, _) = world.until("it", "counted", |it| failures(it) == count).await;
        crate::world::assert_row(&found, "CheckFailing");
        let said = &condition(&found, "Connected").unwrap().message;
        assert!(said.ends_with("(PartnerUnavailable)"), "{said}");
        assert_eq!(found.status.unwrap().verified, proved, "what was proved stays");
    }
    world.sim.set_region_behaviour("eu1", None).unwrap();
    world.ask("it", "mended").await;
    let status = world.reaches("it", "Connected").await.status.unwrap();
    assert_eq!((status.failing, status.verified), (None, proved.clone()), "proved since the first time");

    world.sim.set_region_behaviour("eu1", Some(Behaviour::Down503(None))).unwrap();
    for count in 1..=3 {
        world.ask("it", &format!("again {count}")).await;
        world.until("it", "counted", |it| failures(it) == count).await;
    }
    world.reaches("it", "PartnerUnavailable").await;
    world.sim.set_region_behaviour("eu1", None).unwrap();
    // Nobody asks: what is transient is tried again by itself.
    let status = world.reaches("it", "Connected").await.status.unwrap();
    assert_ne!(status.verified, proved, "a new connection");
}

fn failures(integration: &partner_integration_operator::api::PartnerIntegration) -> u32 {
    integration.status.as_ref().and_then(|status| status.failing.as_ref()).map_or(0, |failing| failing.count)
}

#[tokio::test]
async fn kubectl_shows_a_row_for_each_phase_and_wide_shows_why() {
    let world = world("columns", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.add("a-added").await;
    world.connect("b-connected", "eu1", "the-key").await;
    world.connect("c-refused", "eu1", "another-key").await;
    for (name, reason) in
        [("a-added", "NotConfigured"), ("b-connected", "Connected"), ("c-refused", "CredentialRejected")]
    {
        world.reaches(name, reason).await;
    }
    let words = |table: String| -> Vec<Vec<String>> {
        table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let rows = words(world.plane.kubectl(&["get", "pi", "-n", &world.namespace]).await.unwrap());
    assert_eq!(rows[0].join(" "), "NAME PARTNER NAME STATUS CURRENTLY CONNECTED REGION AGE");
    assert_eq!(rows[1][..5].join(" "), "a-added Loyalty Platform Available false");
    assert_eq!(rows[2][..6].join(" "), "b-connected Loyalty Platform Enabled true eu1");
    assert_eq!(rows[3][..6].join(" "), "c-refused Loyalty Platform Failed false eu1");
    let wide = world.plane.kubectl(&["get", "integrations", "-n", &world.namespace, "-o", "wide"]).await.unwrap();
    let rows: Vec<&str> = wide.lines().collect();
    assert!(rows[0].ends_with("ENDPOINT") && rows[0].contains("REASON") && rows[0].contains("MESSAGE"), "{wide}");
    assert!(
        rows[1].contains("NotConfigured") && rows[1].contains("Set spec.region and spec.apiKeySecretRef"),
        "{wide}"
    );
    assert!(
        rows[2].contains("Connected") && rows[2].trim_end().ends_with(&world.sim.endpoint_by_address("eu1")),
        "{wide}"
    );
    assert!(rows[3].contains("CredentialRejected") && rows[3].contains("(HTTP 403)"), "{wide}");
    let selector = ["get", "pi", "-n", &world.namespace, "--field-selector", "status.phase=Failed", "-o", "name"];
    let failed = world.plane.kubectl(&selector).await.unwrap();
    assert_eq!(failed.trim(), "partnerintegration.integrations.kognitiv.com/c-refused");
}

#[tokio::test]
async fn the_time_of_a_transition_moves_only_when_the_status_flips() {
    let world = world("flips", &["eu1"]).await;
    world.create_partner(json!({})).await;
    world.configure("it", "eu1", "key").await;
    let first = world.reaches("it", "SecretNotFound").await;
    // Whole seconds are written.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.put_secret("key", b"wrong").await;
    let second = world.reaches("it", "CredentialRejected").await;
    let since = |it, kind| condition(it, kind).unwrap().last_transition_time.clone();
    assert_eq!(since(&first, "Connected"), since(&second, "Connected"));
    assert_eq!(since(&first, "Ready"), since(&second, "Ready"));
    world.sim.accept("eu1", "right");
    world.put_secret("key", b"right").await;
    let third = world.reaches("it", "Connected").await;
    assert!(since(&third, "Connected").0 > since(&second, "Connected").0);
}

#[tokio::test]
async fn two_integrations_of_two_namespaces_share_a_partner_and_nothing_else() {
    let here = world("here", &["eu1"]).await;
    let there = World::on(here.plane, "there", &["eu1"]).await;
    here.sim.accept("eu1", "key-of-here");
    here.create_partner(json!({})).await;
    here.connect("it", "eu1", "key-of-here").await;
    // The same names in another namespace, without a Secret there.
    let reference = json!({"name": "it"});
    let spec = json!({"partner": here.namespace, "region": "eu1", "apiKeySecretRef": reference});
    there.create(json!({"metadata": {"name": "it"}, "spec": spec})).await;
    here.reaches("it", "Connected").await;
    there.reaches("it", "SecretNotFound").await;
    assert_eq!(here.checks(), 1);
}
