//! Status: the default, and what a write of it must hold.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use partner_integration_operator::api::{FIELD_MANAGER, Partner, PartnerIntegration, crds};
use serde_json::{Value, json};

use crate::manifests::{API, cluster, integration, partner, patched, send, unlike};
use crate::support::controlplane::namespace;

/// An integration in a namespace of its own, as the API server stored it.
async fn added(client: &Client) -> (Api<PartnerIntegration>, PartnerIntegration) {
    let namespace = namespace(client, "status").await.unwrap();
    let manifest = patched(&integration(), &json!({"metadata": {"namespace": namespace}}));
    let path = format!("{API}/namespaces/{namespace}/partnerintegrations");
    let created = send(client, "POST", &path, "application/json", &manifest).await.unwrap();
    (Api::namespaced(client.clone(), &namespace), serde_json::from_value(created).unwrap())
}

fn conditions() -> Value {
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "Connected", "message": "connected", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-24T10:00:00Z",
        })
    };
    json!([condition("Ready"), condition("Connected")])
}

fn enabled() -> Value {
    json!({
        "observedGeneration": 1, "phase": "Enabled", "connected": true, "partnerName": "Datadog",
        "endpoint": "https://api.datadoghq.eu",
        "verified": {"digest": "v1:00", "secretUID": "u", "secretResourceVersion": "7", "time": "2026-11-24T10:00:00Z"},
        "conditions": conditions(),
    })
}

/// One server-side apply, as every status write of the operator is.
async fn apply(api: &Api<PartnerIntegration>, status: &Value) -> Result<PartnerIntegration, kube::Error> {
    let object = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
        "metadata": {"name": "datadog"}, "status": status,
    });
    api.patch_status("datadog", &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object)).await
}

#[tokio::test]
async fn a_new_integration_is_available_at_once_and_in_progress() {
    let (_, client) = cluster().await;
    let (api, created) = added(&client).await;
    let read = api.get("datadog").await.unwrap();
    for object in [created, read] {
        let pending = |kind: &str| {
            json!({
                "type": kind, "status": "Unknown", "reason": "Pending", "message": "waiting for the operator",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            })
        };
        assert_eq!(
            serde_json::to_value(object.status.unwrap()).unwrap(),
            json!({
                "observedGeneration": -1, "phase": "Available", "connected": false,
                "conditions": [pending("Ready"), pending("Connected")],
            })
        );
    }
}

#[tokio::test]
async fn a_new_partner_is_in_progress() {
    let (_, client) = cluster().await;
    let manifest = patched(&partner(), &json!({"metadata": {"name": "status-default"}}));
    let created = send(&client, "POST", &format!("{API}/partners"), "application/json", &manifest).await.unwrap();
    assert_eq!(created["status"], json!({"observedGeneration": -1}));
    let read: Partner = Api::all(client).get("status-default").await.unwrap();
    assert_eq!(read.status.unwrap().observed_generation, -1);
}

#[tokio::test]
async fn the_status_of_a_partner_has_limits() {
    let (_, client) = cluster().await;
    let manifest = patched(&partner(), &json!({"metadata": {"name": "status-limits"}}));
    send(&client, "POST", &format!("{API}/partners"), "application/json", &manifest).await.unwrap();
    let path = format!("{API}/partners/status-limits/status");
    for (status, says) in [
        (json!({"regionNames": "r".repeat(4097)}), "status.regionNames: Too long: may not be more than 4096"),
        (json!({"observedGeneration": null, "regionNames": "eu1"}), "status.observedGeneration: Required value"),
        (json!({"observedGeneration": -2}), "should be greater than or equal to -1"),
    ] {
        let change = json!({"status": status});
        let refusal = send(&client, "PATCH", &path, "application/merge-patch+json", &change).await.unwrap_err();
        assert_eq!(unlike(&refusal, says), None);
    }
    let longest =
        json!({"status": {"observedGeneration": 1, "regionNames": "r".repeat(4096), "conditions": conditions()}});
    let stored = send(&client, "PATCH", &path, "application/merge-patch+json", &longest).await.unwrap();
    serde_json::from_value::<Partner>(stored).unwrap();
}

#[tokio::test]
async fn a_status_in_a_manifest_is_not_taken() {
    let (_, client) = cluster().await;
    let manifest = patched(&integration(), &json!({"status": enabled()}));
    let created = crate::manifests::create(&client, &manifest).await.unwrap();
    assert_eq!(created["status"]["phase"], "Available");
}

#[tokio::test]
async fn a_whole_status_is_accepted_and_read_back() {
    let (_, client) = cluster().await;
    let (api, _) = added(&client).await;
    let written = apply(&api, &enabled()).await.unwrap();
    assert_eq!(serde_json::to_value(written.status.unwrap()).unwrap(), enabled());

    // An applied status takes the place of the last one: what it leaves out is gone.
    let failing = json!({
        "count": 1, "digest": "v1:00", "secretUID": "u", "secretResourceVersion": "7", "notBefore": "2026-11-24T10:00:01Z",
    });
    let failed = json!({
        "observedGeneration": 1, "phase": "Failed", "connected": false, "failing": failing, "conditions": conditions(),
    });
    let written = apply(&api, &failed).await.unwrap();
    assert_eq!(serde_json::to_value(written.status.unwrap()).unwrap(), failed);
}

#[tokio::test]
async fn a_status_that_omits_contradicts_or_exceeds_is_refused() {
    let (_, client) = cluster().await;
    let (api, _) = added(&client).await;
    // What the default filled in belongs to nobody and stays; what the operator has applied goes when it is left out.
    apply(&api, &enabled()).await.unwrap();
    let failing = |failing: Value| {
        let base = json!({
            "count": 1, "digest": "d", "secretUID": "u", "secretResourceVersion": "7", "notBefore": "2026-11-24T10:00:00Z",
        });
        json!({"phase": "Failed", "connected": false, "verified": null, "failing": patched(&base, &failing)})
    };
    let condition = |patch: Value| json!({"conditions": [patched(&conditions()[0], &patch)]});
    let nine: Vec<_> = (0..9).map(|n| patched(&conditions()[0], &json!({"type": format!("C{n}")}))).collect();
    let long = "x".repeat(129);
    let table = [
        (json!({"observedGeneration": null}), "status.observedGeneration: Required value"),
        (json!({"phase": null}), "status.phase: Required value"),
        (json!({"connected": null}), "status.connected: Required value"),
        (
            json!({"connected": false}),
            "status.connected must be true exactly while status.phase is Enabled: write both together",
        ),
        (json!({"phase": "Failed"}), "status.connected must be true exactly while status.phase is Enabled"),
        (json!({"phase": "Available"}), "status.connected must be true exactly while status.phase is Enabled"),
        (
            json!({"phase": "Connected"}),
            "status.phase: Unsupported value: \"Connected\": supported values: \"Available\", \"Enabled\", \"Failed\"",
        ),
        (json!({"observedGeneration": -2}), "should be greater than or equal to -1"),
        (json!({"partnerName": "D".repeat(101)}), "status.partnerName: Too long: may not be more than 100"),
        (json!({"endpoint": "e".repeat(513)}), "status.endpoint: Too long: may not be more than 512"),
        (json!({"lastHandledCheckRequest": "t".repeat(65)}), "may not be more than 64"),
        (json!({"verified": {"digest": long}}), "status.verified.digest: Too long: may not be more than 128"),
        (json!({"verified": {"secretUID": long}}), "status.verified.secretUID: Too long: may not be more than 128"),
        (json!({"verified": {"secretResourceVersion": long}}), "Too long: may not be more than 128"),
        (json!({"verified": {"secretUID": null}}), "status.verified.secretUID: Required value"),
        (json!({"verified": {"time": "today"}}), "status.verified.time"),
        (failing(json!({"count": 0})), "failing.count in body should be greater than or equal to 1"),
        (failing(json!({"count": 11})), "failing.count in body should be less than or equal to 10"),
        (failing(json!({"digest": long})), "status.failing.digest: Too long: may not be more than 128"),
        (failing(json!({"secretUID": long})), "status.failing.secretUID: Too long: may not be more than 128"),
        (failing(json!({"secretResourceVersion": long})), "Too long: may not be more than 128"),
        (failing(json!({"notBefore": null})), "status.failing.notBefore: Required value"),
        (json!({"conditions": nine}), "status.conditions: Too many: 9: must have at most 8 items"),
        (condition(json!({"message": "m".repeat(1025)})), "message: Too long: may not be more than 1024"),
        (condition(json!({"reason": "r".repeat(1025)})), "reason: Too long: may not be more than 1024"),
        (condition(json!({"reason": ""})), "reason in body should be at least 1 chars long"),
        (condition(json!({"type": "t".repeat(317)})), "type: Too long: may not be more than 316"),
        (condition(json!({"status": "Maybe"})), "Unsupported value: \"Maybe\""),
        (condition(json!({"lastTransitionTime": null})), "lastTransitionTime: Required value"),
        (condition(json!({"lastTransitionTime": "1970"})), "lastTransitionTime"),
        (condition(json!({"observedGeneration": -1})), "should be greater than or equal to 0"),
    ];
    let mut wrong = Vec::new();
    for (patch, says) in table {
        match apply(&api, &patched(&enabled(), &patch)).await {
            Ok(_) => {
                wrong.push(format!("accepted: {patch}"));
                // The next row begins where this one did.
                apply(&api, &enabled()).await.unwrap();
            }
            Err(kube::Error::Api(status)) => {
                wrong.extend(unlike(&status, says).map(|problem| format!("{patch}: {problem}")));
            }
            Err(error) => panic!("{patch}: {error}"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let untouched = api.get("datadog").await.unwrap().status.unwrap();
    assert_eq!(serde_json::to_value(untouched).unwrap(), enabled());
}

#[tokio::test]
async fn a_status_without_conditions_can_still_be_read() {
    let (_, client) = cluster().await;
    let (api, _) = added(&client).await;
    apply(&api, &enabled()).await.unwrap();
    let bare = json!({"observedGeneration": 1, "phase": "Failed", "connected": false});
    apply(&api, &bare).await.unwrap();
    assert!(api.get("datadog").await.unwrap().status.unwrap().conditions.is_empty());
}

#[tokio::test]
async fn both_crds_are_established_structural_and_within_the_cost_budget() {
    let (_, client) = cluster().await;
    let api: Api<CustomResourceDefinition> = Api::all(client);
    for crd in crds() {
        let name = crd.metadata.name.unwrap();
        let conditions = api.get(&name).await.unwrap().status.unwrap().conditions.unwrap();
        let status = |kind: &str| conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.clone());
        assert_eq!(status("Established").as_deref(), Some("True"), "{name}");
        assert_eq!(status("NamesAccepted").as_deref(), Some("True"), "{name}");
        assert_eq!(status("NonStructuralSchema"), None, "{name}");
    }
}
