//! `partner-in-use`.

use serde_json::{Value, json};

use crate::ground::{API, ask, delete, edit, partner, report_use, shipped};

const POLICY: &str = "partner-in-use";

fn path(name: &str) -> String {
    format!("{API}/partners/{name}")
}

fn annotated(value: &str) -> Value {
    json!({"metadata": {"annotations": {"integrations.kognitiv.com/allow-deletion": value}}})
}

#[tokio::test]
async fn a_partner_in_use_is_not_deleted_and_the_refusal_says_what_to_do() {
    let plane = shipped().await;
    let client = plane.client().unwrap();
    let mut text = String::new();
    for (name, integrations) in [("acme-loyalty", 12), ("acme-mail", 1)] {
        partner(&client, name, &["eu1"]).await;
        report_use(&client, name, integrations).await;
        let ran = plane.kubectl_ran(&plane.kubeconfig(), &["delete", "partner", name], "").await.unwrap();
        assert!(!ran.ok, "{}", ran.stdout);
        text += &ran.stderr;
    }
    insta::assert_snapshot!("in_use", text);
}

#[tokio::test]
async fn the_annotation_overrides_it() {
    let client = shipped().await.client().unwrap();
    partner(&client, "override", &["eu1"]).await;
    report_use(&client, "override", 3).await;
    let path = path("override");
    edit(&client, &path, &annotated("false")).await.allowed("annotating");
    delete(&client, &path).await.refused(POLICY, "used by 3 integrations", "not true");
    edit(&client, &path, &annotated("true")).await.allowed("annotating");
    delete(&client, &path).await.allowed("overridden");
}

#[tokio::test]
async fn a_partner_that_nobody_uses_or_has_counted_is_deleted() {
    let client = shipped().await.client().unwrap();
    partner(&client, "uncounted", &["eu1"]).await;
    delete(&client, &path("uncounted")).await.allowed("no count");
    partner(&client, "unused", &["eu1"]).await;
    report_use(&client, "unused", 0).await;
    delete(&client, &path("unused")).await.allowed("a count of 0");
}

#[tokio::test]
async fn a_partner_in_use_may_be_edited_and_one_that_is_being_deleted_is_not_judged() {
    let client = shipped().await.client().unwrap();
    partner(&client, "edited", &["eu1"]).await;
    report_use(&client, "edited", 2).await;
    let path = path("edited");
    edit(&client, &path, &json!({"spec": {"displayName": "Acme"}})).await.allowed("an edit");
    report_use(&client, "edited", 3).await;
    let held = json!({"metadata": {"finalizers": ["example.com/waits"]}});
    edit(&client, &path, &held).await.allowed("a finalizer");
    edit(&client, &path, &annotated("true")).await.allowed("annotating");
    delete(&client, &path).await.allowed("overridden");
    edit(&client, &path, &json!({"metadata": {"annotations": null}})).await.allowed("the annotation");
    delete(&client, &path).await.allowed("a second time");
    edit(&client, &path, &json!({"metadata": {"finalizers": null}})).await.allowed("the finalizer");
    assert_eq!(ask(&client, "GET", &path, "", &Value::Null).await.unwrap().code, 404);
}

#[tokio::test]
async fn deleting_many_at_once_spares_those_in_use() {
    let client = shipped().await.client().unwrap();
    for (name, integrations) in [("many-used", 1), ("many-unused", 0)] {
        partner(&client, name, &["eu1"]).await;
        edit(&client, &path(name), &json!({"metadata": {"labels": {"test": "many"}}})).await.allowed("a label");
        report_use(&client, name, integrations).await;
    }
    let answer = delete(&client, &format!("{API}/partners?labelSelector=test%3Dmany")).await;
    answer.refused(POLICY, "Partner many-used is used by 1 integration,", "a collection");
    assert_eq!(ask(&client, "GET", &path("many-used"), "", &Value::Null).await.unwrap().code, 200);
}
