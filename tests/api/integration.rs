//! Integrations: what a user may write.

use kube::Client;
use serde_json::{Value, json};

use crate::manifests::{API, all_accepted, all_refused, cluster, create, integration, patched, send, unlike};
use crate::support::controlplane::namespace;

fn spec(patch: &Value) -> Value {
    json!({"spec": patch})
}

fn key(name: &str, key: &str) -> Value {
    spec(&json!({"region": "eu1", "apiKeySecretRef": {"name": name, "key": key}}))
}

/// Stores an integration in a namespace of its own; gives its path.
async fn stored(client: &Client, change: &Value) -> String {
    let namespace = namespace(client, "integration").await.unwrap();
    let manifest = patched(&integration(), &patched(&json!({"metadata": {"namespace": namespace}}), change));
    let path = format!("{API}/namespaces/{namespace}/partnerintegrations");
    send(client, "POST", &path, "application/json", &manifest).await.unwrap();
    format!("{path}/datadog")
}

async fn edit(client: &Client, path: &str, change: &Value) -> Result<Value, Box<kube::core::Status>> {
    send(client, "PATCH", path, "application/merge-patch+json", change).await
}

#[tokio::test]
async fn an_integration_of_every_shape_is_accepted() {
    all_accepted(
        &integration(),
        &[
            ("only added", json!({})),
            ("suspended", spec(&json!({"suspend": true}))),
            ("with region and key", spec(&json!({"region": "eu1", "apiKeySecretRef": {"name": "datadog-key"}}))),
            ("with a key of its own name", key("datadog-key", "API_KEY.v1")),
            ("a name of 253", json!({"metadata": {"name": "a".repeat(253)}})),
            ("a partner with dots", spec(&json!({"partner": "datadog.eu"}))),
            ("a partner of 63", spec(&json!({"partner": "p".repeat(63)}))),
            ("a region of 63", spec(&json!({"region": "r".repeat(63), "apiKeySecretRef": {"name": "s"}}))),
            ("a Secret of 253", key(&"s".repeat(253), "k")),
            ("a key of 253", key("s", &"k".repeat(253))),
            ("a key that begins with a dot", key("s", ".dockerconfigjson")),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_integration_that_cannot_work_is_refused() {
    const BOTH: &str =
        "spec.region and spec.apiKeySecretRef belong together: set both to connect, or neither to only add the partner";
    const PARTNER: &str = "spec.partner must be the metadata.name of a Partner";
    const REGION: &str = "spec.region must be lower-case letters, digits and '-'";
    const SECRET: &str = "spec.apiKeySecretRef.name must be the name of a Secret in this namespace";
    const KEY: &str = "spec.apiKeySecretRef.key must be a key that a Secret can have";
    let region = |region: &str| spec(&json!({"region": region, "apiKeySecretRef": {"name": "datadog-key"}}));
    all_refused(
        &integration(),
        &[
            ("no spec", json!({"spec": null}), "spec: Required value"),
            ("no partner", spec(&json!({"partner": null})), "spec.partner: Required value"),
            ("region without Secret", spec(&json!({"region": "eu1"})), BOTH),
            ("Secret without region", spec(&json!({"apiKeySecretRef": {"name": "datadog-key"}})), BOTH),
            ("an empty partner", spec(&json!({"partner": ""})), PARTNER),
            ("a partner in upper case", spec(&json!({"partner": "Datadog"})), PARTNER),
            ("a partner with a slash", spec(&json!({"partner": "shop/datadog"})), PARTNER),
            ("a partner with a line break", spec(&json!({"partner": "datadog\n"})), PARTNER),
            (
                "a partner of 64",
                spec(&json!({"partner": "p".repeat(64)})),
                "spec.partner: Too long: may not be more than 63",
            ),
            ("a partner that is a number", spec(&json!({"partner": 7})), "spec.partner in body must be of type string"),
            ("an empty region", region(""), REGION),
            ("a region in upper case", region("EU1"), REGION),
            ("a region with dots", region("eu.1"), REGION),
            ("a region of 64", region(&"r".repeat(64)), "spec.region: Too long: may not be more than 63"),
            (
                "a Secret without a name",
                spec(&json!({"region": "eu1", "apiKeySecretRef": {}})),
                "spec.apiKeySecretRef.name: Required value",
            ),
            ("a Secret in another namespace", key("other/datadog-key", "api-key"), SECRET),
            ("a Secret in upper case", key("Datadog", "api-key"), SECRET),
            ("a Secret with an underscore", key("datadog_key", "api-key"), SECRET),
            ("a Secret that ends with a dot", key("datadog.", "api-key"), SECRET),
            ("an empty Secret name", key("", "api-key"), SECRET),
            (
                "a Secret of 254",
                key(&"s".repeat(254), "api-key"),
                "spec.apiKeySecretRef.name: Too long: may not be more than 253",
            ),
            ("a key with a slash", key("datadog-key", "api/key"), KEY),
            ("a key with a space", key("datadog-key", "api key"), KEY),
            ("a dot as the key", key("datadog-key", "."), KEY),
            ("two dots as the key", key("datadog-key", ".."), KEY),
            ("a key that begins with two dots", key("datadog-key", "..data"), KEY),
            ("an empty key", key("datadog-key", ""), KEY),
            (
                "a key of 254",
                key("datadog-key", &"k".repeat(254)),
                "spec.apiKeySecretRef.key: Too long: may not be more than 253",
            ),
            ("suspend as text", spec(&json!({"suspend": "true"})), "spec.suspend in body must be of type boolean"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let (_, client) = cluster().await;
    for (field, patch) in [
        ("spec.apiKey", spec(&json!({"apiKey": "written here by mistake"}))),
        (
            "spec.apiKeySecretRef.namespace",
            spec(&json!({"region": "eu1", "apiKeySecretRef": {"name": "s", "namespace": "other"}})),
        ),
        ("spec.endpoint", spec(&json!({"endpoint": "https://evil.example"}))),
    ] {
        let refusal = create(&client, &patched(&integration(), &patch)).await.unwrap_err();
        assert!(refusal.message.contains(&format!("unknown field \"{field}\"")), "{}", refusal.message);
        assert!(!refusal.message.contains("by mistake"), "{}", refusal.message);
    }
}

#[tokio::test]
async fn the_partner_of_an_integration_is_immutable_and_all_else_may_change() {
    let (_, client) = cluster().await;
    let path = stored(&client, &json!({})).await;

    let refusal = edit(&client, &path, &spec(&json!({"partner": "mailgun"}))).await.unwrap_err();
    let says =
        "spec.partner is immutable: delete this PartnerIntegration and create another one that names the other partner";
    assert_eq!(unlike(&refusal, says), None);

    for change in [
        json!({"region": "eu1", "apiKeySecretRef": {"name": "datadog-key"}}),
        json!({"region": "us1"}),
        json!({"apiKeySecretRef": {"name": "other-key", "key": "other"}}),
        json!({"suspend": true}),
        json!({"region": null, "apiKeySecretRef": null, "suspend": false}),
    ] {
        edit(&client, &path, &spec(&change)).await.unwrap_or_else(|status| panic!("{change}: {}", status.message));
    }
    let refusal = edit(&client, &path, &spec(&json!({"region": "eu1"}))).await.unwrap_err();
    assert_eq!(unlike(&refusal, "spec.region and spec.apiKeySecretRef belong together"), None);
}

#[tokio::test]
async fn defaults_are_filled_in() {
    let (_, client) = cluster().await;
    let patch = spec(&json!({"region": "eu1", "apiKeySecretRef": {"name": "s"}}));
    let created = create(&client, &patched(&integration(), &patch)).await.unwrap();
    assert_eq!(
        created["spec"],
        json!({"partner": "datadog", "region": "eu1", "apiKeySecretRef": {"name": "s", "key": "api-key"}, "suspend": false})
    );
    let created = create(&client, &crate::manifests::partner()).await.unwrap();
    assert_eq!(
        created["spec"]["check"],
        json!({"path": "/api/v1/validate", "method": "GET", "timeout": "10s", "interval": "10m", "failureThreshold": 3})
    );
    // What has no default stays absent: no digest depends on how it was filled in.
    assert_eq!(created["spec"]["authentication"], json!({"headers": [{"name": "DD-API-KEY"}]}));
}

#[tokio::test]
async fn an_explicit_null_counts_as_absent() {
    let (_, client) = cluster().await;
    let mut manifest = integration();
    manifest["spec"] = json!({"partner": "datadog", "region": null, "apiKeySecretRef": null, "suspend": null});
    let created = create(&client, &manifest).await.unwrap();
    assert_eq!(created["spec"], json!({"partner": "datadog", "suspend": false}));

    manifest["spec"] = json!({"partner": "datadog", "region": "eu1", "apiKeySecretRef": null});
    let refusal = create(&client, &manifest).await.unwrap_err();
    assert_eq!(unlike(&refusal, "spec.region and spec.apiKeySecretRef belong together"), None);

    let mut partner = crate::manifests::partner();
    partner["spec"]["trustBundle"] = Value::Null;
    partner["spec"]["authentication"]["bearer"] = Value::Null;
    partner["spec"]["check"]["success"] = json!({"statusCodes": null});
    let created = create(&client, &partner).await.unwrap();
    assert_eq!(created["spec"]["authentication"], json!({"headers": [{"name": "DD-API-KEY"}]}));
    assert_eq!(created["spec"]["check"]["success"], json!({}));
}
