//! What is read off objects of the API.

use serde_json::{Value, json};

use crate::support::proxy::Exchange;

/// A spec with everything that there is to set.
pub fn configured() -> Value {
    json!({"region": "eu1", "apiKeySecretRef": {"name": "key"}, "binding": {"secretName": "bound"}})
}

/// Uid and resourceVersion.
pub fn version(object: &Value) -> (String, String) {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("uid"), text("resourceVersion"))
}

/// Uid and generation.
pub fn of(integration: &Value) -> (String, i64) {
    (version(integration).0, integration["metadata"]["generation"].as_i64().unwrap_or_default())
}

/// The reason of a condition.
pub fn condition<'a>(status: &'a Value, kind: &str) -> &'a str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.filter(|found| found["type"] == kind).find_map(|found| found["reason"].as_str()).unwrap_or_default()
}

/// Whether it writes the status of an integration.
pub fn is_status_write(exchange: &Exchange) -> bool {
    exchange.asked.writes_status_of("partnerintegrations")
}

/// The newest integration that a status write has been answered with, and its resourceVersion.
pub fn last_status(exchanges: &[Exchange]) -> (u64, Value) {
    let written = exchanges.iter().rev().find(|it| is_status_write(it) && it.is_committed());
    let version = |answer: &Value| version(answer).1.parse().unwrap_or_default();
    written.map_or((0, Value::Null), |it| (version(&it.answer), it.answer.clone()))
}
