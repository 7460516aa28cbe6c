//! `deploy/`: each kustomization renders, is accepted by the API server, and says what the chart says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::helm::{ROOT, everything, rendered, run, values_of};
use crate::manifests::{Objects, differences, objects};
use crate::schemas::cluster;
use crate::support::controlplane::ControlPlane;

async fn kustomized(plane: &ControlPlane, folder: &str) -> String {
    plane.kubectl(&["kustomize", &format!("{ROOT}/deploy/{folder}")]).await.unwrap()
}

/// Takes out what only Helm puts there, and has rules of roles as a set: they may be told in any order and grouping.
fn comparable(mut objects: Objects) -> Objects {
    for object in objects.values_mut() {
        for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
            if let Some(Value::Object(labels)) = object.pointer_mut(labels) {
                labels.remove("helm.sh/chart");
                labels.remove("app.kubernetes.io/managed-by");
            }
        }
        if let Some(Value::Object(metadata)) = object.get_mut("metadata")
            && let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
        {
            annotations.remove("helm.sh/resource-policy");
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        if let Some(rules) = object.get_mut("rules") {
            *rules = json!(grants(rules));
        }
    }
    objects
}

/// Each `group/resource verb` of the rules of a role.
pub fn grants(rules: &Value) -> BTreeSet<String> {
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        serde_json::from_value(rule[field].clone()).unwrap_or_else(|_| panic!("{rule} has no {field}"))
    };
    let mut grants = BTreeSet::new();
    for rule in rules.as_array().unwrap() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                grants.extend(texts(rule, "verbs").iter().map(|verb| format!("{group}/{resource} {verb}")));
            }
        }
    }
    grants
}

#[tokio::test]
async fn the_chart_and_deploy_say_the_same() {
    let (plane, _) = cluster().await;
    for (folder, values) in [
        ("base", json!({})),
        ("overlays/namespaced", values_of("ci/namespaced-values.yaml")),
        ("overlays/high-availability", values_of("ci/high-availability-values.yaml")),
    ] {
        let mut deployed = comparable(objects(&kustomized(plane, folder).await));
        // Helm has a flag for it.
        assert!(deployed.remove("Namespace/partner-integration-system").is_some(), "{folder}");
        let chart = comparable(objects(&rendered(&values).unwrap()));
        let different = differences(&chart, &deployed);
        assert!(different.is_empty(), "{folder}; -: the chart, +: deploy/\n{}", different.join("\n"));
    }
    let deny = json!({"policies": {"regionIsOffered": {"action": "Deny"}}});
    let chart = objects(&rendered(&deny).unwrap());
    for (name, policy) in objects(&kustomized(plane, "policies-deny").await) {
        assert_eq!(chart[&name]["spec"], policy["spec"], "{name}");
    }
}

#[tokio::test]
async fn every_folder_of_deploy_renders_and_the_api_server_takes_all_of_it() {
    let (plane, _) = cluster().await;
    plane.kubectl(&["create", "namespace", "shop"]).await.unwrap();
    for folder in [
        "crds",
        "base",
        "overlays/namespaced",
        "overlays/high-availability",
        "policies",
        "policies-deny",
        "rbac/people",
    ] {
        accepted(plane, folder, &kustomized(plane, folder).await).await;
    }
    for folder in ["catalogue", "samples"] {
        let path = format!("{ROOT}/deploy/{folder}");
        plane.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", &path]).await.unwrap();
    }
}

#[tokio::test]
async fn the_api_server_takes_all_that_the_chart_can_render() {
    let (plane, _) = cluster().await;
    let namespaced = json!({"watchNamespaces": ["default"], "secretWatch": "none", "partnerStatus": true});
    for values in [json!({}), everything(), namespaced] {
        accepted(plane, &values.to_string(), &rendered(&values).unwrap()).await;
    }
}

#[tokio::test]
async fn the_component_for_bindings_gives_what_the_chart_gives_for_them() {
    let (plane, _) = cluster().await;
    // kustomize takes relative paths only.
    let folder = tempfile::tempdir_in(format!("{ROOT}/target")).unwrap();
    let overlay = json!({"resources": ["../../deploy/base"], "components": ["../../deploy/components/bindings"]});
    std::fs::write(folder.path().join("kustomization.yaml"), overlay.to_string()).unwrap();
    let manifests = plane.kubectl(&["kustomize", folder.path().to_str().unwrap()]).await.unwrap();
    accepted(plane, "with bindings", &manifests).await;
    let (deployed, chart) = (objects(&manifests), objects(&rendered(&json!({"bindings": {"enabled": true}})).unwrap()));
    // Two roles here, one there.
    let all = |objects: &Objects| {
        let ours = objects.iter().filter(|(name, _)| name.starts_with("ClusterRole/partner-integration-operator"));
        ours.flat_map(|(_, role)| grants(&role["rules"])).collect::<BTreeSet<_>>()
    };
    assert_eq!(all(&deployed), all(&chart));
    let arguments = |objects: &Objects| operator_arguments(objects).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(arguments(&deployed), arguments(&chart));
}

fn operator_arguments(objects: &Objects) -> Vec<String> {
    let deployment = &objects["Deployment/partner-integration-system/partner-integration-operator"];
    serde_json::from_value(deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone()).unwrap()
}

#[test]
fn the_operator_knows_every_argument_that_the_chart_gives_it() {
    let switched = json!({
        "allowNetworks": ["10.0.0.0/8", "fd00::/8"], "bindings": {"enabled": true}, "replicas": 1,
        "leaderElection": {"enabled": false}, "metrics": {"integrationMetrics": false},
        "otlp": {"endpoint": "http://collector.monitoring:4317"},
    });
    let namespaced = json!({"watchNamespaces": ["shop", "games"], "partnerStatus": true, "secretWatch": "none"});
    for values in [json!({}), switched, namespaced] {
        let arguments = operator_arguments(&objects(&rendered(&values).unwrap()));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_partner-integration-operator"));
        let output = run(command.args(&arguments).arg("--help"), "");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Applied as a dry run, with strict validation, and without a warning: of Pod Security, which the namespace enforces, or of any other.
async fn accepted(plane: &ControlPlane, what: &str, manifests: &str) {
    let arguments = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    let ran = plane.kubectl_ran(&plane.kubeconfig(), &arguments, manifests).await.unwrap();
    assert!(ran.ok && ran.stderr.is_empty(), "{what}: {}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), objects(manifests).len(), "{what}: {}", ran.stdout);
}

#[test]
fn the_operator_may_do_what_the_design_says_and_nothing_else() {
    const READ: [&str; 3] = ["get", "list", "watch"];
    let of = |values: Value| {
        let mut of_roles = BTreeMap::new();
        for (name, role) in objects(&rendered(&values).unwrap()) {
            if name.starts_with("Role/") || name == "ClusterRole/partner-integration-operator" {
                of_roles.insert(name, grants(&role["rules"]));
            }
        }
        of_roles
    };
    let set = |table: &[(&str, &[&str])]| -> BTreeSet<String> {
        table.iter().flat_map(|(resource, verbs)| verbs.iter().map(move |verb| format!("{resource} {verb}"))).collect()
    };
    let group = |resource: &str| format!("integrations.kognitiv.com/{resource}");
    let (partners, partner_status) = (group("partners"), group("partners/status"));
    let (integrations, status) = (group("partnerintegrations"), group("partnerintegrations/status"));
    let namespaced = |secrets: &'static [&'static str]| {
        set(&[
            (&integrations, &READ),
            (&status, &["patch"]),
            ("events.k8s.io/events", &["create"]),
            ("/secrets", secrets),
        ])
    };
    let catalogue = set(&[(&partners, &READ)]);
    let catalogue_status = set(&[(&partners, &READ), (&partner_status, &["patch"])]);
    let cluster = "ClusterRole/partner-integration-operator".to_owned();
    let lease = "Role/partner-integration-system/partner-integration-operator-lease".to_owned();
    let shop = "Role/shop/partner-integration-operator".to_owned();
    let leases = set(&[("coordination.k8s.io/leases", &["get", "create", "update"])]);
    let all: BTreeSet<_> = catalogue_status.union(&namespaced(&READ)).cloned().collect();
    assert_eq!(of(json!({})), [(cluster.clone(), all), (lease.clone(), leases.clone())].into());

    let get: BTreeSet<_> = catalogue_status.union(&namespaced(&["get"])).cloned().collect();
    let one = json!({"secretWatch": "none", "replicas": 1, "leaderElection": {"enabled": false}});
    assert_eq!(of(one), [(cluster.clone(), get)].into());

    let some = json!({"watchNamespaces": ["shop"], "bindings": {"enabled": true}});
    let write = namespaced(&["get", "list", "watch", "create", "update", "delete"]);
    assert_eq!(of(some), [(cluster, catalogue), (lease, leases), (shop, write)].into());
}
