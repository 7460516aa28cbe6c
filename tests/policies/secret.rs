//! `may-read-secret`.

use kube::Client;
use serde_json::{Value, json};

use crate::ground::{
    BLIND, EDITOR, VIEWER, bind, client_of, create, delete, denying, edit, integration, may, partner, path, shipped,
};
use crate::support::controlplane::{ControlPlane, namespace};

const POLICY: &str = "may-read-secret";

/// A namespace in which BLIND may write integrations and read no Secret; with an integration that the administrator connected.
async fn guarded(plane: &ControlPlane) -> (String, Client, String) {
    let client = plane.client().unwrap();
    let namespace = namespace(&client, "secret").await.unwrap();
    let blind = bind(plane, BLIND, "partnerintegrations-edit", &namespace).await;
    create(&client, &namespace, &integration("held", "acme-of-secrets", Some("eu1")), false)
        .await
        .allowed("administrator");
    let held = path(&namespace, "held");
    (namespace, blind, held)
}

#[tokio::test]
async fn who_may_not_read_the_secret_is_refused_and_told_what_to_do() {
    let plane = shipped().await;
    let (_, blind, _) = guarded(plane).await;
    // The namespace's name is random, the message has it.
    let client = plane.client().unwrap();
    let fixed = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    crate::ground::ask(&client, "POST", "/api/v1/namespaces", "application/json", &fixed)
        .await
        .unwrap()
        .allowed("shop");
    bind(plane, BLIND, "partnerintegrations-edit", "shop").await;
    let manifest = integration("acme", "acme-of-secrets", Some("eu1"));
    let answer = create(&blind, "shop", &manifest, false).await;
    assert_eq!((answer.code, answer.body["reason"].as_str()), (403, Some("Forbidden")), "{}", answer.says());
    let kubeconfig = plane.kubeconfig_for(BLIND, &format!("token-of-{BLIND}")).unwrap();
    let arguments = ["create", "-n", "shop", "-f", "-"];
    let ran = plane.kubectl_ran(&kubeconfig, &arguments, &manifest.to_string()).await.unwrap();
    assert!(!ran.ok, "{}", ran.stdout);
    insta::assert_snapshot!("secret_denied", ran.stderr);
}

#[tokio::test]
async fn every_change_of_spec_is_judged_not_only_another_secret() {
    let (_, blind, held) = guarded(shipped().await).await;
    for (what, spec) in changes() {
        edit(&blind, &held, &json!({"spec": spec})).await.refused(POLICY, "may not read Secret", what);
    }
}

/// Changes that would hand the key of the Secret on.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("another region", json!({"region": "us1"})),
        ("another Secret", json!({"apiKeySecretRef": {"name": "other"}})),
        ("another key of the Secret", json!({"apiKeySecretRef": {"key": "other"}})),
        ("a binding", json!({"binding": {"secretName": "acme-connection"}})),
    ]
}

#[tokio::test]
async fn what_hands_no_key_on_is_not_judged() {
    let (namespace, blind, held) = guarded(shipped().await).await;
    create(&blind, &namespace, &integration("added", "acme-of-secrets", None), false).await.allowed("only adding");
    for (what, patch) in [
        ("a label", json!({"metadata": {"labels": {"team": "shop"}}})),
        (
            "a check request",
            json!({"metadata": {"annotations": {"integrations.kognitiv.com/check-requested-at": "1"}}}),
        ),
        ("no change", json!({"spec": {"region": "eu1"}})),
        ("suspending", json!({"spec": {"suspend": true}})),
        ("another region while suspended", json!({"spec": {"region": "us1"}})),
        ("another Secret while suspended", json!({"spec": {"apiKeySecretRef": {"name": "other"}}})),
    ] {
        edit(&blind, &held, &patch).await.allowed(what);
    }
    edit(&blind, &held, &json!({"spec": {"suspend": false}})).await.refused(POLICY, "Secret other", "resuming");
    let only_added = json!({"spec": {"region": null, "apiKeySecretRef": null, "suspend": false}});
    edit(&blind, &held, &only_added).await.allowed("taking region and key out");

    let mut suspended = integration("suspended", "acme-of-secrets", Some("eu1"));
    suspended["spec"]["suspend"] = json!(true);
    suspended["metadata"]["finalizers"] = json!(["example.com/waits"]);
    create(&blind, &namespace, &suspended, false).await.allowed("a suspended one");
    let suspended = path(&namespace, "suspended");
    delete(&blind, &suspended).await.allowed("deletion");
    let resumed = json!({"spec": {"suspend": false}});
    edit(&blind, &suspended, &resumed).await.allowed("an edit while it is being deleted");
    edit(&blind, &suspended, &json!({"metadata": {"finalizers": null}})).await.allowed("the finalizer");
}

#[tokio::test]
async fn leave_to_read_that_very_secret_is_enough_and_it_need_not_exist() {
    let plane = shipped().await;
    let (namespace, _, held) = guarded(plane).await;
    for arguments in [
        ["create", "role", "reader", "--verb", "get", "--resource", "secrets", "--resource-name", "key"].as_slice(),
        &["create", "rolebinding", "reader", "--role", "reader", "--user", BLIND],
    ] {
        plane.kubectl(&[arguments, &["-n", &namespace]].concat()).await.unwrap();
    }
    let blind = client_of(plane, BLIND);
    let change = json!({"spec": {"region": "us1"}});
    crate::support::wait_for("the role to be seen", crate::ground::LIMIT, async || {
        let answer = edit(&blind, &held, &change).await;
        if answer.ok() { Ok(()) } else { Err(answer.says()) }
    })
    .await
    .unwrap();
    let other = json!({"spec": {"apiKeySecretRef": {"name": "other"}}});
    edit(&blind, &held, &other).await.refused(POLICY, "Secret other", "another Secret than the role names");
}

#[tokio::test]
async fn leave_to_read_secrets_elsewhere_is_not_enough() {
    let plane = shipped().await;
    let (_, blind, held) = guarded(plane).await;
    let elsewhere = namespace(&plane.client().unwrap(), "elsewhere").await.unwrap();
    bind(plane, BLIND, "edit", &elsewhere).await;
    may(&blind, &elsewhere, "get", "", "secrets").await;
    let change = json!({"spec": {"region": "us1"}});
    edit(&blind, &held, &change).await.refused(POLICY, "may not read Secret", "a Secret of this namespace");
}

#[tokio::test]
async fn an_editor_of_the_namespace_may_and_a_viewer_with_leave_to_edit_integrations_may_not() {
    let plane = denying().await;
    let client = plane.client().unwrap();
    partner(&client, "acme-of-secrets", &["eu1", "us1"]).await;
    let (namespace, _, held) = guarded(plane).await;
    let editor = bind(plane, EDITOR, "edit", &namespace).await;
    may(&editor, &namespace, "get", "", "secrets").await;
    bind(plane, VIEWER, "view", &namespace).await;
    let viewer = bind(plane, VIEWER, "partnerintegrations-edit", &namespace).await;
    let change = json!({"spec": {"region": "us1"}});
    edit(&viewer, &held, &change).await.refused(POLICY, "may not read Secret", "the role view reads no Secrets");
    edit(&editor, &held, &change).await.allowed("the role edit reads Secrets");
}
