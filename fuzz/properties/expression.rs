// Included by the fuzz target of this name, and by the unit test that runs the kept corpus.

use std::sync::LazyLock;

use http::HeaderMap;
use jiff::Timestamp;
use partner_integration_operator::api::PartnerSpec;
use partner_integration_operator::check::fuzzing::judged;
use partner_integration_operator::check::{CompiledCheck, MAX_EXPRESSION};
use serde_json::json;

static SPEC: LazyLock<PartnerSpec> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "displayName": "P", "regions": [{"name": "r", "endpoint": "https://api.example"}],
        "authentication": {"bearer": {}}, "check": {"path": "/v1", "success": {"expression": ""}},
    }))
    .unwrap()
});

/// Answers of several shapes, one of them as wide as a body may be.
static BODIES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let usual = json!({
        "valid": true, "n": 1, "f": 1.5, "name": "aaab", "list": [1, 2, 3], "map": {"k": "v"},
        "items": [{"on": true, "n": 2}, {"on": false}], "null": null,
    });
    let wide = format!("{{\"items\":[{}0],\"list\":[]}}", "{\"n\":0},".repeat(7000));
    [usual.to_string().into_bytes(), wide.into_bytes(), b"<html>".to_vec()]
});

/// Any text as an expression: it is refused, or it can be asked about any answer, in time, and says the same twice.
pub fn property(text: &str) {
    let mut spec = SPEC.clone();
    if let Some(success) = spec.check.success.as_mut() {
        success.expression = Some(text.to_owned());
    }
    let Ok(check) = CompiledCheck::parse(&spec) else { return };
    assert!(text.len() <= MAX_EXPRESSION);
    let now = Timestamp::UNIX_EPOCH;
    for body in BODIES.iter() {
        let judge = || judged(&check, 200, &HeaderMap::new(), Some(body), now).expect("judging panicked");
        assert_eq!(judge(), judge(), "{text:?} is not the same twice");
    }
}
