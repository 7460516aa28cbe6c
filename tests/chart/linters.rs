//! What the usual linters say of the chart. A finding is mended, or explained in a comment beside what causes it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::helm::{CHART, NAMESPACE, ROOT, everything, helm, rendered, run, tool, values_of};
use crate::schemas::{self, cluster};

/// Where kinds that the chart has are served.
const GROUPS: [&str; 9] = [
    "api/v1",
    "apis/apps/v1",
    "apis/policy/v1",
    "apis/networking.k8s.io/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/admissionregistration.k8s.io/v1",
    "apis/monitoring.coreos.com/v1",
    "apis/integrations.kognitiv.com/v1alpha1",
];

#[test]
fn helm_lint_is_content() {
    let home = tempfile::tempdir().unwrap();
    for values in ["values.yaml", "ci/namespaced-values.yaml", "ci/high-availability-values.yaml"] {
        let mut command = helm(home.path());
        command
            .args(["lint", "--strict", CHART, "--namespace", NAMESPACE, "--values"])
            .arg(format!("{CHART}/{values}"));
        let output = run(&mut command, "");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !said.contains("[WARNING]"), "{values}: {said}");
    }
}

#[tokio::test]
async fn everything_is_as_the_schemas_of_the_api_server_say() {
    let (_, client) = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    schemas::write(&client, &GROUPS, folder.path()).await;
    let location =
        format!("{}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json", folder.path().display());
    let judged = |manifests: &str| {
        let mut command = Command::new(tool("kubeconform"));
        command.args(["-strict", "-summary", "-output", "json", "-schema-location", &location]);
        let output = run(&mut command, manifests);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for values in
        [json!({}), everything(), values_of("ci/namespaced-values.yaml"), values_of("ci/high-availability-values.yaml")]
    {
        let (well, said) = judged(&rendered(&values).unwrap());
        assert!(well, "{values}: {said}");
    }
    for sample in ["catalogue/datadog.yaml", "samples/connected.yaml", "samples/partner.yaml"] {
        let (well, said) = judged(&std::fs::read_to_string(format!("{ROOT}/deploy/{sample}")).unwrap());
        assert!(well, "{sample}: {said}");
    }
    // It can say no: a field that does not exist, and one of the wrong type.
    for (right, wrong) in
        [("replicas: 2", "replica: 2"), ("replicas: 2", "replicas: two"), ("runAsNonRoot: true", "runAsNoRoot: true")]
    {
        let (well, said) = judged(&rendered(&json!({})).unwrap().replace(right, wrong));
        assert!(!well && (said.contains("additional properties") || said.contains("got string")), "{wrong}: {said}");
    }
}

/// The findings that comments of the chart explain: `LINTER ID[, LINTER ID]: why`.
fn explained(linter: &str) -> BTreeSet<String> {
    let mut texts = vec![std::fs::read_to_string(format!("{CHART}/values.yaml")).unwrap()];
    for entry in std::fs::read_dir(format!("{CHART}/templates")).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let mut ids = BTreeSet::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let comment = line.trim_start().trim_start_matches("{{- /*").trim_start_matches('#').trim_start();
        if let Some((findings, _)) =
            comment.split_once(": ").filter(|(head, _)| head.starts_with("kube-score ") || head.starts_with("checkov "))
        {
            ids.extend(
                findings.split(", ").filter_map(|each| each.strip_prefix(linter)?.strip_prefix(' ')).map(str::to_owned),
            );
        }
    }
    ids
}

#[test]
fn kube_score_finds_what_is_explained_and_nothing_else() {
    let mut command = Command::new(tool("kube-score"));
    command.args(["score", "--kubernetes-version", "v1.34", "--output-format", "json", "-"]);
    let output = run(&mut command, &rendered(&json!({})).unwrap());
    let scored: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = BTreeSet::new();
    for check in scored.as_array().unwrap().iter().flat_map(|object| object["checks"].as_array().unwrap()) {
        // 10 is the best grade; below it are warnings (5) and critical findings (1).
        if check["skipped"] != true && check["grade"].as_i64().unwrap() < 10 {
            found.insert(check["check"]["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(found, explained("kube-score"), "left: found; right: explained in comments of the chart");
}

#[test]
fn checkov_finds_what_is_explained_and_nothing_else() {
    let path = Command::new(format!("{ROOT}/hack/tools/checkov.sh")).arg("--print-path").output().unwrap();
    if !path.status.success() {
        eprintln!("the chart was not judged by checkov: {}", String::from_utf8_lossy(&path.stderr));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    std::fs::write(&file, rendered(&json!({})).unwrap()).unwrap();
    let mut command = Command::new(String::from_utf8(path.stdout).unwrap().trim());
    command
        .args(["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--output", "json", "--file"])
        .arg(&file);
    let output = run(command.env("HOME", folder.path()), "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["summary"]["passed"].as_i64() > Some(100), "{report:#}");
    let failed = report["results"]["failed_checks"].as_array().unwrap();
    let found: BTreeSet<_> = failed.iter().map(|check| check["check_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, explained("checkov"), "left: found; right: explained in comments of the chart");
}
