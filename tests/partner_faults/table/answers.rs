//! Whole answers that are no: codes, redirects, and every form of Retry-After.

use jiff::{SignedDuration, Timestamp};

use crate::behaviour::{ANSWER, Behaviour, KEY, Step, answer};

/// A 429 with the date in so many seconds.
fn dated(seconds: i64, format: &str) -> Vec<u8> {
    let then = Timestamp::now() + SignedDuration::from_secs(seconds);
    let date = then.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string();
    format!("HTTP/1.1 429 No\r\nX-Says: {ANSWER}\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// IMF-fixdate (RFC 9110, 5.6.7).
const DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

pub fn table() -> Vec<Behaviour> {
    [codes(), retry_after(), redirects()].concat()
}

fn codes() -> Vec<Behaviour> {
    let code = |name, status: &str, reason| {
        let body = format!("{{\"valid\": true, \"error\": \"{ANSWER} {KEY}\"}}");
        Behaviour::http1(name, reason, [answer(&format!("{status} {ANSWER} {KEY}"), "", body)])
    };
    let (refused, down, unexpected) = ("CredentialRejected", "PartnerUnavailable", "UnexpectedResponse");
    vec![
        code("code-401", "401", refused),
        code("code-403", "403", refused),
        code("code-500", "500", down),
        code("code-502", "502", down),
        code("code-503", "503", down),
        code("code-504", "504", down),
        code("code-599", "599", down),
        code("code-408", "408", down),
        code("code-425", "425", down),
        code("code-400", "400", unexpected),
        code("code-404", "404", unexpected),
        code("code-407", "407", unexpected),
        code("code-999", "999", unexpected),
        code("code-600", "600", unexpected),
        // It asks to speak something else; nobody offered to.
        Behaviour::http1(
            "code-101",
            unexpected,
            [answer("101 Switching", "Upgrade: x\r\nConnection: upgrade\r\n", "")],
        ),
    ]
}

fn retry_after() -> Vec<Behaviour> {
    let header = |code: &str, value: &str| answer(code, &format!("Retry-After: {value}\r\n"), "");
    let limited = |name, value: &str| Behaviour::http1(name, "RateLimited", [header("429 Slow", value)]);
    let date = |name, make: fn() -> Vec<u8>| Behaviour::http1(name, "RateLimited", [Step::Make(make)]);
    let down = |name, code: &str, value: &str| Behaviour::http1(name, "PartnerUnavailable", [header(code, value)]);
    let several = "120\r\nRetry-After: 5";
    vec![
        Behaviour::http1("retry-none", "RateLimited", [answer("429 Slow", "", "")]),
        limited("retry-seconds", "120").asks(120),
        limited("retry-zero", "0").asks(1),
        limited("retry-blanks", "  120  ").asks(120),
        limited("retry-huge", "99999999999999999999999999").asks(3600),
        limited("retry-beyond-an-hour", "86400").asks(3600),
        limited("retry-several", several).asks(120),
        limited("retry-negative", "-5"),
        limited("retry-fraction", "1.5"),
        limited("retry-list", "120, 60"),
        limited("retry-garbage", ANSWER),
        limited("retry-key", KEY),
        limited("retry-empty", ""),
        date("retry-date", || dated(120, DATE)).asks(119),
        date("retry-date-past", || dated(-120, DATE)).asks(1),
        date("retry-date-far", || dated(86_400_000, DATE)).asks(3600),
        // Obsolete forms, which nobody may send any more, are not read.
        date("retry-date-rfc850", || dated(120, "%A, %d-%b-%y %H:%M:%S GMT")),
        date("retry-date-asctime", || dated(120, "%a %b %e %H:%M:%S %Y")),
        down("retry-503", "503 Down", "120").asks(120),
        down("retry-500", "500 Oops", "120"),
        Behaviour::http1("retry-404", "UnexpectedResponse", [header("404 Lost", "120")]),
    ]
}

fn redirects() -> Vec<Behaviour> {
    let to = |name, status: &str, location: &str| {
        Behaviour::http1(name, "RedirectRefused", [answer(status, &format!("Location: {location}\r\n"), "")])
    };
    // `ELSEWHERE` is put in later: a server that must never be asked.
    vec![
        to("redirect-301", "301 Moved", "ELSEWHERE"),
        to("redirect-302", "302 Found", "ELSEWHERE"),
        to("redirect-303", "303 See", "ELSEWHERE"),
        to("redirect-307", "307 Moved", "ELSEWHERE"),
        to("redirect-308", "308 Moved", "ELSEWHERE"),
        to("redirect-inside", "302 Found", "https://169.254.169.254/latest/meta-data"),
        to("redirect-plain", "302 Found", "http://127.0.0.1/"),
        to("redirect-here", "307 Moved", "/v1/other"),
        to("redirect-garbage", "302 Found", "\\\\[::1"),
        Behaviour::http1("redirect-300", "RedirectRefused", [answer("300 Choose", "", "")]),
        Behaviour::http1("redirect-304", "RedirectRefused", [answer("304 Same", "", "")]),
        Behaviour::http1("refresh", "Connected", [answer("200 OK", "Refresh: 0; url=ELSEWHERE\r\n", "{}")]),
    ]
}
