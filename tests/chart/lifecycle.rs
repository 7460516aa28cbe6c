//! The life of a release on a real API server: installed, upgraded, rolled back, uninstalled, installed again; and what stays.
//!
//! Nothing schedules pods here, so helm waits for nothing; the end-to-end test on a real node does.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::helm::{CHART, NAMESPACE, RELEASE, ROOT, helm, run};
use crate::schemas::restricted_namespace;
use crate::support::controlplane::{ControlPlane, Options};

struct Release<'a> {
    plane: &'a ControlPlane,
    home: tempfile::TempDir,
}

impl Release<'_> {
    /// Runs helm; a failure, and a warning of the API server, fail the test.
    fn helm(&self, arguments: &[&str]) -> String {
        let mut command = helm(self.home.path());
        let kubeconfig = self.plane.kubeconfig();
        command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", NAMESPACE]).args(arguments);
        let output = run(&mut command, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.to_lowercase().contains("warn"), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn get(&self, what: &str) -> Option<Value> {
        let [kind, name] = what.split('/').collect::<Vec<_>>()[..] else { panic!("{what}") };
        let arguments = ["get", kind, name, "-o", "json", "--ignore-not-found", "-n", NAMESPACE];
        let text = self.plane.kubectl(&arguments).await.unwrap();
        (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap())
    }

    async fn image(&self) -> String {
        let deployment = self.get(&format!("deployment/{RELEASE}")).await.unwrap();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    }

    /// Who the users' objects are: their uids change when they are deleted and made anew.
    async fn uids(&self) -> Vec<Value> {
        let mut uids = Vec::new();
        for what in OBJECTS {
            uids.push(self.get(what).await.unwrap_or_else(|| panic!("{what} is gone"))["metadata"]["uid"].clone());
        }
        uids
    }
}

/// What must never go by itself.
const OBJECTS: [&str; 4] = [
    "crd/partners.integrations.kognitiv.com",
    "crd/partnerintegrations.integrations.kognitiv.com",
    "partner/acme-loyalty",
    "partnerintegration/acme-loyalty",
];

/// The chart of the next version: another image, and a CRD with one more column.
fn next_chart(folder: &Path) -> String {
    let copied = Command::new("cp").arg("-R").arg(CHART).arg(folder).status().unwrap();
    assert!(copied.success());
    let chart = folder.join(Path::new(CHART).file_name().unwrap());
    let edit = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(chart.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(chart.join(file), text.replace(from, to)).unwrap();
    };
    edit("Chart.yaml", concat!("ersion: ", env!("CARGO_PKG_VERSION")), "ersion: 99.0.0");
    let column = "additionalPrinterColumns:\n  - {name: New, type: string, jsonPath: .metadata.name}\n";
    edit("files/crds/partners.yaml", "additionalPrinterColumns:\n", &column.replace("  -", "    -"));
    chart.display().to_string()
}

#[tokio::test]
async fn upgrade_rollback_and_uninstall_keep_crds_and_objects() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    restricted_namespace(&plane).await;
    let release = Release { plane: &plane, home: tempfile::tempdir().unwrap() };
    let notes = release.helm(&["install", RELEASE, CHART]);
    assert!(notes.contains("Next: a partner in the catalogue"), "{notes}");
    let first = release.image().await;

    plane.kubectl(&["apply", "-f", &format!("{ROOT}/deploy/samples/partner.yaml")]).await.unwrap();
    let integration = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
        "metadata": {"name": "acme-loyalty", "namespace": NAMESPACE}, "spec": {"partner": "acme-loyalty"},
    });
    plane.kubectl_with(&["apply", "-f", "-"], &integration.to_string()).await.unwrap();
    let before = release.uids().await;

    let folder = tempfile::tempdir().unwrap();
    release.helm(&["upgrade", RELEASE, &next_chart(folder.path())]);
    assert!(release.image().await.ends_with(":99.0.0"));
    let columns = async || {
        let crd = release.get(OBJECTS[0]).await.unwrap();
        crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap().len()
    };
    let more = columns().await;
    assert_eq!(release.uids().await, before);

    release.helm(&["rollback", RELEASE, "1"]);
    assert_eq!(release.image().await, first);
    assert_eq!(columns().await, more - 1);
    assert_eq!(release.uids().await, before);

    release.helm(&["uninstall", RELEASE]);
    let gone = [
        "deployment/partner-integration-operator",
        "clusterrole/partner-integration-operator",
        "validatingadmissionpolicy/may-read-secret",
    ];
    for what in gone {
        assert!(release.get(what).await.is_none(), "{what} is still there");
    }
    assert_eq!(release.uids().await, before);

    release.helm(&["install", RELEASE, CHART]);
    assert_eq!(release.uids().await, before);
    // Only who says so loses them.
    release.helm(&["upgrade", RELEASE, CHART, "--set", "crds.keep=false"]);
    assert_eq!(release.uids().await, before);
    release.helm(&["uninstall", RELEASE]);
    crate::support::wait_for("the CRDs to go", std::time::Duration::from_secs(30), async || {
        release.get(OBJECTS[0]).await.is_none()
    })
    .await
    .unwrap();
}
