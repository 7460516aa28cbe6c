//! `region-is-offered`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::ground::{
    API, Answer, LIMIT, ask, bare, create, delete, denying, edit, integration, partner, partner_manifest, path,
    shipped, unknown_to,
};
use crate::support::controlplane::namespace;
use crate::support::wait_for;

const POLICY: &str = "region-is-offered";

#[tokio::test]
async fn a_region_that_is_not_offered_is_refused_and_those_on_offer_are_named() {
    let plane = denying().await;
    let client = plane.client().unwrap();
    partner(&client, "acme", &["ap1", "eu1", "us1"]).await;
    let namespace = namespace(&client, "region").await.unwrap();
    let mut text = String::new();
    let apply = async |region: &str| {
        let manifest = integration("acme", "acme", Some(region)).to_string();
        let arguments = ["apply", "-n", &namespace, "-f", "-"];
        plane.kubectl_ran(&plane.kubeconfig(), &arguments, &manifest).await.unwrap()
    };
    let ran = apply("eu7").await;
    assert!(!ran.ok, "{}", ran.stdout);
    let _ = writeln!(text, "a new integration:\n{}", ran.stderr);
    let ran = apply("eu1").await;
    assert!(ran.ok && ran.stderr.is_empty(), "{}", ran.stderr);
    let ran = apply("eu7").await;
    assert!(!ran.ok, "{}", ran.stdout);
    let _ = write!(text, "an edited one:\n{}", ran.stderr);
    insta::assert_snapshot!("region_denied", text);
}

#[tokio::test]
async fn as_shipped_an_unknown_region_is_a_warning_that_names_those_on_offer() {
    let plane = shipped().await;
    let client = plane.client().unwrap();
    partner(&client, "acme", &["ap1", "eu1", "us1"]).await;
    let namespace = namespace(&client, "region").await.unwrap();
    let manifest = integration("acme", "acme", Some("eu7")).to_string();
    let arguments = ["apply", "-n", &namespace, "-f", "-"];
    let ran = plane.kubectl_ran(&plane.kubeconfig(), &arguments, &manifest).await.unwrap();
    assert!(ran.ok, "{}", ran.stderr);
    insta::assert_snapshot!("region_warned", format!("{}{}", ran.stderr, ran.stdout));
}

#[tokio::test]
async fn the_longest_list_of_regions_is_named_whole() {
    let client = denying().await.client().unwrap();
    let names: Vec<_> = (0..64).map(|n| format!("{n:02}{}", "r".repeat(61))).collect();
    let regions: Vec<_> = names.iter().map(String::as_str).collect();
    partner(&client, "longest", &regions).await;
    let answer = create(&client, "default", &integration("longest", "longest", Some("eu1")), true).await;
    answer.refused(POLICY, &names.join(", "), "64 regions of 63 characters");
}

#[tokio::test]
async fn another_partner_offering_the_region_does_not_help_and_not_offering_it_does_not_harm() {
    let client = denying().await.client().unwrap();
    partner(&client, "here", &["eu1"]).await;
    partner(&client, "there", &["us1"]).await;
    let tried = async |partner: &str, region: &str| {
        create(&client, "default", &integration("either", partner, Some(region)), true).await
    };
    tried("here", "eu1").await.allowed("offered by its own partner, by no other");
    tried("there", "us1").await.allowed("the same");
    tried("here", "us1").await.refused(POLICY, "choose one of: eu1", "offered by another partner only");
}

#[tokio::test]
async fn the_integration_may_come_before_its_partner() {
    let client = denying().await.client().unwrap();
    create(&client, "default", &integration("early", "early", Some("eu1")), true).await.allowed("others exist");
    create(&client, "default", &integration("early", "early", None), true).await.allowed("only added");
}

#[tokio::test]
async fn the_integration_may_come_before_every_partner() {
    // Its own: the catalogue is empty.
    let plane = bare().await;
    let client = plane.client().unwrap();
    crate::ground::apply(&plane, crate::ground::DENYING).await;
    let early = integration("early", "early", Some("eu1"));
    // Nothing shows when the policy is at work, so a while of it.
    for _ in 0..100 {
        create(&client, "default", &early, true).await.allowed("an empty catalogue");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    create(&client, "default", &early, false).await.allowed("an empty catalogue");
    // And it was at work, or is by now.
    partner(&client, "early", &["us1"]).await;
    let labelled = json!({"metadata": {"labels": {"team": "shop"}}});
    edit(&client, &path("default", "early"), &labelled).await.allowed("its region does not change");
}

/// Takes a region out of a Partner's catalogue entry, and waits until the policy knows.
async fn withdrawn(client: &kube::Client, name: &str, left: &[&str], gone: &str) {
    let regions = partner_manifest(name, left)["spec"]["regions"].clone();
    edit(client, &format!("{API}/partners/{name}"), &json!({"spec": {"regions": regions}})).await.allowed(name);
    unknown_to(client, name, gone).await;
}

#[tokio::test]
async fn a_region_that_left_the_catalogue_freezes_nothing() {
    let client = denying().await.client().unwrap();
    partner(&client, "shrinking", &["eu1", "us1"]).await;
    let namespace = namespace(&client, "frozen").await.unwrap();
    for name in ["edited", "foreground", "orphan"] {
        let mut manifest = integration(name, "shrinking", Some("us1"));
        if name == "edited" {
            manifest["metadata"]["finalizers"] = json!(["example.com/waits"]);
        }
        create(&client, &namespace, &manifest, false).await.allowed(name);
    }
    withdrawn(&client, "shrinking", &["eu1"], "us1").await;

    let edited = path(&namespace, "edited");
    for (what, patch) in [
        ("a label", json!({"metadata": {"labels": {"team": "shop"}}})),
        (
            "a check request",
            json!({"metadata": {"annotations": {"integrations.kognitiv.com/check-requested-at": "1"}}}),
        ),
        ("suspending", json!({"spec": {"suspend": true}})),
        ("resuming", json!({"spec": {"suspend": false}})),
        ("another key", json!({"spec": {"apiKeySecretRef": {"name": "other"}}})),
    ] {
        edit(&client, &edited, &patch).await.allowed(what);
    }
    let status = json!({"status": {"partnerName": "Acme Loyalty"}});
    edit(&client, &format!("{edited}/status"), &status).await.allowed("a status");
    edit(&client, &edited, &json!({"spec": {"region": "us2"}})).await.refused(POLICY, "one of: eu1", "a new region");

    delete(&client, &edited).await.allowed("deletion");
    // Kubernetes holds it by the finalizer; whatever is edited now is not judged, the region neither.
    edit(&client, &edited, &json!({"spec": {"region": "us3"}})).await.allowed("an edit while it is being deleted");
    edit(&client, &edited, &json!({"metadata": {"finalizers": null}})).await.allowed("the finalizer");
    gone(&client, &edited).await;

    for (name, policy) in [("foreground", "Foreground"), ("orphan", "Orphan")] {
        let path = path(&namespace, name);
        let uid = ask(&client, "GET", &path, "", &Value::Null).await.unwrap().allowed(name)["metadata"]["uid"].clone();
        let owner = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration", "name": name, "uid": uid,
            "blockOwnerDeletion": true,
        });
        let dependent = json!({"metadata": {"name": name, "ownerReferences": [owner]}});
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        ask(&client, "POST", &maps, "application/json", &dependent).await.unwrap().allowed("a dependent");
        delete_by(&client, &path, policy).await.allowed(policy);
        gone(&client, &path).await;
    }
}

async fn delete_by(client: &kube::Client, path: &str, policy: &str) -> Answer {
    ask(client, "DELETE", path, "application/json", &json!({"propagationPolicy": policy})).await.unwrap()
}

async fn gone(client: &kube::Client, path: &str) {
    wait_for("the integration to be gone", LIMIT, async || {
        let answer = ask(client, "GET", path, "", &Value::Null).await.unwrap();
        if answer.code == 404 { Ok(()) } else { Err(answer.body["metadata"].to_string()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_region_is_judged_when_it_is_set_first_and_when_it_is_set_again() {
    let client = denying().await.client().unwrap();
    partner(&client, "late", &["eu1"]).await;
    let namespace = namespace(&client, "late").await.unwrap();
    create(&client, &namespace, &integration("late", "late", None), false).await.allowed("only added");
    let path = path(&namespace, "late");
    let connect = |region: &str| json!({"spec": {"region": region, "apiKeySecretRef": {"name": "key"}}});
    edit(&client, &path, &connect("us1")).await.refused(POLICY, "choose one of: eu1", "set first");
    edit(&client, &path, &connect("eu1")).await.allowed("set first");
    edit(&client, &path, &json!({"spec": {"region": null, "apiKeySecretRef": null}})).await.allowed("taken out");
    edit(&client, &path, &connect("us1")).await.refused(POLICY, "choose one of: eu1", "set again");
}
