// Included by the fuzz target of this name, and by the unit test that runs the kept corpus.

use std::sync::LazyLock;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use partner_integration_operator::api::PartnerSpec;
use partner_integration_operator::check::CompiledCheck;
use partner_integration_operator::check::fuzzing::judged;
use partner_integration_operator::core::{Reason, Verdict};
use serde_json::{Value, json};

/// Without an expression; with one that is easy to say in other words; with many things that an expression may do.
static CHECKS: LazyLock<[CompiledCheck; 3]> = LazyLock::new(|| {
    let all = "has(body.items) && body.items.filter(i, i.on).all(i, i.n > 1) || body.name.matches('^a+b') \
               || size(body.list) > 2 && body.list[1] + 1.0 < 3.0 || 'k' in body.map";
    [
        compiled(json!({})),
        compiled(json!({
            "success": {"expression": "body.valid == true"}, "rejected": {"expression": "body.error == 'revoked'"},
        })),
        compiled(json!({"success": {"expression": all, "statusCodes": [200, 404]}, "rejected": {"statusCodes": [400]}})),
    ]
});

fn compiled(check: Value) -> CompiledCheck {
    let mut whole = json!({"path": "/v1"});
    whole.as_object_mut().unwrap().extend(check.as_object().unwrap().clone());
    let spec: PartnerSpec = serde_json::from_value(json!({
        "displayName": "P", "regions": [{"name": "r", "endpoint": "https://api.example"}],
        "authentication": {"bearer": {}}, "check": whole,
    }))
    .unwrap();
    CompiledCheck::parse(&spec).unwrap()
}

/// From an answer to its outcome: any code, any headers, any body.
pub fn property(bytes: &[u8]) {
    // One byte for the check, two for the code, a line of headers `name:value` with tabs between, then the body.
    let [which, high, low, rest @ ..] = bytes else { return };
    let check = &CHECKS[usize::from(*which) % CHECKS.len()];
    let code = 100 + u16::from_be_bytes([*high, *low]) % 900;
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (head, body) = rest.split_at(end);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let pairs: Vec<(HeaderName, HeaderValue)> = head.split(|byte| *byte == b'\t').filter_map(header).collect();
    // By name, so that turning them round does not turn round those of one name.
    let mut kept: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in pairs {
        if kept.iter().all(|(known, _)| *known != name) {
            kept.push((name, value));
        }
    }
    let now = Timestamp::from_second(784_111_740).unwrap();
    let outcome = |headers: HeaderMap, body| judged(check, code, &headers, body, now).expect("judging panicked");
    let verdict = outcome(kept.iter().cloned().collect(), Some(body));
    assert_eq!(verdict, outcome(kept.iter().rev().cloned().collect(), Some(body)), "the order of headers matters");

    match &verdict {
        Verdict::Connected => assert!((200..300).contains(&code) || code == 404, "{code} is connected"),
        Verdict::Failed(failure) => {
            assert_eq!(failure.code, Some(code));
            assert!(failure.retry_after.is_none() || code == 429 || code == 503, "{failure:?}");
        }
        Verdict::NotMade(reason) => panic!("{reason}"),
    }
    if usize::from(*which) % CHECKS.len() == 1 && code == 200 {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let field = |name| json.as_ref().and_then(|json| json.as_object()?.get(name));
        let expected = if field("error") == Some(&json!("revoked")) {
            Some(Reason::CredentialRejected)
        } else {
            (field("valid") != Some(&json!(true))).then_some(Reason::UnexpectedResponse)
        };
        let reason = match verdict {
            Verdict::Failed(failure) => Some(failure.reason),
            _ => None,
        };
        assert_eq!(reason, expected, "{}", String::from_utf8_lossy(body));
    }
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
}
