//! The integration beside all others, which connects and rotates its key the whole time: nothing that others write stops it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::ground::Ground;
use crate::rows;
use crate::schema::Kind;

/// So many rotations of one integration stay within its budget of checks at once.
const ROTATIONS: u64 = 6;
/// A moment between two of them.
const PACE: Duration = Duration::from_millis(400);

/// What the canary has done.
#[derive(Default)]
pub struct Canary {
    pub connected: AtomicU64,
    pub rotated: AtomicU64,
    /// Set when the others are done.
    pub stop: AtomicBool,
}

impl Canary {
    /// Connects and rotates until it is stopped, and asks `/livez` each time.
    pub async fn sing(&self, ground: &Ground, partner: &str) {
        let namespace = ground.namespace("canary").await;
        for song in 0_u64.. {
            let name = format!("canary-{song}");
            if let Err(problem) = self.song(ground, partner, &namespace, &name).await {
                ground.violation(format!("the canary: {problem}"));
            }
            ground.remove(&namespace, &name).await;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// One integration: connected, and each new key proved.
    pub async fn song(&self, ground: &Ground, partner: &str, namespace: &str, name: &str) -> Result<(), String> {
        let said = |status: Box<kube::core::Status>| status.message;
        for rotation in 0..=ROTATIONS {
            let key = format!("{name}-{rotation}");
            ground.sim.accept("eu1", &key);
            let secret = ground.secret(namespace, name, json!({"api-key": key})).await;
            if rotation == 0 {
                let spec = json!({
                    "partner": partner, "region": "eu1", "apiKeySecretRef": {"name": name},
                    "binding": {"secretName": format!("{name}-binding")},
                });
                let object = json!({"apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration", "spec": spec});
                ground.create(Kind::Integration, namespace, name, object).await.map_err(said)?;
            }
            let version = secret["metadata"]["resourceVersion"].clone();
            ground
                .until(Kind::Integration, namespace, name, "connected with the newest key", |object| {
                    object["status"]["verified"]["secretResourceVersion"] == version
                        && rows::reason(object, "Ready") == "Connected"
                        && object["status"]["binding"]["name"].is_string()
                })
                .await?;
            let count = if rotation == 0 { &self.connected } else { &self.rotated };
            count.fetch_add(1, Ordering::Relaxed);
            let live = ground.live().await?;
            if live != 200 {
                return Err(format!("/livez: {live}"));
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }
}
