//! The right to read Secrets is taken and given back: what failed for it is Enabled again by itself.

use serde_json::{Value, json};

use crate::cases::Bases;
use crate::ground::Ground;
use crate::rows;
use crate::schema::Kind;

/// The role of the operator that lets it read Secrets.
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/partner-integration-operator";

/// Takes the right, waits for the failure, gives the right back, waits for the connection. Gives how many came back.
pub async fn run(ground: &Ground, bases: &Bases) -> u64 {
    let namespace = ground.namespace("forbidden").await;
    let role: Value = ground.client.request(http::Request::get(ROLE).body(Vec::new()).unwrap()).await.unwrap();
    let rules = role["rules"].clone();
    let mut less = rules.as_array().cloned().unwrap_or_default();
    less.retain(|rule| rule["resources"] != json!(["secrets"]));
    ground.write("PATCH", ROLE, &json!({"rules": less})).await.unwrap();
    let mut object = bases.integration.clone();
    object["spec"]["partner"] = json!("base");
    ground.create(Kind::Integration, &namespace, "it", object).await.unwrap();
    let reaches = async |reason: &str| {
        let wanted = |object: &Value| rows::is_observed(object) && rows::reason(object, "Connected") == reason;
        ground.until(Kind::Integration, &namespace, "it", reason, wanted).await
    };
    let failed = reaches("SecretForbidden").await;
    ground.write("PATCH", ROLE, &json!({"rules": rules})).await.unwrap();
    match (failed, reaches("Connected").await) {
        (Ok(_), Ok(_)) => return 1,
        (failed, recovered) => {
            for problem in [failed.err(), recovered.err()].into_iter().flatten() {
                ground.violation(format!("{problem}\n  again: {}", crate::again("forbidden", 0)));
            }
        }
    }
    0
}
