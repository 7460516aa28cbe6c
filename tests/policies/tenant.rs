//! The roles for people: a tenant with a namespace of their own, tried with each of Kubernetes' own roles.

use std::fmt::Write as _;

use kube::Client;
use serde_json::{Value, json};

use crate::ground::{
    API, EDITOR, OWNER, VIEWER, ask, bind, client_of, create, edit, integration, may, partner, partner_manifest, path,
    shipped,
};
use crate::support::controlplane::namespace;

/// What is tried, in this order: in words, HTTP method, path, body. `given` is an integration that is there.
fn attempts(own: &str, other: &str, given: &Value) -> Vec<(&'static str, &'static str, String, Value)> {
    let integrations = |namespace: &str| format!("{API}/namespaces/{namespace}/partnerintegrations");
    let (mine, partners) = (path(own, "mine"), format!("{API}/partners"));
    let connect = json!({"spec": {"region": "eu1", "apiKeySecretRef": {"name": "key"}}});
    vec![
        ("list partners", "GET", partners.clone(), Value::Null),
        ("get a partner", "GET", format!("{partners}/catalogued"), Value::Null),
        ("watch partners", "GET", format!("{partners}?watch=true&timeoutSeconds=1"), Value::Null),
        ("create a partner", "POST", format!("{partners}?dryRun=All"), partner_manifest("own", &["eu1"])),
        ("edit a partner", "PATCH", format!("{partners}/catalogued"), json!({"spec": {"displayName": "Mine"}})),
        ("write a partner's status", "PATCH", format!("{partners}/catalogued/status"), json!({"status": {}})),
        ("delete a partner", "DELETE", format!("{partners}/catalogued"), Value::Null),
        ("add an integration", "POST", integrations(own), integration("mine", "catalogued", None)),
        ("list integrations", "GET", integrations(own), Value::Null),
        ("watch integrations", "GET", format!("{}?watch=true&timeoutSeconds=1", integrations(own)), Value::Null),
        ("get an integration", "GET", path(own, "given"), Value::Null),
        ("connect an integration", "PATCH", mine.clone(), connect),
        ("replace an integration", "PUT", path(own, "given"), given.clone()),
        ("read a status", "GET", format!("{}/status", path(own, "given")), Value::Null),
        (
            "write a status",
            "PATCH",
            format!("{}/status", path(own, "given")),
            json!({"status": {"endpoint": "https://x"}}),
        ),
        ("replace a status", "PUT", format!("{}/status", path(own, "given")), given.clone()),
        ("delete an integration", "DELETE", mine, Value::Null),
        ("delete all of them", "DELETE", format!("{}?dryRun=All", integrations(own)), Value::Null),
        ("list integrations elsewhere", "GET", integrations(other), Value::Null),
        ("list integrations everywhere", "GET", format!("{API}/partnerintegrations"), Value::Null),
        ("add one elsewhere", "POST", integrations(other), integration("mine", "catalogued", None)),
    ]
}

/// Tries everything as somebody; one column of the table.
async fn column(client: &Client, own: &str, other: &str, given: &Value) -> Vec<(&'static str, &'static str)> {
    let mut column = Vec::new();
    for (what, method, path, body) in attempts(own, other, given) {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let answer = ask(client, method, &path, kind, &body).await.unwrap();
        let says = match answer.code {
            200 | 201 => "yes",
            403 => {
                assert!(!answer.says().contains("ValidatingAdmissionPolicy"), "{what}: {}", answer.says());
                "no"
            }
            // Allowed, but what it is about could not be made by the same person.
            404 => "(not there)",
            _ => panic!("{what}: {} {}", answer.code, answer.says()),
        };
        column.push((what, says));
    }
    column
}

#[tokio::test]
async fn what_a_tenant_may_do_with_each_of_kubernetes_own_roles() {
    let plane = shipped().await;
    let client = plane.client().unwrap();
    partner(&client, "catalogued", &["eu1"]).await;
    let other = namespace(&client, "other").await.unwrap();
    let mut columns = Vec::new();
    for (name, role) in [(OWNER, "admin"), (EDITOR, "edit"), (VIEWER, "view")] {
        let own = namespace(&client, "tenant").await.unwrap();
        let given =
            create(&client, &own, &integration("given", "catalogued", Some("eu1")), false).await.allowed("given");
        let tenant = bind(plane, name, role, &own).await;
        may(&tenant, &own, "list", "integrations.kognitiv.com", "partnerintegrations").await;
        if role != "view" {
            may(&tenant, &own, "get", "", "secrets").await;
        }
        columns.push((role, column(&tenant, &own, &other, &given).await));
    }
    let stranger = client_of(plane, "blanche");
    let nowhere = namespace(&client, "nowhere").await.unwrap();
    let given = create(&client, &nowhere, &integration("given", "catalogued", None), false).await.allowed("given");
    columns.push(("no role", column(&stranger, &nowhere, &other, &given).await));

    let mut table = format!("{:32}", "");
    for (role, _) in &columns {
        let _ = write!(table, "{role:12}");
    }
    for (row, (what, ..)) in attempts("", "", &Value::Null).iter().enumerate() {
        let _ = write!(table, "\n{what:32}");
        for (_, column) in &columns {
            let _ = write!(table, "{:12}", column[row].1);
        }
    }
    let table: Vec<_> = table.lines().map(str::trim_end).collect();
    insta::assert_snapshot!("roles", table.join("\n"));
}

#[tokio::test]
async fn a_service_binding_implementation_may_read_integrations_and_nothing_else() {
    let plane = shipped().await;
    // An implementation aggregates by the label, and binds its own ServiceAccount to what comes of it.
    let aggregated = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "sb-implementation"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"servicebinding.io/controller": "true"}}]},
    });
    plane.kubectl_with(&["apply", "-f", "-"], &aggregated.to_string()).await.unwrap();
    let own = namespace(&plane.client().unwrap(), "bound").await.unwrap();
    let arguments = ["create", "serviceaccount", "sb", "-n", &own];
    plane.kubectl(&arguments).await.unwrap();
    let account = format!("system:serviceaccount:{own}:sb");
    let subject = format!("{own}:sb");
    let arguments =
        ["create", "clusterrolebinding", "sb", "--clusterrole", "sb-implementation", "--serviceaccount", &subject];
    plane.kubectl(&arguments).await.unwrap();
    let can = async |verb: &str, resource: &str| {
        let arguments = ["auth", "can-i", verb, resource, "--as", &account, "-n", &own];
        plane.kubectl_ran(&plane.kubeconfig(), &arguments, "").await.unwrap().ok
    };
    let integrations = "partnerintegrations.integrations.kognitiv.com";
    crate::support::wait_for("the role to be aggregated", crate::ground::LIMIT, async || {
        can("get", integrations).await
    })
    .await
    .unwrap();
    for verb in ["list", "watch"] {
        assert!(can(verb, integrations).await, "{verb}");
    }
    for verb in ["create", "update", "patch", "delete"] {
        assert!(!can(verb, integrations).await, "{verb}");
    }
    assert!(!can("get", "secrets").await);
}

#[tokio::test]
async fn without_the_role_partners_reader_the_catalogue_is_hidden_and_integrations_work() {
    // Its own: the role is for everybody.
    let plane = crate::ground::bare().await;
    let client = plane.client().unwrap();
    plane.kubectl(&["delete", "clusterrolebinding", "partners-reader"]).await.unwrap();
    let own = namespace(&client, "tenant").await.unwrap();
    let editor = bind(&plane, EDITOR, "edit", &own).await;
    let list = async || ask(&editor, "GET", &format!("{API}/partners"), "", &Value::Null).await.unwrap().code;
    crate::support::wait_for("the catalogue to be hidden", crate::ground::LIMIT, async || list().await == 403)
        .await
        .unwrap();
    create(&editor, &own, &integration("mine", "acme", None), false).await.allowed("adding");
    edit(&editor, &path(&own, "mine"), &json!({"spec": {"suspend": true}})).await.allowed("suspending");
}
