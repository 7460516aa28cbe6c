//! The real helm, and what it renders.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// The root of the repository.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The chart.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/partner-integration-operator");
/// The release, as in all examples; its objects have the same name.
pub const RELEASE: &str = "partner-integration-operator";
/// Its namespace.
pub const NAMESPACE: &str = "partner-integration-system";

/// A tool of `hack/tools`.
pub fn tool(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let found = Command::new("hack/tools/build.sh").current_dir(ROOT).arg("--print-dir").output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).unwrap().trim().into()
    });
    folder.join(name)
}

/// Runs a program to its end with this input; gives what it said, whatever its exit code.
pub fn run(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end without reading: that is seen in how it ended.
    let feed = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output
}

/// helm with folders of its own: nothing of the user's is read, and nothing is left there.
pub fn helm(home: &Path) -> Command {
    let mut command = Command::new(tool("helm"));
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME"] {
        command.env(name, home);
    }
    command.env_remove("KUBECONFIG").env_remove("HELM_NAMESPACE");
    command
}

/// What `helm template` gives for these values; the error is what it says.
pub fn rendered(values: &Value) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let mut command = helm(home.path());
    command.args(["template", RELEASE, CHART, "--namespace", NAMESPACE, "--values"]).arg(&file);
    let output = run(&mut command, "");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Values with everything on that is off by default.
pub fn everything() -> Value {
    let on = json!({"enabled": true});
    json!({
        "bindings": on,
        "allowNetworks": ["10.0.0.0/8"],
        "otlp": {"endpoint": "http://collector:4317"},
        "priorityClassName": "system-cluster-critical",
        "metrics": {"podMonitor": on, "serviceMonitor": on, "prometheusRule": on, "dashboard": on},
        "networkPolicy": {
            "from": [{"namespaceSelector": {}}],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        },
    })
}

/// The values of a file.
pub fn values_of(file: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(Path::new(CHART).join(file)).unwrap()).unwrap()
}
