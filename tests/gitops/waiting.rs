//! `kubectl wait`, as people and pipelines use it.

use serde_json::json;

use crate::stage::Stage;
use crate::support::controlplane::{ControlPlane, Ran};

async fn wait(plane: &ControlPlane, arguments: &[&str]) -> Ran {
    let arguments = [&["wait"], arguments].concat();
    plane.kubectl_ran(&plane.kubeconfig(), &arguments, "").await.unwrap()
}

#[tokio::test]
async fn kubectl_wait_waits_for_connected_and_ends_with_it() {
    let stage = Stage::new().await;
    let world = stage.world().await;
    let connected = ["pi/it", "-n", &world.namespace, "--for=condition=Connected"];
    let enabled = ["pi/it", "-n", &world.namespace, "--for=jsonpath={.status.phase}=Enabled", "--timeout=15s"];
    world.create_partner(json!({})).await;
    world.configure("it", "eu1", "it").await;

    let ran = wait(&stage.plane, &[&connected[..], &["--timeout=1s"]].concat()).await;
    assert!(!ran.ok && ran.stderr.contains("timed out"), "there is no operator yet: {ran:?}");
    let operator = stage.operator().await;
    world.reaches("it", "SecretNotFound").await;
    let ran = wait(&stage.plane, &[&connected[..], &["--timeout=1s"]].concat()).await;
    assert!(!ran.ok && ran.stderr.contains("timed out"), "it has failed: {ran:?}");

    // It waits while the key comes.
    let limited = [&connected[..], &["--timeout=15s"]].concat();
    let (ran, _) = tokio::join!(wait(&stage.plane, &limited), world.put_secret("it", b"a-good-key"));
    assert!(ran.ok && ran.stdout.contains("condition met"), "{ran:?}");
    let ran = wait(&stage.plane, &enabled).await;
    assert!(ran.ok, "{ran:?}");
    let partner = format!("partner/{}", world.namespace);
    let ran = wait(&stage.plane, &[&partner, "--for=condition=Ready", "--timeout=15s"]).await;
    assert!(ran.ok, "{ran:?}");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
