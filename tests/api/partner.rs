//! Partners: names, regions, addresses, authentication, trust. The check has a file of its own.

use serde_json::{Value, json};

use crate::manifests::{all_accepted, all_refused, partner};

fn spec(patch: &Value) -> Value {
    json!({"spec": patch})
}

fn region(name: &str) -> Value {
    spec(&json!({"regions": [{"name": name, "endpoint": "https://api.example.com"}]}))
}

fn endpoint(address: &str) -> Value {
    spec(&json!({"regions": [{"name": "eu1", "endpoint": address}]}))
}

fn headers(headers: &Value) -> Value {
    spec(&json!({"authentication": {"headers": headers}}))
}

fn basic(basic: &Value) -> Value {
    spec(&json!({"authentication": {"headers": null, "basic": basic}}))
}

#[tokio::test]
async fn a_partner_of_every_shape_is_accepted() {
    let regions: Vec<_> =
        (0..64).map(|n| json!({"name": format!("r{n}"), "endpoint": "https://api.example.com"})).collect();
    all_accepted(
        &partner(),
        &[
            ("the least", json!({})),
            ("a name of 63 characters", json!({"metadata": {"name": "a".repeat(63)}})),
            ("a name with dots", json!({"metadata": {"name": "datadog.eu"}})),
            ("a display name of 1", spec(&json!({"displayName": "X"}))),
            ("a display name of 100, none of them ASCII", spec(&json!({"displayName": "é".repeat(100)}))),
            ("a description of two lines", spec(&json!({"description": "Metrics\nand logs"}))),
            ("a description of 1000", spec(&json!({"description": "d".repeat(1000)}))),
            ("documentation", spec(&json!({"documentationURL": "https://docs.datadoghq.com/api/?lang=en#keys"}))),
            ("64 regions", spec(&json!({"regions": regions}))),
            ("a region of 63", region(&"r".repeat(63))),
            ("a region with digits and dashes", region("0-us-east-1")),
            ("bearer", spec(&json!({"authentication": {"headers": null, "bearer": {}}}))),
            ("basic with a user name", basic(&json!({"username": "api"}))),
            ("basic with an empty user name", basic(&json!({"username": ""}))),
            ("basic with a user name of 253", basic(&json!({"username": "ü".repeat(253)}))),
            ("basic with the key of a user name", basic(&json!({"usernameKey": "site-id"}))),
            ("authorization as a header of the partner's own", headers(&json!([{"name": "Authorization", "prefix": "GenieKey "}]))),
            ("two headers with keys of their own", headers(&json!([{"name": "DD-API-KEY", "key": "api-key"}, {"name": "DD-APPLICATION-KEY", "key": "app_key.1"}]))),
            ("a header's name with every kind of character", headers(&json!([{"name": "!#$%&'*+-.^_`|~09azAZ"}]))),
            ("an empty prefix", headers(&json!([{"name": "X-Key", "prefix": ""}]))),
            ("a prefix of 64", headers(&json!([{"name": "X-Key", "prefix": "~".repeat(64)}]))),
            ("a trust bundle, even one that does not parse", spec(&json!({"trustBundle": "-----BEGIN CERTIFICATE-----\nno\n"}))),
            ("a trust bundle of 65536", spec(&json!({"trustBundle": "x".repeat(65536)}))),
        ],
    )
    .await;
}

/// The rules have a budget at run time too: an object that is as large as it may be must not exceed it.
#[tokio::test]
async fn the_largest_partner_is_accepted() {
    let endpoint = |n: usize| format!("https://{n:02}.{}/{}", vec!["a-b"; 60].join("."), "b".repeat(260));
    let regions: Vec<_> = (0..64).map(|n| json!({"name": format!("{:r>63}", n), "endpoint": endpoint(n)})).collect();
    assert_eq!(endpoint(0).len(), 511);
    let key_headers: Vec<_> = (0..4)
        .map(|n| json!({"name": format!("{n}{}", "K".repeat(127)), "prefix": "p".repeat(64), "key": "k".repeat(253)}))
        .collect();
    let headers: Vec<_> =
        (0..16).map(|n| json!({"name": format!("{n:02}{}", "H".repeat(126)), "value": "v".repeat(1024)})).collect();
    let largest = json!({
        "displayName": "D".repeat(100),
        "description": "d".repeat(1000),
        "documentationURL": format!("https://docs.example.com/{}", "d".repeat(2023)),
        "regions": regions,
        "authentication": {"headers": key_headers},
        "check": {
            "method": "POST",
            "path": format!("/{}", "p".repeat(1023)),
            "headers": headers,
            "body": "b".repeat(8192),
            "timeout": "00001s00001s00001s00001s",
            "interval": "00001h00001m00001s00001ms",
            "success": {"statusCodes": (200..232).collect::<Vec<_>>(), "expression": "s".repeat(1024)},
            "rejected": {"statusCodes": (430..462).collect::<Vec<_>>(), "expression": "r".repeat(1024)},
        },
        "trustBundle": "PRIVATE KE".repeat(6553),
    });
    all_accepted(&partner(), &[("the largest", json!({"metadata": {"name": "n".repeat(63)}, "spec": largest}))]).await;
}

#[tokio::test]
async fn an_endpoint_that_every_parser_reads_alike_is_accepted() {
    let longest = format!("https://api.example.com/{}", "b".repeat(488));
    let addresses = [
        "https://api.example.com",
        "https://localhost",
        "https://xn--bcher-kva.example",
        "https://a.b-c.d1.example.com:1",
        "https://api.example.com:443",
        "https://api.example.com:65535",
        "https://api.example.com/base",
        "https://api.example.com/v1.0/~a_b-c/X",
        "https://api.example.com/.well-known/a..b/...",
        "https://192.0.2.1:8443/base",
        "https://[2001:db8::1]",
        "https://[::1]:8443/base",
        longest.as_str(),
        // Disguises of loopback: the address guard judges them, with a reason of its own.
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:7f00:1]",
        "https://[0:0:0:0:0:ffff:7f00:1]",
        "https://[fe80::1]",
        "https://[fd00::1]",
    ];
    let table: Vec<_> = addresses.into_iter().map(|address| (address, endpoint(address))).collect();
    all_accepted(&partner(), &table).await;
}

#[tokio::test]
async fn an_endpoint_of_any_other_form_is_refused() {
    const HTTPS: &str = "spec.regions[].endpoint must begin with https:// in lower case";
    const SHAPE: &str = "spec.regions[].endpoint must be https://HOST[:PORT][/BASE] and nothing else";
    const DOTS: &str = "spec.regions[].endpoint must not have '.' or '..' as a segment";
    const IPV6: &str = "spec.regions[].endpoint must have an IPv6 address in the brackets";
    let label = format!("https://{}.example.com", "a".repeat(64));
    let long = format!("https://api.example.com/{}", "b".repeat(489));
    let addresses = [
        ("", HTTPS),
        ("http://api.example.com", HTTPS),
        ("HTTPS://api.example.com", HTTPS),
        ("ftp://api.example.com", HTTPS),
        ("//api.example.com", HTTPS),
        ("api.example.com", HTTPS),
        (" https://api.example.com", HTTPS),
        ("https://", SHAPE),
        ("https:///base", SHAPE),
        ("https://API.example.com", SHAPE),
        ("https://user@api.example.com", SHAPE),
        ("https://user:pass@api.example.com", SHAPE),
        ("https://api.example.com@evil.example", SHAPE),
        ("https://api.example.com?x=1", SHAPE),
        ("https://api.example.com/base?x=1", SHAPE),
        ("https://api.example.com#top", SHAPE),
        ("https://api.example.com/", SHAPE),
        ("https://api.example.com/base/", SHAPE),
        ("https://api.example.com//base", SHAPE),
        ("https://api.example.com\\base", SHAPE),
        ("https://api.example.com/a%2fb", SHAPE),
        ("https://api.example.com/a b", SHAPE),
        ("https://api.example.com\n", SHAPE),
        ("https://api.example.com:", SHAPE),
        ("https://api.example.com:0", SHAPE),
        ("https://api.example.com:080", SHAPE),
        ("https://api.example.com:65536", SHAPE),
        ("https://api.example.com:99999", SHAPE),
        ("https://api.example.com:123456", SHAPE),
        ("https://api.example.com:https", SHAPE),
        ("https://api.example.com.", SHAPE),
        ("https://api..example.com", SHAPE),
        ("https://-api.example.com", SHAPE),
        ("https://api_v1.example.com", SHAPE),
        ("https://bücher.example", SHAPE),
        (label.as_str(), SHAPE),
        ("https://[2001:db8::1", SHAPE),
        ("https://2001:db8::1", SHAPE),
        ("https://[fe80::1%25eth0]", SHAPE),
        ("https://[::::]", IPV6),
        ("https://[127.0.0.1]", IPV6),
        ("https://[1:2:3]", IPV6),
        ("https://api.example.com/.", DOTS),
        ("https://api.example.com/..", DOTS),
        ("https://api.example.com/a/../b", DOTS),
        ("https://api.example.com/./b", DOTS),
        (long.as_str(), "may not be more than 512"),
    ];
    let table: Vec<_> = addresses.into_iter().map(|(address, says)| (address, endpoint(address), says)).collect();
    all_refused(&partner(), &table).await;
}

#[tokio::test]
async fn names_texts_and_regions_out_of_bounds_are_refused() {
    const REGION: &str = "spec.regions[].name must be lower-case letters, digits and '-'";
    const DOCUMENTATION: &str = "spec.documentationURL must be an https:// or http:// address with a host";
    let regions: Vec<_> =
        (0..65).map(|n| json!({"name": format!("r{n}"), "endpoint": "https://api.example.com"})).collect();
    let twice = json!([
        {"name": "eu1", "endpoint": "https://a.example.com"},
        {"name": "eu1", "endpoint": "https://b.example.com"},
    ]);
    all_refused(
        &partner(),
        &[
            (
                "a name of 64",
                json!({"metadata": {"name": "a".repeat(64)}}),
                "metadata.name of a Partner must be at most 63 characters long: choose a shorter name",
            ),
            ("no spec", json!({"spec": null}), "spec: Required value"),
            ("no display name", spec(&json!({"displayName": null})), "spec.displayName: Required value"),
            (
                "an empty display name",
                spec(&json!({"displayName": ""})),
                "spec.displayName in body should be at least 1 chars long",
            ),
            (
                "a display name of 101",
                spec(&json!({"displayName": "D".repeat(101)})),
                "spec.displayName: Too long: may not be more than 100",
            ),
            (
                "a display name of two lines",
                spec(&json!({"displayName": "Data\ndog"})),
                "spec.displayName must be one line of text: take out line breaks",
            ),
            (
                "a description of 1001",
                spec(&json!({"description": "d".repeat(1001)})),
                "spec.description: Too long: may not be more than 1000",
            ),
            ("documentation that is no address", spec(&json!({"documentationURL": "see the wiki"})), DOCUMENTATION),
            (
                "documentation that is a script",
                spec(&json!({"documentationURL": "javascript:alert(1)"})),
                DOCUMENTATION,
            ),
            ("documentation without a host", spec(&json!({"documentationURL": "https:///x"})), DOCUMENTATION),
            (
                "documentation of 2049",
                spec(&json!({"documentationURL": format!("https://docs.example.com/{}", "d".repeat(2024))})),
                "may not be more than 2048",
            ),
            ("no regions", spec(&json!({"regions": []})), "spec.regions in body should have at least 1 items"),
            ("regions left out", spec(&json!({"regions": null})), "spec.regions: Required value"),
            (
                "65 regions",
                spec(&json!({"regions": regions})),
                "spec.regions: Too many: 65: must have at most 64 items",
            ),
            (
                "a region twice",
                spec(&json!({"regions": twice})),
                "spec.regions[1]: Duplicate value: {\"name\":\"eu1\"}",
            ),
            (
                "a region without a name",
                spec(&json!({"regions": [{"endpoint": "https://api.example.com"}]})),
                "spec.regions[0].name: Required value",
            ),
            (
                "a region without an endpoint",
                spec(&json!({"regions": [{"name": "eu1"}]})),
                "spec.regions[0].endpoint: Required value",
            ),
            ("a region in upper case", region("EU1"), REGION),
            ("a region with a comma", region("eu1,us1"), REGION),
            ("a region with a space", region("eu 1"), REGION),
            ("a region that ends with a dash", region("eu-"), REGION),
            ("a region with a line break", region("eu1\n"), REGION),
            ("an empty region", region(""), REGION),
            ("a region of 64", region(&"r".repeat(64)), "may not be more than 63"),
            (
                "an empty trust bundle",
                spec(&json!({"trustBundle": ""})),
                "spec.trustBundle in body should be at least 1 chars long",
            ),
            (
                "a trust bundle of 65537",
                spec(&json!({"trustBundle": "x".repeat(65537)})),
                "spec.trustBundle: Too long: may not be more than 65536",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_private_key_in_the_trust_bundle_is_refused_and_not_repeated() {
    const SAYS: &str = "spec.trustBundle must hold certificates only, and here is a PRIVATE KEY: take it out";
    let table: Vec<_> = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
        .map(|kind| {
            let bundle = format!(
                "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN {kind}-----\nc2VjcmV0\n"
            );
            (kind, spec(&json!({"trustBundle": bundle})), SAYS)
        })
        .into();
    all_refused(&partner(), &table).await;

    let (_, client) = crate::manifests::cluster().await;
    let manifest = crate::manifests::patched(&partner(), &table[0].1);
    let refusal = crate::manifests::create(&client, &manifest).await.unwrap_err();
    assert!(!refusal.message.contains("c2VjcmV0"), "{}", refusal.message);
}

#[tokio::test]
async fn none_or_two_forms_of_authentication_are_refused() {
    const ONE: &str = "spec.authentication must hold exactly one of headers, bearer and basic";
    const USER: &str = "spec.authentication.basic must hold exactly one of username and usernameKey";
    const COLON: &str = "spec.authentication.basic.username must not hold a colon or a control character";
    const KEY: &str = "spec.authentication.basic.usernameKey must be a key that a Secret can have";
    all_refused(
        &partner(),
        &[
            ("no authentication", spec(&json!({"authentication": null})), "spec.authentication: Required value"),
            ("none of the forms", spec(&json!({"authentication": {"headers": null}})), ONE),
            ("headers and bearer", spec(&json!({"authentication": {"bearer": {}}})), ONE),
            ("headers and basic", spec(&json!({"authentication": {"basic": {"username": "api"}}})), ONE),
            (
                "bearer and basic",
                spec(&json!({"authentication": {"headers": null, "bearer": {}, "basic": {"username": "api"}}})),
                ONE,
            ),
            ("all three", spec(&json!({"authentication": {"bearer": {}, "basic": {"username": "api"}}})), ONE),
            ("basic without a user name", basic(&json!({})), USER),
            ("basic with both forms", basic(&json!({"username": "api", "usernameKey": "user"})), USER),
            ("a colon in the user name", basic(&json!({"username": "api:v1"})), COLON),
            ("a line break in the user name", basic(&json!({"username": "api\n"})), COLON),
            ("a NUL in the user name", basic(&json!({"username": "a\u{0}b"})), COLON),
            ("a user name of 254", basic(&json!({"username": "a".repeat(254)})), "may not be more than 253"),
            ("a slash in the key of the user name", basic(&json!({"usernameKey": "site/id"})), KEY),
            ("dots as the key of the user name", basic(&json!({"usernameKey": ".."})), KEY),
            (
                "a key of the user name of 254",
                basic(&json!({"usernameKey": "k".repeat(254)})),
                "may not be more than 253",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_header_that_cannot_carry_a_key_is_refused() {
    const NAME: &str = "spec.authentication.headers[].name must be the name of a header";
    const OWNED: &str = "spec.authentication.headers[].name must not be host, content-length,";
    const TWICE: &str = "spec.authentication.headers must not name a header twice";
    const PREFIX: &str = "spec.authentication.headers[].prefix must be visible ASCII characters and spaces";
    const KEY: &str = "spec.authentication.headers[].key must be a key that a Secret can have";
    let five: Vec<_> = (0..5).map(|n| json!({"name": format!("X-Key-{n}")})).collect();
    let one = |header: Value| headers(&json!([header]));
    all_refused(
        &partner(),
        &[
            ("no header", headers(&json!([])), "spec.authentication.headers in body should have at least 1 items"),
            (
                "five headers",
                headers(&json!(five)),
                "spec.authentication.headers: Too many: 5: must have at most 4 items",
            ),
            (
                "a header without a name",
                one(json!({"prefix": "x"})),
                "spec.authentication.headers[0].name: Required value",
            ),
            ("a name with a colon", one(json!({"name": "X-Key:"})), NAME),
            ("a name with a space", one(json!({"name": "X Key"})), NAME),
            ("a name with a line break", one(json!({"name": "X-Key\r\nX-Other"})), NAME),
            ("a name that is not ASCII", one(json!({"name": "X-Clé"})), NAME),
            ("an HTTP/2 pseudo header", one(json!({"name": ":authority"})), NAME),
            ("a name of 129", one(json!({"name": "X".repeat(129)})), "may not be more than 128"),
            ("host", one(json!({"name": "Host"})), OWNED),
            ("cookie", one(json!({"name": "cookie"})), OWNED),
            ("user-agent", one(json!({"name": "User-Agent"})), OWNED),
            ("proxy-authorization", one(json!({"name": "Proxy-Authorization"})), OWNED),
            (
                "the same name twice",
                headers(&json!([{"name": "X-Key"}, {"name": "X-Key"}])),
                "spec.authentication.headers[1]: Duplicate value",
            ),
            ("the same name in another case", headers(&json!([{"name": "X-Key"}, {"name": "x-key"}])), TWICE),
            ("a prefix with a line break", one(json!({"name": "X-Key", "prefix": "Key\n"})), PREFIX),
            ("a prefix with a tab", one(json!({"name": "X-Key", "prefix": "Key\t"})), PREFIX),
            ("a prefix that is not ASCII", one(json!({"name": "X-Key", "prefix": "Clé "})), PREFIX),
            ("a prefix of 65", one(json!({"name": "X-Key", "prefix": "p".repeat(65)})), "may not be more than 64"),
            ("a slash in the key", one(json!({"name": "X-Key", "key": "a/b"})), KEY),
            ("a key that begins with two dots", one(json!({"name": "X-Key", "key": "..key"})), KEY),
            ("an empty key", one(json!({"name": "X-Key", "key": ""})), KEY),
            ("a key of 254", one(json!({"name": "X-Key", "key": "k".repeat(254)})), "may not be more than 253"),
        ],
    )
    .await;
}
