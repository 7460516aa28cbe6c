use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

fn holds(text: &str, status: u16, body: Option<&serde_json::Value>) -> bool {
    let expression = Expression::parse(text).unwrap_or_else(|_| panic!("refused: {text}"));
    stack::run_blocking(|| expression.holds(status, body)).unwrap_or_else(|| panic!("panicked: {text}"))
}

fn body() -> serde_json::Value {
    json!({
        "valid": true, "no": false, "none": null, "count": 1, "big": 18_446_744_073_709_551_615_u64, "ratio": 0.5,
        "whole": 2.0, "text": "hello", "scopes": ["read", "write"],
        "items": [{"name": "a", "on": true, "n": 1}, {"name": "b", "on": false, "n": 2}],
        "parts": {"x": {"ok": true}, "y": {"ok": true}},
    })
}

#[test]
fn expressions_that_people_write_hold() {
    for text in [
        "true",
        "status == 200",
        "status in [200, 204]",
        "status >= 200 && status < 300",
        "body.valid",
        "body.valid == true",
        "!body.no",
        "body.none == null",
        "body.count == 1",
        "body.count == 1.0",
        "body.count > 0.5",
        "body.count < 2",
        "body.big > 5u",
        "body.ratio < 1.0",
        "body.ratio < 1",
        "body.whole == 2",
        "body['text'] == 'hello'",
        "body.text.startsWith('he') && body.text.contains('ll') && body.text.endsWith('o')",
        "body.text.matches('^h.*o$')",
        "size(body.scopes) == 2",
        "body.scopes.size() == 2",
        "'write' in body.scopes",
        "body.scopes[0] == 'read'",
        "has(body.valid)",
        "!has(body.missing)",
        "has(body.a) ? body.a == 1 : body.valid",
        "body.missing == 1 || body.valid",
        "body.items.exists(i, i.on)",
        "body.items.all(i, i.n > 0)",
        "body.items.exists_one(i, i.name == 'b' && status == 200)",
        "body.items.filter(i, i.on).size() == 1",
        "body.items.map(i, i.name) == ['a', 'b']",
        "'a' in body.items.map(i, i.name)",
        "body.items.filter(i, i.on).map(i, i.name)[0] == 'a'",
        "body.items.map(i, i.n > 1, i.name) == ['b']",
        "body.parts.all(k, body.parts[k].ok)",
        "body.parts.exists(k, k == 'x' && body.parts[k].ok)",
        "type(body.count) == int",
        "string(body.count) == '1'",
        "body.items[0].n + body.items[1].n == 3",
        "{'a': 1}.a == body.count",
        "[1, 2].exists(x, x == body.count) || true",
    ] {
        if text.starts_with("[1, 2].exists") {
            assert!(Expression::parse(text).is_err(), "{text}");
        } else {
            assert!(holds(text, 200, Some(&body())), "{text}");
        }
    }
}

#[test]
fn what_fails_or_is_no_boolean_or_lacks_its_body_counts_as_false() {
    for text in [
        "false",
        "status == 500",
        "body.missing",
        "body.missing == 1",
        "body.text",
        "body.count",
        "1",
        "'true'",
        "null",
        "body",
        "[true]",
        "body.text > 1",
        "1 / 0 == 1",
        "body.items[9].on",
        "body.text.no == 1",
        "int(body.text) == 1",
        "9223372036854775807 + status > 0",
        "body.items.map(i, i.name)",
        "body[status]",
        "-9223372036854775808 / -1 == 1",
        "-9223372036854775808 % -1 == 0 && false",
        "bytes(body.text) == 1",
        "body.text[0] == 'h'",
    ] {
        assert!(!holds(text, 200, Some(&body())), "{text}");
    }
    assert!(!holds("body.valid || true", 200, None));
    assert!(!holds("status == 200 || body.valid", 200, None));
    assert!(holds("status == 200", 200, None));
    for scalar in [json!(null), json!(1), json!("x"), json!([])] {
        assert!(!holds("body.valid", 200, Some(&scalar)));
    }
}

#[test]
fn only_an_expression_that_mentions_the_body_reads_it() {
    for (text, reads) in [
        ("status == 200", false),
        ("'body' == 'body'", false),
        ("[1].exists(x, x == status)", false),
        ("body.valid", true),
        ("has(body.valid)", true),
        ("status == 200 || body == 1", true),
        ("body.parts.all(k, body.parts[k].ok)", true),
    ] {
        assert_eq!(Expression::parse(text).unwrap().reads_body(), reads, "{text}");
    }
}

#[test]
fn what_the_rules_exclude_is_refused_when_it_is_parsed() {
    let long = format!("status == 200 /*{}", " ".repeat(MAX_EXPRESSION));
    let exactly = format!("status == 200{}", " ".repeat(MAX_EXPRESSION - 13));
    assert!(Expression::parse(&exactly).is_ok());
    for text in [
        "",
        " ",
        "body.",
        "status = 200",
        "status == ",
        "))",
        "\0",
        "response.status == 200",
        "Body.valid",
        "header",
        "stat == 200 || true",
        "foo(1)",
        "body.lowerAscii() == 'x'",
        "body.foo()",
        "duration('1s') == duration('1s')",
        "optional.of(1).hasValue()",
        "body.?valid",
        "Message{a: 1} == 1",
        "body.a.b.c.d{x: 1}",
        "body.s.matches(body.p)",
        "'a'.matches('a' + 'b')",
        "'a'.matches('(')",
        "'a'.matches('\\\\w{100}{100}')",
        "'a'.matches('(a{1000}){1000}')",
        "body.items.exists(i, i.tags.exists(t, t == 'x'))",
        "body.a.all(x, body.b.all(y, y))",
        "[1].all(x, [1].all(y, true))",
        "body.a.all(x, body.b.all(y, x == y))",
        "body.a.map(x, body.b.filter(y, y))",
        "body.a.all(x, body == x)",
        "body.a.exists(x, x.matches('^a$'))",
        "body.a.exists(x, x in body.b)",
        "body.a.all(x, body.b[x].ok)",
        "body.a.map(x, x + x)",
        "body.a.map(x, [x, x])",
        "body.a.map(x, status)",
        "body.a.map(x, 'text')",
        "body.a.map(x, string(x))",
        "body.a.exists(status, status)",
        "body.a.exists(body, body)",
        "x",
        "body.a.all(x, true) && x",
        "__result__",
        "@result",
        "body.a.all(x, y)",
        long.as_str(),
    ] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
    assert!(Expression::parse(&["body.a"; 16].join("+")).is_ok());
    assert!(Expression::parse(&["body.a"; 17].join("+")).is_err());
}

#[test]
fn nothing_within_the_limits_overflows_the_stack() {
    let json = json!({"a": [1]});
    for token in [
        "(",
        "[",
        "{1:",
        "!",
        "-",
        "1?1:",
        "a.",
        "1+",
        "true&&",
        "1==",
        "f(",
        "size(",
        "\"a\"+",
        "a?",
        "[0]",
        ".a",
        ".size()",
        "-!",
        "! ",
        "'a'in[",
        "[1].map(x,",
        "true?(",
        "-(",
        "!(",
        "body.f(",
        "a{b:",
        "status*",
    ] {
        for (before, after, closer) in
            [("", "1", ""), ("", "", ""), ("body", "true", ")"), ("", "1", ")"), ("", "1", "]"), ("", "1", ":1")]
        {
            for times in [16, 17, 100, 1024] {
                let mut text = format!("{before}{}{after}{}", token.repeat(times), closer.repeat(times));
                text.truncate(MAX_EXPRESSION);
                if let Ok(expression) = Expression::parse(&text) {
                    stack::run_blocking(|| expression.holds(200, Some(&json)));
                }
            }
        }
    }
    assert!(holds(&format!("{}true{}", "(".repeat(16), ")".repeat(16)), 200, None));
}

/// The worst that was thought of within the rules, over the largest bodies. The bound is loose: debug builds and
/// busy machines are slow; what it excludes is the square of a body's length, which would be minutes.
#[test]
fn the_costliest_expressions_over_the_largest_bodies_end_soon() {
    let many: Vec<u8> = vec![1; 32_000];
    let list = json!({"a": many, "s": "x".repeat(100)});
    let objects: Vec<_> = (0..4000).map(|n| json!({"id": n})).collect();
    let objects = json!({ "a": objects });
    let text = json!({"a": [], "s": "x".repeat(65_000)});
    let keyed: serde_json::Map<String, serde_json::Value> = (0..6000).map(|n| (n.to_string(), json!(n))).collect();
    let keyed = json!({ "a": keyed });
    let chain = ["body.s"; 16].join("+");
    for expression in [
        "body.a.all(x, x == x && x == x && x == x && x == x && x in [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15])".to_owned(),
        "body.a.map(x, x).filter(x, true).map(x, x).filter(x, true).map(x, x).all(x, x == x)".to_owned(),
        "(body.a + body.a + body.a + body.a + body.a + body.a + body.a).map(x, x).size() > 0".to_owned(),
        "[body, body, body, body, body, body, body, body, body, body, body, body, body, body, body] == [body]"
            .to_owned(),
        "body.a.all(k, body.a[k] == body.a[k])".to_owned(),
        format!("({chain}).matches('(x+x+)+y')"),
        format!("size({chain}) > 0"),
    ] {
        let parsed = Expression::parse(&expression).unwrap_or_else(|_| panic!("refused: {expression}"));
        for body in [&list, &objects, &text, &keyed] {
            let start = Instant::now();
            stack::run_blocking(|| parsed.holds(200, Some(body)));
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?}: {expression}");
        }
    }
}
