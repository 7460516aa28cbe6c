//! The table of what a status says, as a judge of any status that an operator has written.

use partner_integration_operator::core::Reason;
use serde_json::Value;

/// Phase, status and reason of Ready, and which of Reconciling and Stalled there is.
type Row<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

fn row<'a>(reason: &'a str, ready: &'a str, configured: bool) -> Option<Row<'a>> {
    Some(match reason {
        "Suspended" => ("Available", "True", reason, None),
        "NotConfigured" => ("Available", "True", "Added", None),
        "PartnerNotFound" if !configured => ("Available", "False", reason, Some("Reconciling")),
        "Connected" | "CheckFailing" => match ready {
            "BindingNotOwned" | "BindingsDisabled" => ("Enabled", "False", ready, Some("Stalled")),
            "BindingFailed" => ("Enabled", "False", ready, Some("Reconciling")),
            _ => ("Enabled", "True", reason, None),
        },
        "PartnerNotFound" | "SecretNotFound" | "SecretKeyNotFound" | "SecretForbidden" | "DNSFailure"
        | "ConnectFailed" | "Timeout" | "RateLimited" | "PartnerUnavailable" => {
            ("Failed", "False", reason, Some("Reconciling"))
        }
        "PartnerInvalid" | "RegionNotFound" | "EndpointForbidden" | "InvalidCredential" | "CredentialRejected"
        | "RedirectRefused" | "TLSFailed" | "UnexpectedResponse" => ("Failed", "False", reason, Some("Stalled")),
        _ => return None,
    })
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The reason of a condition; empty where there is none.
pub fn reason<'a>(object: &'a Value, kind: &str) -> &'a str {
    condition(object, kind).and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
}

/// Whether the status is about the spec as it is.
pub fn is_observed(object: &Value) -> bool {
    object["metadata"]["generation"].is_i64()
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// Whether a reason is what a check came to: then the failures that are counted are of what is asked for now.
pub fn is_of_a_check(reason: &str) -> bool {
    let outcomes = [
        "Connected",
        "CheckFailing",
        "DNSFailure",
        "ConnectFailed",
        "Timeout",
        "RateLimited",
        "PartnerUnavailable",
        "InvalidCredential",
        "CredentialRejected",
        "RedirectRefused",
        "TLSFailed",
        "UnexpectedResponse",
    ];
    outcomes.contains(&reason)
}

/// What is wrong with the status of an integration, whenever it was written; the default one is not judged.
pub fn wrong(object: &Value) -> Option<String> {
    let status = &object["status"];
    let generation = status["observedGeneration"].as_i64().unwrap_or(-1);
    if generation == -1 {
        return None;
    }
    let (reason, ready) = (reason(object, "Connected"), reason(object, "Ready"));
    let problem = problem(object, generation, reason, ready)?;
    Some(format!("{problem}: {status}"))
}

fn problem(object: &Value, generation: i64, reason: &str, ready: &str) -> Option<String> {
    let status = &object["status"];
    if Reason::parse(reason).is_none() || Reason::parse(ready).is_none() {
        return Some(format!("no reason of the table: {reason:?}, {ready:?}"));
    }
    // The spec may be a newer one than the status is about.
    let current = is_observed(object);
    let configured = !object["spec"]["region"].is_null();
    let Some(expected) = [configured, !configured]
        .into_iter()
        .take(if current { 1 } else { 2 })
        .filter_map(|configured| row(reason, ready, configured))
        .find(|(phase, ..)| status["phase"] == *phase)
    else {
        return Some(format!("no row for {reason} with phase {}", status["phase"]));
    };
    let (phase, is, why, extra) = expected;
    let connected = phase == "Enabled";
    let says = |kind: &str, is: &str, why: &str| {
        condition(object, kind).is_some_and(|found| found["status"] == is && found["reason"] == why)
    };
    if status["connected"] != connected || !says("Connected", if connected { "True" } else { "False" }, reason) {
        return Some(format!("Connected is not that of {reason}"));
    }
    if !says("Ready", is, why) {
        return Some(format!("Ready is not that of {reason}"));
    }
    for kind in ["Reconciling", "Stalled"] {
        let right = if extra == Some(kind) { says(kind, "True", why) } else { condition(object, kind).is_none() };
        if !right {
            return Some(format!("{kind} is not that of {reason}"));
        }
    }
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if conditions.iter().any(|found| found["observedGeneration"] != generation || found["message"] == "") {
        return Some("a condition without a message or of another generation".to_owned());
    }
    if status["verified"].is_null() == connected {
        return Some("verified is there only while connected".to_owned());
    }
    (reason == "Connected" && !status["failing"].is_null()).then(|| "failures are counted of what is well".to_owned())
}
