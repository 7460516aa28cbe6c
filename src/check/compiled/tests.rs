use serde_json::json;

use super::*;

fn spec(change: impl FnOnce(&mut serde_json::Value)) -> PartnerSpec {
    let mut spec = json!({
        "displayName": "Loyalty",
        "regions": [{"name": "eu1", "endpoint": "https://api.example"}],
        "authentication": {"headers": [{"name": "X-Key"}]},
        "check": {"path": "/v1/validate?full=1"},
    });
    change(&mut spec);
    serde_json::from_value(spec).unwrap()
}

fn compile(change: impl FnOnce(&mut serde_json::Value)) -> Result<CompiledCheck, PartnerFault> {
    CompiledCheck::parse(&spec(change))
}

fn is_usable(change: impl FnOnce(&mut serde_json::Value)) -> bool {
    compile(change).map_err(|fault| assert_eq!(fault, PartnerFault::Request)).is_ok()
}

#[test]
fn faults_are_found_in_order() {
    let bad = json!("body.");
    assert_eq!(
        compile(|s| {
            s["check"]["success"] = json!({"expression": bad});
            s["check"]["rejected"] = json!({"expression": bad});
            s["trustBundle"] = json!("none");
        })
        .err(),
        Some(PartnerFault::SuccessExpression)
    );
    assert_eq!(
        compile(|s| {
            s["check"]["rejected"] = json!({"expression": bad});
            s["trustBundle"] = json!("none");
        })
        .err(),
        Some(PartnerFault::RejectedExpression)
    );
    assert_eq!(compile(|s| s["trustBundle"] = json!("none")).err(), Some(PartnerFault::TrustBundle));
    assert!(compile(|_| {}).is_ok());
}

#[test]
fn a_body_is_needed_only_where_an_expression_reads_it() {
    let needs = |success: Option<&str>, rejected: Option<&str>| {
        let check = compile(|s| {
            s["check"]["success"] = json!({ "expression": success });
            s["check"]["rejected"] = json!({ "expression": rejected });
        })
        .unwrap();
        let codes = [401, 200, 500].map(|code| check.needs_body_of(check.by_code(code)));
        (check.needs_body(), codes)
    };
    assert_eq!(needs(None, None), (false, [false, false, false]));
    assert_eq!(needs(Some("status == 200"), Some("status == 1")), (false, [false, false, false]));
    assert_eq!(needs(Some("body.ok"), None), (true, [false, true, false]));
    assert_eq!(needs(None, Some("body.bad")), (true, [false, true, true]));
}

#[test]
fn a_request_that_may_not_be_made_is_never_made() {
    assert!(is_usable(|_| {}));
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "Cookie",
        "User-Agent",
        "Accept-Encoding",
        "Proxy-Authorization",
        "proxy-x",
        "",
        "a b",
        "a:b",
        "a\r\nb",
        "\u{e4}",
    ] {
        assert!(!is_usable(|s| s["check"]["headers"] = json!([{"name": name, "value": "v"}])), "{name}");
        assert!(!is_usable(|s| s["authentication"]["headers"] = json!([{"name": name}])), "key in {name}");
    }
    for value in ["a\nb", "a\0", "\u{e4}", "a\tb"] {
        assert!(!is_usable(|s| s["check"]["headers"] = json!([{"name": "X-A", "value": value}])), "{value:?}");
        assert!(!is_usable(|s| s["authentication"]["headers"][0]["prefix"] = json!(value)), "prefix {value:?}");
    }
    assert!(!is_usable(|s| s["check"]["headers"] = json!([{"name": "x-kEY", "value": "v"}])));
    assert!(!is_usable(
        |s| s["check"]["headers"] = json!([{"name": "X-A", "value": "v"}, {"name": "x-a", "value": "v"}])
    ));
    assert!(!is_usable(|s| s["authentication"]["headers"] = json!([{"name": "X-A"}, {"name": "x-a"}])));
    assert!(!is_usable(|s| {
        s["authentication"] = json!({"bearer": {}});
        s["check"]["headers"] = json!([{"name": "Authorization", "value": "v"}]);
    }));
    for authentication in [
        json!({}),
        json!({"headers": []}),
        json!({"bearer": {}, "basic": {"username": "u"}}),
        json!({"bearer": {}, "headers": [{"name": "X-A"}]}),
    ] {
        assert!(!is_usable(|s| s["authentication"] = authentication.clone()), "{authentication}");
    }
    for path in
        ["", "v1", "//evil.example", "/a\\b", "/a#b", "/a b", "/\u{e4}", "@evil.example/", ".evil.example/", ":444/"]
    {
        assert!(!is_usable(|s| s["check"]["path"] = json!(path)), "{path}");
    }
    assert!(!is_usable(|s| s["check"]["body"] = json!("x")));
    assert!(is_usable(|s| {
        s["check"]["body"] = json!("x");
        s["check"]["method"] = json!("POST");
    }));
}

#[test]
fn the_address_is_endpoint_and_path_as_text_and_stays_at_the_endpoint() {
    let address = |endpoint: &str, path: &str| {
        let check = compile(|s| s["check"]["path"] = json!(path)).unwrap();
        check.request.address(endpoint).map(|url| url.to_string())
    };
    for (endpoint, path, expected) in [
        ("https://a.example", "/v1?x=1", Some("https://a.example/v1?x=1")),
        ("https://a.example:8443/base", "/v1", Some("https://a.example:8443/base/v1")),
        ("https://a.example:443", "/", Some("https://a.example/")),
        ("https://[2606:4700::1111]", "/v1", Some("https://[2606:4700::1111]/v1")),
        ("https://0x08080808", "/v1", Some("https://8.8.8.8/v1")),
        // Refused at apply; nothing is dialled for them either.
        ("http://a.example", "/v1", None),
        ("https://u@a.example", "/v1", None),
        ("https://u:p@a.example", "/v1", None),
        ("https://a.example?x=", "/v1", None),
        ("https://a.example#", "/v1", None),
        ("https://", "/v1", None),
        ("ftp://a.example", "/v1", None),
        ("a.example", "/v1", None),
        ("https://1.2.3.4.5", "/v1", None),
        ("https://a.example/base", "/../../v1", None),
    ] {
        assert_eq!(address(endpoint, path).as_deref(), expected, "{endpoint} {path}");
    }
}

#[test]
fn a_timeout_out_of_range_is_clamped() {
    for (text, seconds) in [("10s", 10), ("10ms", 1), ("0s", 1), ("24h", 60)] {
        assert_eq!(compile(|s| s["check"]["timeout"] = json!(text)).unwrap().timeout().as_secs(), seconds, "{text}");
    }
}
