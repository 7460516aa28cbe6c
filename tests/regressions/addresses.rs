//! Where a key goes.

use serde_json::{Value, json};

use crate::support::partner::SimPartner;
use crate::world;

/// koku-metrics-operator: whoever could write the resource could name the address, and the operator sent its token there.
/// <https://nvd.nist.gov/vuln/detail/CVE-2026-18378>
#[tokio::test]
async fn koku_cve_2026_18378_the_token_goes_only_to_the_address_in_the_catalogue() {
    let world = world("koku").await;
    let thief = SimPartner::start(&["eu1"]).await.unwrap();
    thief.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.put_secret("it", b"the-key").await;
    let address = thief.endpoint_by_address("eu1");
    let object = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "PartnerIntegration",
        "metadata": {"name": "it", "annotations": {"integrations.kognitiv.com/endpoint": address}},
        "spec": {
            "partner": world.namespace, "region": "eu1", "apiKeySecretRef": {"name": "it", "endpoint": address},
            "endpoint": address, "url": address, "regions": [{"name": "eu1", "endpoint": address}],
        },
        "status": {"endpoint": address, "observedGeneration": 1, "phase": "Enabled", "connected": true},
    });
    let path = format!("/apis/integrations.kognitiv.com/v1alpha1/namespaces/{}/partnerintegrations", world.namespace);
    let request = http::Request::post(path).header("content-type", "application/json");
    world.client.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
    let status = world.reaches("it", "Connected").await.status.unwrap();
    assert_eq!(status.endpoint, Some(world.sim.endpoint_by_address("eu1")));
    // Nor one that a status names, whoever wrote it.
    world.spoil("it", json!({"endpoint": address})).await;
    world.ask("it", "now").await;
    let asked = |it: &partner_integration_operator::api::PartnerIntegration| {
        it.status.as_ref().is_some_and(|status| status.last_handled_check_request.as_deref() == Some("now"))
    };
    world.until("it", "checked again", asked).await;
    assert_eq!((world.checks_with("the-key"), thief.counters().connections), (2, 0));
}
