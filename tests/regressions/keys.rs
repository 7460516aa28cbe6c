//! What is shown of a key, and what is said of a bad one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha512};

use crate::world::condition;
use crate::{ground, shown, world};

/// cert-manager: an Issuer stayed Ready while its key had long been revoked.
/// <https://github.com/cert-manager/cert-manager/issues/5201>
#[tokio::test]
async fn cert_manager_5201_ready_with_a_dead_key_is_noticed() {
    let world = world("revoked").await;
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "Connected").await;
    // Nothing in the cluster changes. The schedule asks too, see `src/core/tests/regressions.rs`; here somebody does.
    world.sim.refuse("eu1", "the-key");
    world.ask("it", "now").await;
    let found = world.reaches("it", "CredentialRejected").await;
    assert_eq!(condition(&found, "Ready").unwrap().status, "False");
}

/// mongodb-atlas-kubernetes: a plain hash of the key stood in an annotation: whoever could read the object could try keys.
/// <https://github.com/mongodb/mongodb-atlas-kubernetes>
#[tokio::test]
async fn mongodb_atlas_no_hash_of_the_key_is_in_any_object_line_or_metric() {
    let world = world("hash").await;
    world.create_partner(json!({})).await;
    world.put_secret("key", b"the-key").await;
    let spec = json!({
        "partner": world.namespace, "region": "eu1", "apiKeySecretRef": {"name": "key"},
        "binding": {"secretName": "binding"},
    });
    world.create(json!({"metadata": {"name": "it"}, "spec": spec})).await;
    let bound = |it: &partner_integration_operator::api::PartnerIntegration| {
        it.status.as_ref().is_some_and(|status| status.binding.is_some())
    };
    let before = world.until("it", "bound", bound).await.0.status.unwrap().verified.unwrap();
    let mut binding = world.secrets().get("binding").await.unwrap();
    binding.data = None;
    let operator = &ground().await.1;
    let seen = [
        shown(&world, "it").await,
        serde_json::to_string(&binding).unwrap(),
        world.plane.kubectl(&["get", "events,partners", "-n", &world.namespace, "-o", "json"]).await.unwrap(),
        operator.log(),
        operator.admin("/metrics").await.unwrap().1,
    ];
    let uid = world.get("it").await.metadata.uid.unwrap();
    for text in ["the-key".to_owned(), "the-key\n".to_owned(), STANDARD.encode("the-key"), format!("{uid}the-key")] {
        for hash in [Sha256::digest(&text).to_vec(), Sha512::digest(&text).to_vec()] {
            let hex = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            for form in [hex[..16].to_owned(), STANDARD.encode(&hash)[..16].to_owned()] {
                assert!(!seen.iter().any(|seen| seen.contains(&form)), "a hash of the key");
            }
        }
    }
    // The digest that stands there is the same for every key.
    world.sim.accept("eu1", "another-key");
    world.put_secret("key", b"another-key").await;
    let proved = |it: &partner_integration_operator::api::PartnerIntegration| {
        it.status.as_ref().and_then(|status| status.verified.as_ref()).is_some_and(|verified| *verified != before)
    };
    let after = world.until("it", "rotated", proved).await.0.status.unwrap().verified.unwrap();
    assert_eq!(after.digest, before.digest);
}

/// An operator that wrote the error of a validation into a condition, and with it the pull secret that it had tried to parse.
/// <https://nvd.nist.gov/vuln/detail/CVE-2026-10101>
#[tokio::test]
async fn cve_2026_10101_a_credential_that_is_no_credential_is_not_quoted() {
    const BROKEN: &str = "broken-4be1\nsecond-line-77ac";
    let world = world("quoted").await;
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", BROKEN).await;
    world.reaches("it", "InvalidCredential").await;
    let seen = [shown(&world, "it").await, ground().await.1.log()];
    for part in BROKEN.lines() {
        assert!(!seen.iter().any(|seen| seen.contains(part) || seen.contains(&STANDARD.encode(part))), "{part}");
    }
    assert_eq!(world.checks(), 0, "and it is not sent");
}
