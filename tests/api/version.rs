//! Which version of Kubernetes these tests ran against.

use crate::manifests::cluster;
use crate::support::controlplane::emulated;

#[tokio::test]
async fn the_api_server_is_of_the_version_that_was_asked_for() {
    let (plane, _) = cluster().await;
    let said: serde_json::Value =
        serde_json::from_str(&plane.kubectl(&["get", "--raw", "/version"]).await.unwrap()).unwrap();
    println!("{said}");
    if let Some(version) = emulated() {
        let minor = |field: &str| format!("1.{}", said[field].as_str().unwrap_or_default());
        assert_eq!(minor("emulationMinor"), version, "{said}");
    }
}
