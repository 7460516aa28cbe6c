//! The main job with all policies denying: a tenant adds and connects, the operator works with its own account.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ground::{
    API, EDITOR, LIMIT, ask, bind, create, delete, denying, edit, integration, may, partner_manifest, path,
};
use crate::ground::{client_of, unknown_to};
use crate::support::controlplane::namespace;
use crate::support::operator::{self, Operator};
use crate::support::partner::SimPartner;
use crate::support::wait_for;

const BINARY: &str = env!("CARGO_BIN_EXE_partner-integration-operator");

#[tokio::test]
async fn a_tenant_connects_a_partner_and_the_operator_is_not_hindered() {
    let plane = denying().await;
    let client = plane.client().unwrap();
    let kubeconfig = operator::kubeconfig(plane).await.unwrap();
    let arguments = ["--allow-network", "127.0.0.0/8", "--no-leader-elect"];
    let operator = Operator::start(BINARY, plane, "operator", &kubeconfig, &arguments).await.unwrap();
    operator.ready(LIMIT).await.unwrap();

    let sim = SimPartner::start(&["eu1", "us1"]).await.unwrap();
    sim.accept("eu1", "the-key");
    sim.accept("us1", "the-key");
    let mut partner = partner_manifest("connected", &[]);
    let region = |name: &str| json!({"name": name, "endpoint": sim.endpoint_by_address(name)});
    partner["spec"]["regions"] = json!([region("eu1"), region("us1")]);
    partner["spec"]["authentication"] = json!({"headers": [{"name": "X-Api-Key"}]});
    partner["spec"]["trustBundle"] = json!(sim.ca_pem());
    let partners = format!("{API}/partners");
    ask(&client, "POST", &partners, "application/json", &partner).await.unwrap().allowed("the Partner");
    unknown_to(&client, "connected", "nowhere").await;

    let own = namespace(&client, "tenant").await.unwrap();
    bind(plane, EDITOR, "edit", &own).await;
    let tenant = client_of(plane, EDITOR);
    may(&tenant, &own, "create", "", "secrets").await;
    let reaches = async |phase: &str, what: &str| {
        wait_for(what, LIMIT, async || {
            let found = ask(&tenant, "GET", &path(&own, "acme"), "", &Value::Null).await.unwrap().body;
            let current = found["status"]["observedGeneration"] == found["metadata"]["generation"];
            if current && found["status"]["phase"] == phase { Ok(()) } else { Err(found["status"].to_string()) }
        })
        .await
        .unwrap();
    };
    create(&tenant, &own, &integration("acme", "connected", None), false).await.allowed("adding");
    reaches("Available", "the integration to be added").await;
    let secret = json!({"metadata": {"name": "key"}, "stringData": {"api-key": "the-key"}});
    let secrets = format!("/api/v1/namespaces/{own}/secrets");
    ask(&tenant, "POST", &secrets, "application/json", &secret).await.unwrap().allowed("the Secret");
    let connect = json!({"spec": {"region": "eu1", "apiKeySecretRef": {"name": "key"}}});
    edit(&tenant, &path(&own, "acme"), &connect).await.allowed("connecting");
    reaches("Enabled", "the integration to be connected").await;

    // The region leaves the catalogue: the operator says so, no policy is in its way.
    let shrunk = json!({"spec": {"regions": [region("us1")]}});
    edit(&client, &format!("{partners}/connected"), &shrunk).await.allowed("the catalogue");
    reaches("Failed", "the region to be missed").await;
    edit(&tenant, &path(&own, "acme"), &json!({"spec": {"region": "us1"}})).await.allowed("another region");
    reaches("Enabled", "the integration to be connected again").await;

    // Counts come at most every 10 s.
    let kept = format!("{partners}/connected?dryRun=All");
    wait_for("the Partner to be in use", Duration::from_secs(30), async || {
        let answer = delete(&client, &kept).await;
        if answer.names("partner-in-use") { Ok(()) } else { Err(format!("{} {}", answer.code, answer.says())) }
    })
    .await
    .unwrap();
    delete(&tenant, &path(&own, "acme")).await.allowed("deletion");
    wait_for("the Partner to be free", Duration::from_secs(30), async || delete(&client, &kept).await.ok())
        .await
        .unwrap();
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
