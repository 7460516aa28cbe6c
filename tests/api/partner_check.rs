//! Partners: the request that proves a key.

use serde_json::{Value, json};

use crate::manifests::{all_accepted, all_refused, partner};

fn check(patch: &Value) -> Value {
    json!({"spec": {"check": patch}})
}

fn path(path: &str) -> Value {
    check(&json!({"path": path}))
}

fn headers(headers: &Value) -> Value {
    check(&json!({"headers": headers}))
}

fn codes(success: &Value, rejected: &Value) -> Value {
    let mut patch = json!({});
    for (name, codes) in [("success", success), ("rejected", rejected)] {
        if !codes.is_null() {
            patch[name] = json!({"statusCodes": codes});
        }
    }
    check(&patch)
}

#[tokio::test]
async fn a_check_of_every_shape_is_accepted() {
    let long_path = format!("/{}", "p".repeat(1023));
    let sixteen: Vec<_> = (0..16).map(|n| json!({"name": format!("X-{n}"), "value": "v".repeat(1024)})).collect();
    all_accepted(
        &partner(),
        &[
            ("the root", path("/")),
            ("a query", path("/v1/me?fields=id,name&x=/../y?")),
            ("every character of RFC 3986", path("/a-._~!$&'()*+,;=:@/%C3%A9//b?-._~!$&'()*+,;=:@/?%20")),
            ("segments that only look like dots", path("/.well-known/.../a..b/%2e%2e%2e")),
            ("a path of 1024", path(&long_path)),
            ("GET", check(&json!({"method": "GET"}))),
            ("HEAD", check(&json!({"method": "HEAD"}))),
            ("POST without a body", check(&json!({"method": "POST"}))),
            ("POST with a body of 8192", check(&json!({"method": "POST", "body": "ü".repeat(8192)}))),
            ("GET with an empty body", check(&json!({"body": ""}))),
            ("16 headers", headers(&json!(sixteen))),
            ("an empty value", headers(&json!([{"name": "X-Empty", "value": ""}]))),
            (
                "authorization beside headers of the partner's own",
                headers(&json!([{"name": "Authorization", "value": "x"}])),
            ),
            ("the shortest timeout", check(&json!({"timeout": "1000ms"}))),
            ("the longest timeout", check(&json!({"timeout": "1m"}))),
            ("the shortest interval", check(&json!({"interval": "30s"}))),
            ("the longest interval", check(&json!({"interval": "24h"}))),
            ("four parts", check(&json!({"interval": "1h1m1s1ms"}))),
            ("a timeout as long as the interval", check(&json!({"interval": "30s", "timeout": "30s"}))),
            ("thresholds", check(&json!({"failureThreshold": 1, "maxPerSecond": 1}))),
            ("thresholds at their ends", check(&json!({"failureThreshold": 10, "maxPerSecond": 1000}))),
            ("a whole number that is written as a fraction", check(&json!({"failureThreshold": 3.0}))),
            ("nothing said of answers", check(&json!({"success": {}, "rejected": {}}))),
            (
                "expressions, even one that does not parse",
                check(
                    &json!({"success": {"expression": "body.valid =="}, "rejected": {"expression": "e".repeat(1024)}}),
                ),
            ),
            ("codes of both", codes(&json!([200, 204]), &json!([401, 403, 404]))),
            ("401 as a success where it is not rejected", codes(&json!([401]), &json!([403]))),
            ("200 as rejected where it is no success", codes(&json!([204]), &json!([200]))),
            ("an unavailable partner as a refusal", codes(&Value::Null, &json!([400, 408, 425, 500, 599]))),
            ("no rejected code, so 401 is free", codes(&json!([200, 401, 403]), &json!([]))),
            ("32 codes", codes(&json!((100..132).collect::<Vec<_>>()), &Value::Null)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_path_that_a_parser_would_read_otherwise_is_refused() {
    const SHAPE: &str =
        "spec.check.path must begin with one '/', not two, and hold only characters of a URL path and query";
    const DOTS: &str = "spec.check.path must not have '.' or '..' (or %2e for a dot) as a segment";
    let long = format!("/{}", "p".repeat(1024));
    let table: Vec<_> = [
        ("v1/validate", SHAPE),
        ("?x=1", SHAPE),
        ("//evil.example", SHAPE),
        ("//evil.example/v1", SHAPE),
        ("/\\evil.example", SHAPE),
        ("/v1\\validate", SHAPE),
        ("https://evil.example/", SHAPE),
        ("@evil.example/", SHAPE),
        (".evil.example/", SHAPE),
        ("/v1#top", SHAPE),
        ("/v1?x=1#top", SHAPE),
        ("/v 1", SHAPE),
        ("/v1\n", SHAPE),
        ("/v1\r\nHost: evil.example", SHAPE),
        ("/v1\u{0}", SHAPE),
        ("/é", SHAPE),
        ("/100%", SHAPE),
        ("/%zz", SHAPE),
        ("/a|b", SHAPE),
        ("/{id}", SHAPE),
        ("/\"a\"", SHAPE),
        ("/.", DOTS),
        ("/..", DOTS),
        ("/../admin", DOTS),
        ("/v1/./validate", DOTS),
        ("/v1/..?x=1", DOTS),
        ("/v1/%2e%2E/admin", DOTS),
        ("/v1/.%2e", DOTS),
        ("", SHAPE),
        (long.as_str(), "may not be more than 1024"),
    ]
    .into_iter()
    .map(|(text, says)| (text, path(text), says))
    .collect();
    all_refused(&partner(), &table).await;
}

#[tokio::test]
async fn a_malformed_duration_or_one_out_of_range_is_refused_with_one_message() {
    const LONGER: &str =
        "spec.check.timeout must not be longer than spec.check.interval: shorten the timeout or lengthen the interval";
    let mut table = Vec::new();
    let malformed = [
        "",
        "10",
        "s",
        "10 s",
        "10S",
        "-10s",
        "+10s",
        ".5m",
        "1.5m",
        "1d",
        "10us",
        "10ns",
        "100000ms",
        "1h1m1s1ms1ms",
        "10s\n",
        "1m,5s",
        "PT10S",
        "٣٠s",
    ];
    for text in malformed {
        table.push((text, check(&json!({"timeout": text})), "spec.check.timeout must be a duration from 1s to 60s"));
        table.push((text, check(&json!({"interval": text})), "spec.check.interval must be a duration from 30s to 24h"));
    }
    for text in ["0s", "999ms", "60001ms", "61s", "2m", "99999h"] {
        table.push((
            text,
            check(&json!({"timeout": text, "interval": "24h"})),
            "spec.check.timeout must be a duration from 1s to 60s",
        ));
    }
    for text in ["0h", "29s", "29999ms", "24h1ms", "25h", "99999h99999h99999h99999h"] {
        table.push((
            text,
            check(&json!({"interval": text, "timeout": "1s"})),
            "spec.check.interval must be a duration from 30s to 24h",
        ));
    }
    for (timeout, interval) in [("31s", "30s"), ("60s", "59s"), ("30001ms", "30s")] {
        table.push((timeout, check(&json!({"timeout": timeout, "interval": interval})), LONGER));
    }
    all_refused(&partner(), &table).await;
}

#[tokio::test]
async fn a_header_that_the_check_may_not_set_is_refused() {
    const NAME: &str = "spec.check.headers[].name must be the name of a header";
    const OWNED: &str = "spec.check.headers[].name must not be host, content-length, transfer-encoding, connection";
    const VALUE: &str = "spec.check.headers[].value must be visible ASCII characters and spaces";
    const CARRIES: &str = "spec.check.headers must not name a header of spec.authentication.headers";
    const AUTHORIZATION: &str =
        "spec.check.headers must not name authorization with spec.authentication.bearer or basic";
    let seventeen: Vec<_> = (0..17).map(|n| json!({"name": format!("X-{n}"), "value": "v"})).collect();
    let one = |name: &str, value: &str| headers(&json!([{"name": name, "value": value}]));
    let with = |authentication: Value| json!({"spec": {"authentication": authentication, "check": {"headers": [{"name": "AUTHORIZATION", "value": "x"}]}}});
    let mut table = vec![
        ("17 headers", headers(&json!(seventeen)), "spec.check.headers: Too many: 17: must have at most 16 items"),
        ("no name", headers(&json!([{"value": "v"}])), "spec.check.headers[0].name: Required value"),
        ("no value", headers(&json!([{"name": "Accept"}])), "spec.check.headers[0].value: Required value"),
        ("a name with a space", one("X Accept", "v"), NAME),
        ("an empty name", one("", "v"), NAME),
        ("a name of 129", one(&"X".repeat(129), "v"), "may not be more than 128"),
        ("a value with a line break", one("Accept", "a\r\nX-Other: b"), VALUE),
        ("a value that ends with a line break", one("Accept", "a\n"), VALUE),
        ("a value with a tab", one("Accept", "a\tb"), VALUE),
        ("a value that is not ASCII", one("Accept", "é"), VALUE),
        ("a value of 1025", one("Accept", &"v".repeat(1025)), "may not be more than 1024"),
        (
            "the same name twice",
            headers(&json!([{"name": "Accept", "value": "a"}, {"name": "Accept", "value": "b"}])),
            "spec.check.headers[1]: Duplicate value",
        ),
        (
            "the same name in another case",
            headers(&json!([{"name": "Accept", "value": "a"}, {"name": "ACCEPT", "value": "b"}])),
            "spec.check.headers must not name a header twice",
        ),
        ("the header that carries the key", one("DD-API-KEY", "v"), CARRIES),
        ("the same in another case", one("dd-api-key", "v"), CARRIES),
        ("authorization with bearer", with(json!({"headers": null, "bearer": {}})), AUTHORIZATION),
        ("authorization with basic", with(json!({"headers": null, "basic": {"username": "api"}})), AUTHORIZATION),
        ("authorization that carries the key", with(json!({"headers": [{"name": "Authorization"}]})), CARRIES),
    ];
    let owned = [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Cookie",
        "User-Agent",
        "Accept-Encoding",
        "Proxy-Authorization",
        "proxy-connection",
    ];
    table.extend(owned.map(|name| (name, one(name, "v"), OWNED)));
    all_refused(&partner(), &table).await;
}

#[tokio::test]
async fn a_status_code_that_could_mean_two_things_is_refused() {
    const SHARED: &str = "spec.check.success.statusCodes and spec.check.rejected.statusCodes must not share a code";
    const DEFAULT: &str = "spec.check.rejected.statusCodes must not hold a code from 200 to 299 while spec.check.success.statusCodes has no list";
    const SUCCESS: &str = "spec.check.success.statusCodes must not hold 3xx";
    const REJECTED: &str = "spec.check.rejected.statusCodes must not hold 3xx";
    let many: Vec<_> = (100..133).collect();
    let mut table = vec![
        ("a code in both lists", codes(&json!([200, 404]), &json!([404])), SHARED),
        ("401, rejected by default", codes(&json!([200, 401]), &Value::Null), SHARED),
        (
            "403, rejected by default beside an expression",
            check(&json!({"success": {"statusCodes": [403]}, "rejected": {"expression": "false"}})),
            SHARED,
        ),
        ("200, a success by default", codes(&Value::Null, &json!([200])), DEFAULT),
        (
            "299, a success by default beside an expression",
            check(&json!({"rejected": {"statusCodes": [299]}, "success": {"expression": "true"}})),
            DEFAULT,
        ),
        (
            "no success at all",
            codes(&json!([]), &Value::Null),
            "spec.check.success.statusCodes in body should have at least 1 items",
        ),
        (
            "a code twice",
            codes(&json!([200, 200]), &Value::Null),
            "spec.check.success.statusCodes[1]: Duplicate value: 200",
        ),
        (
            "a rejected code twice",
            codes(&Value::Null, &json!([404, 404])),
            "spec.check.rejected.statusCodes[1]: Duplicate value: 404",
        ),
        ("99", codes(&json!([99]), &Value::Null), "should be greater than or equal to 100"),
        ("600 as a success", codes(&json!([600]), &Value::Null), "should be less than or equal to 599"),
        ("99 as rejected", codes(&Value::Null, &json!([99])), "should be greater than or equal to 100"),
        (
            "33 rejected codes",
            codes(&Value::Null, &json!((500..533).collect::<Vec<_>>())),
            "spec.check.rejected.statusCodes: Too many: 33: must have at most 32 items",
        ),
        ("600", codes(&Value::Null, &json!([600])), "should be less than or equal to 599"),
        (
            "33 codes",
            codes(&json!(many), &Value::Null),
            "spec.check.success.statusCodes: Too many: 33: must have at most 32 items",
        ),
    ];
    table.extend(
        [300, 302, 399, 408, 425, 429, 500, 503, 599]
            .map(|code| ("no success", codes(&json!([code]), &Value::Null), SUCCESS)),
    );
    table.extend([300, 307, 399, 429].map(|code| ("no refusal", codes(&Value::Null, &json!([code])), REJECTED)));
    all_refused(&partner(), &table).await;
}

#[tokio::test]
async fn a_method_body_number_or_expression_out_of_bounds_is_refused() {
    const BODY: &str = "spec.check.body needs spec.check.method POST: set the method to POST, or take the body out";
    all_refused(
        &partner(),
        &[
            ("no check", json!({"spec": {"check": null}}), "spec.check: Required value"),
            ("no path", check(&json!({"path": null})), "spec.check.path: Required value"),
            (
                "another method",
                check(&json!({"method": "DELETE"})),
                "spec.check.method: Unsupported value: \"DELETE\": supported values: \"GET\", \"HEAD\", \"POST\"",
            ),
            ("a method in lower case", check(&json!({"method": "get"})), "spec.check.method: Unsupported value"),
            ("a body with the default method", check(&json!({"body": "{}"})), BODY),
            ("a body with HEAD", check(&json!({"method": "HEAD", "body": "{}"})), BODY),
            (
                "a body of 8193",
                check(&json!({"method": "POST", "body": "b".repeat(8193)})),
                "spec.check.body: Too long: may not be more than 8192",
            ),
            (
                "a threshold of 0",
                check(&json!({"failureThreshold": 0})),
                "spec.check.failureThreshold in body should be greater than or equal to 1",
            ),
            (
                "a threshold of 11",
                check(&json!({"failureThreshold": 11})),
                "spec.check.failureThreshold in body should be less than or equal to 10",
            ),
            (
                "a threshold that is no number",
                check(&json!({"failureThreshold": "3"})),
                "spec.check.failureThreshold in body must be of type integer",
            ),
            (
                "no check a second",
                check(&json!({"maxPerSecond": 0})),
                "spec.check.maxPerSecond in body should be greater than or equal to 1",
            ),
            (
                "1001 checks a second",
                check(&json!({"maxPerSecond": 1001})),
                "spec.check.maxPerSecond in body should be less than or equal to 1000",
            ),
            (
                "an empty expression",
                check(&json!({"success": {"expression": ""}})),
                "spec.check.success.expression in body should be at least 1 chars long",
            ),
            (
                "an empty rejected expression",
                check(&json!({"rejected": {"expression": ""}})),
                "spec.check.rejected.expression in body should be at least 1 chars long",
            ),
            (
                "an expression of 1025",
                check(&json!({"success": {"expression": "e".repeat(1025)}})),
                "spec.check.success.expression: Too long: may not be more than 1024",
            ),
            (
                "a rejected expression of 1025",
                check(&json!({"rejected": {"expression": "e".repeat(1025)}})),
                "spec.check.rejected.expression: Too long: may not be more than 1024",
            ),
        ],
    )
    .await;
}
