//! How a valid text is made where a rule of the schema asks for a shape, and what breaks it.
//!
//! The one table that a new field needs a line in, and only where it has a rule of its own: without one the test fails and
//! names the field.

use serde_json::{Value, json};

/// The shape of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No rule asks for anything.
    Free,
    /// One line of any characters.
    Line,
    /// RFC 1123 label.
    Label,
    /// RFC 1123 subdomain.
    Name,
    SecretKey,
    /// The name of a header.
    Token,
    /// Visible ASCII and space.
    Visible,
    User,
    Url,
    Endpoint,
    Path,
    Duration,
}

/// The shape that the rules of a field ask for. `None`: it has rules, and nobody has said here what they ask for.
fn shape(path: &str, schema: &Value) -> Option<Shape> {
    Some(match path {
        "spec.partner" | "spec.apiKeySecretRef.name" | "spec.binding.secretName" => Shape::Name,
        "spec.region" | "spec.regions[].name" => Shape::Label,
        "spec.apiKeySecretRef.key" | "spec.authentication.headers[].key" | "spec.authentication.basic.usernameKey" => {
            Shape::SecretKey
        }
        "spec.displayName" => Shape::Line,
        "spec.documentationURL" => Shape::Url,
        "spec.regions[].endpoint" => Shape::Endpoint,
        "spec.authentication.headers[].name" | "spec.check.headers[].name" => Shape::Token,
        "spec.authentication.headers[].prefix" | "spec.check.headers[].value" => Shape::Visible,
        "spec.authentication.basic.username" => Shape::User,
        "spec.check.path" => Shape::Path,
        "spec.check.timeout" | "spec.check.interval" => Shape::Duration,
        _ if schema["x-kubernetes-validations"].is_null() => Shape::Free,
        _ => return None,
    })
}

/// The shape of a field.
///
/// # Errors
/// It has a rule, and no line in the table.
pub fn of(path: &str, schema: &Value) -> Result<Shape, String> {
    shape(path, schema).ok_or_else(|| {
        format!("{path}: it has a rule; say in tests/generated/shapes.rs what shape a valid text has there")
    })
}

/// The shortest text of a shape; longer ones are `begin` and so many of `filler`.
fn parts(shape: Shape) -> (&'static str, char) {
    match shape {
        Shape::Free | Shape::Line | Shape::Visible | Shape::User => ("", 'x'),
        Shape::Label | Shape::Name => ("a", 'a'),
        Shape::SecretKey | Shape::Token => ("k", 'k'),
        Shape::Url => ("http://a", 'a'),
        Shape::Endpoint => ("https://a", 'a'),
        Shape::Path => ("/", 'a'),
        Shape::Duration => ("30s", '0'),
    }
}

/// A text of exactly this length, or a bit shorter where the shape leaves no choice. Its length counts in characters,
/// as the API server counts.
pub fn text(shape: Shape, length: usize) -> String {
    let (begin, filler) = parts(shape);
    match shape {
        // A label of a host name has at most 63 characters; a path has no such limit.
        Shape::Endpoint if length > 20 => format!("https://a/{}", "a".repeat(length - 10)),
        // Four numbers of five digits, each with the longest unit.
        Shape::Duration if length > 20 => "30000ms00000ms00000ms00000ms"[..length.min(28)].to_owned(),
        Shape::Duration => begin.to_owned(),
        _ => format!("{begin}{}", filler.to_string().repeat(length.saturating_sub(begin.len()))),
    }
}

/// The shortest length that a shape has.
pub fn shortest(shape: Shape) -> usize {
    parts(shape).0.len()
}

/// A text as people write it there.
///
/// # Errors
/// As of [`of`].
pub fn usual(path: &str, schema: &Value, index: usize) -> Result<String, String> {
    Ok(match of(path, schema)? {
        Shape::Label => format!("r{index}"),
        Shape::Name => format!("sample-{index}"),
        Shape::SecretKey => "api-key".to_owned(),
        Shape::Token => format!("X-Sample-{index}"),
        Shape::Endpoint => format!("https://sample-{index}.invalid"),
        Shape::Duration => "30s".to_owned(),
        shape => text(shape, shortest(shape).max(4)),
    })
}

/// A number as people write it there. Items of a list differ.
///
/// # Errors
/// The schema has no range for it.
pub fn number(path: &str, schema: &Value, index: usize) -> Result<i64, String> {
    let step = i64::try_from(index).unwrap_or(0);
    if let Some((usual, ..)) = range(path) {
        return Ok(usual + step);
    }
    let least = schema["minimum"].as_f64().ok_or_else(|| format!("{path}: a number without a range"))?;
    #[expect(clippy::cast_possible_truncation, reason = "ranges of ours are small and whole")]
    let least = least as i64;
    Ok(least + step)
}

/// Where rules leave less of the schema's range: a usual number, the least and the largest that they allow.
pub fn range(path: &str) -> Option<(i64, i64, i64)> {
    match path {
        "spec.check.success.statusCodes[]" => Some((200, 100, 499)),
        "spec.check.rejected.statusCodes[]" => Some((430, 100, 599)),
        _ => None,
    }
}

/// Texts that break a shape, each in its own way.
pub fn broken(shape: Shape) -> Vec<String> {
    let texts: &[&str] = match shape {
        Shape::Free => &[],
        Shape::Line => &["two\nlines", "\u{0}", "bell\u{7}", "\u{7f}"],
        Shape::Label => &["", "-a", "a-", "A", "a.b", "a b", "ä", "a\n", "a/b", "\u{0}"],
        Shape::Name => &["", "-a", "a-", "A", "a..b", ".a", "a.", "a b", "ä", "a\n", "a/b", "../a", "\u{0}"],
        Shape::SecretKey => &["", ".", "..", "..a", "a b", "ä", "a\n", "a/b", "\u{0}"],
        Shape::Token => &["", "a b", "a:", "ä", "a\r\nb", "(a)", "Host", "Proxy-x", "cookie", "\u{0}"],
        Shape::Visible => &["ä", "a\nb", "\r\n", "\t", "\u{0}", "\u{7f}"],
        Shape::User => &["a:b", "a\n", "\u{0}", "\u{7f}"],
        Shape::Url => &["", "a", "ftp://a", "https://", "//a", "http:a", "javascript:alert(1)", "https://a b"],
        Shape::Endpoint => &[
            "",
            "http://a",
            "HTTPS://a",
            "https://",
            "https://a/",
            "https://a//b",
            "https://a/../b",
            "https://user@a",
            "https://a:0",
            "https://a:65536",
            "https://a?b",
            "https://a#b",
            "https://[a",
            "https://[::g]",
            "https://a\\b",
            "https://a b",
            "https://A",
            "https://a.",
            "https://ä.example",
            "https://a\n",
        ],
        Shape::Path => &["", "a", "//a", "/a b", "/a#b", "/..", "/a/%2e%2E/b", "/\\", "/ä", "/%zz", "/a\n", "/\u{0}"],
        Shape::Duration => {
            &["", "10", "+30s", "-30s", ".5m", "1.5m", "30 s", "1d", "100000s", "1s1s1s1s1s", "٣s", "0s"]
        }
    };
    texts.iter().map(ToString::to_string).collect()
}

/// A text of everything that JSON can say and some other format cannot.
pub const WILD: &str = "\u{0}\u{7}\t\r\n \u{7f}\u{80}\u{85}\u{9f}\u{2028}\u{2029}\u{202e}\u{feff}\u{fffe}\u{ffff}💥";

/// Further values that the API server takes, which are no bounds: what people and machines write there all the same.
pub fn odd(path: &str, shape: Shape) -> Vec<Value> {
    let mut found = match shape {
        Shape::Free => vec![WILD, "{{ template }}", "null"],
        // What some parsers of YAML take for control characters or ends of lines.
        Shape::Line => {
            vec![
                "💥",
                "\u{202e}gnirts",
                " ",
                "%s%n${x}",
                "a\u{80}b",
                "a\u{9f}",
                "a\u{85}b",
                "a\u{2028} b",
                "\u{feff}",
                "\u{fffe}\u{ffff}",
            ]
        }
        Shape::Visible => vec![" ", "  a  ", "\"'\\<>&", "%0d%0a"],
        Shape::Token => vec!["!#$%&'*+-.^_`|~", "authorization2", "HOST2", "1"],
        Shape::User => vec!["", " ", "💥", "\"\\", "a\u{85}\u{fffe}"],
        Shape::Name | Shape::Label => vec!["0", "a-b", "xn--a"],
        Shape::SecretKey => vec!["-", "_", "a..b", "A.b-c_d"],
        Shape::Url => vec!["https://[::1]/", "https://a?b#c", "http://user:pass@a"],
        Shape::Endpoint => vec![
            "https://127.1",
            "https://0x7f000001",
            "https://2130706433",
            "https://0177.0.0.1",
            "https://999.999.999.999",
            "https://[::ffff:127.0.0.1]",
            "https://[::]",
            "https://[0:0:0:0:0:ffff:1:2]",
            "https://xn--a",
            "https://xn--zzzzzzzz.invalid",
            "https://a.invalid:65535/...",
            "https://1",
            "https://169.254.169.254/latest",
        ],
        Shape::Path => vec!["/?", "/?a=//../%2e%2e", "/%00", "/a//b", "/:@!$&'()*+,;=", "/a/...", "/v1?x=%0d%0aX-Y:z"],
        Shape::Duration => vec!["30000ms", "0h1m", "0030s", "30s999ms"],
    };
    if path.ends_with(".expression") {
        found.extend([
            "true",
            "false",
            "status",
            "1 / 0 == 1",
            "body.valid == true && status == 200",
            "body.a.b.c.d",
            "size(body) > 0",
            "9223372036854775807 + 1 > 0",
            "[1,2,3].all(a, [1,2,3].all(b, [1,2,3].all(c, true)))",
            "'a'.matches('(((((a*)*)*)*)*)b')",
            "\"\\u0000\" == ''",
            "duration('1s') > duration('-1s')",
            "timestamp('0001-01-01T00:00:00Z').getFullYear() == 1",
        ]);
    }
    let mut values: Vec<Value> = found.into_iter().map(|text| json!(text)).collect();
    if path.ends_with(".expression") {
        for nested in ["(", "!", "-", "["] {
            values.push(json!(format!("{}true", nested.repeat(1020))));
        }
        values.push(json!(format!("{}true{}", "(".repeat(510), ")".repeat(510))));
        values.push(json!(format!("true{}", " || true".repeat(127))));
        values.push(json!(format!("{}1{}", "[".repeat(511), "]".repeat(511))));
    }
    values
}
