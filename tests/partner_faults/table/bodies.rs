//! Bodies that are no JSON, too long, too deep, or other than was said.

use std::time::Duration;

use crate::behaviour::{ANSWER, Behaviour, KEY, Step, answer, send};

const LIMIT: usize = 64 << 10;

pub fn table() -> Vec<Behaviour> {
    [shapes(), lengths(), unneeded(), endless()].concat()
}

/// The code is all that is asked for: what becomes of the body is no matter.
fn unneeded() -> Vec<Behaviour> {
    let head = |more: &str| send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\n{more}\r\n\r\n"));
    let flood = |bytes: &str| Step::Flood(bytes.repeat(16).into_bytes(), Duration::ZERO);
    let after =
        |name, more: &str, then: &[Step]| Behaviour::http1(name, "Connected", [&[head(more)][..], then].concat());
    let (counted, chunked) = ("Content-Length: 99", "Transfer-Encoding: chunked");
    vec![
        after("length-too-long-unneeded", counted, &[send("{}"), Step::Close]),
        after("length-10-gb-unneeded", "Content-Length: 10737418240", &[send("{"), Step::Hang]),
        after("body-stalls-unneeded", counted, &[send("{"), Step::Hang]),
        after("body-cut-unneeded", counted, &[send("{"), Step::Cut]),
        after("body-reset-unneeded", counted, &[send("{"), Step::Pause(Duration::from_millis(100)), Step::Reset]),
        after("body-open-cut-unneeded", "Connection: close", &[send("{}"), Step::Cut]),
        after("chunk-no-last-unneeded", chunked, &[send("2\r\n{}\r\n"), Step::Close]),
        after("chunk-no-number-unneeded", chunked, &[send("zz\r\n{}\r\n"), Step::Close]),
        after("chunk-extensions-unneeded", chunked, &[flood(&format!("1;{}\r\n \r\n", "x".repeat(99)))]).flood(),
        after("trailers-endless-unneeded", chunked, &[send("2\r\n{}\r\n0\r\n"), flood("X-Trailer: t\r\n")]).flood(),
    ]
}

/// Whole bodies, judged by `body.valid == true`.
fn shapes() -> Vec<Behaviour> {
    let unexpected = "UnexpectedResponse";
    let body = |name, reason, bytes: Vec<u8>| Behaviour::http1(name, reason, [answer("200 OK", "", bytes)]).judged();
    let text = |name, reason, text: &str| body(name, reason, text.replace("ANSWER", ANSWER).into_bytes());
    // Valid, and of exactly so many bytes.
    let sized = |length: usize| {
        let (begin, end) = ("{\"valid\":true,\"filler\":\"", "\"}");
        format!("{begin}{}{end}", "f".repeat(length - begin.len() - end.len())).into_bytes()
    };
    let wide = |item: &str| {
        let items = item.repeat((LIMIT - 40) / item.len());
        format!("{{\"valid\":true,\"items\":[{}0]}}", &items[..items.len()]).into_bytes()
    };
    let utf16 = "{\"valid\":true}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        text("body-false", unexpected, "{\"valid\":false,\"why\":\"ANSWER\"}"),
        text("body-word", unexpected, "{\"valid\":\"true\",\"why\":\"ANSWER\"}"),
        text("body-other", unexpected, "[\"ANSWER\"]"),
        text("body-html", unexpected, "<!doctype html><title>Sign in, ANSWER</title>"),
        text("body-empty", unexpected, ""),
        text("body-half", unexpected, "{\"valid\":true,\"why\":\"ANSWER"),
        text("body-more", unexpected, "{\"valid\":true} ANSWER"),
        text("body-nan", unexpected, "{\"valid\":true,\"n\":NaN}"),
        text("body-huge-exponent", unexpected, "{\"valid\":true,\"n\":1e999999999}"),
        body("body-many-digits", unexpected, format!("{{\"valid\":true,\"n\":{}}}", "9".repeat(60_000)).into_bytes()),
        body("body-bom", unexpected, b"\xef\xbb\xbf{\"valid\":true}".to_vec()),
        body("body-no-utf-8", unexpected, b"{\"valid\":true,\"n\":\"\xff\xfe\"}".to_vec()),
        body("body-utf-16", unexpected, utf16),
        body("body-deep-lists", unexpected, "[".repeat(60_000).into_bytes()),
        body("body-deep-maps", unexpected, "{\"valid\":".repeat(7000).into_bytes()),
        body("body-wide-lists", "Connected", wide("[],")).flood(),
        body("body-wide-maps", "Connected", wide("{\"a\":0},")).flood(),
        body("body-just-right", "Connected", sized(LIMIT)),
        body("body-one-too-many", unexpected, sized(LIMIT + 1)),
        Behaviour::http1("body-gzip", unexpected, [answer("200 OK", "Content-Encoding: gzip\r\n", gzip())]).judged(),
        Behaviour::http1(
            "body-says-gzip",
            "Connected",
            [answer("200 OK", "Content-Encoding: gzip\r\n", format!("{{\"valid\":true,\"key\":\"{KEY}\"}}"))],
        )
        .judged(),
    ]
}

/// 60 KiB of gzip that would unpack to 60 MiB.
fn gzip() -> Vec<u8> {
    use std::io::Write as _;
    let mut pack = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..60 {
        pack.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    pack.finish().unwrap()
}

/// Bodies that end other than was said.
fn lengths() -> Vec<Behaviour> {
    let connect = "ConnectFailed";
    let said = |length: &str, body: &str| {
        send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let chunked =
        |body: &str| send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let open = || send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\n\r\n{{\"valid\":true}}"));
    let half = "{\"valid\":true,";
    vec![
        Behaviour::http1("length-too-long-close", connect, [said("100", "{\"valid\":true}"), Step::Close]).judged(),
        Behaviour::http1("length-too-long-stall", "Timeout", [said("100", "{\"valid\":true}"), Step::Hang]).judged(),
        Behaviour::http1("length-too-short", "UnexpectedResponse", [said("8", "{\"valid\":true}"), Step::Close])
            .judged(),
        Behaviour::http1("length-10-gb", "UnexpectedResponse", [said("10737418240", half), Step::Hang]).judged(),
        Behaviour::http1("length-beyond-64-bits", connect, [said("99999999999999999999", half), Step::Hang]).judged(),
        Behaviour::http1("length-negative", connect, [said("-1", half), Step::Hang]).judged(),
        Behaviour::http1("body-stalls", "Timeout", [said("99", half), Step::Hang]).judged(),
        Behaviour::http1("body-cut", connect, [said("99", half), Step::Cut]).judged(),
        Behaviour::http1(
            "body-reset",
            connect,
            [said("99", half), Step::Pause(Duration::from_millis(100)), Step::Reset],
        )
        .judged(),
        // Without a length, only the end of TLS says that the body is whole: who cuts the line must not decide that.
        Behaviour::http1("body-open-cut", connect, [open(), Step::Cut]).judged(),
        Behaviour::http1("body-open-close", "Connected", [open(), Step::Close]).judged(),
        Behaviour::http1("chunk-no-last", connect, [chunked("e\r\n{\"valid\":true}\r\n"), Step::Close]).judged(),
        Behaviour::http1("chunk-no-number", connect, [chunked("zz\r\n{\"valid\":true}\r\n"), Step::Close]).judged(),
        Behaviour::http1("chunk-huge", connect, [chunked("fffffffffffffffff\r\n{\"valid\":true}"), Step::Close])
            .judged(),
        Behaviour::http1("early-answer", "Connected", [answer("200 OK", "", "{\"valid\":true}"), Step::Close])
            .post()
            .judged(),
    ]
}

/// Bodies without an end.
fn endless() -> Vec<Behaviour> {
    let chunked = || send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\nTransfer-Encoding: chunked\r\n\r\n"));
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    let flood = |bytes: &str| Step::Flood(bytes.repeat(16).into_bytes(), Duration::ZERO);
    let tenth = Duration::from_millis(100);
    vec![
        Behaviour::http1("body-endless", "UnexpectedResponse", [chunked(), flood(&chunk)]).judged().flood(),
        Behaviour::http1("body-endless-unneeded", "Connected", [chunked(), flood(&chunk)]).flood(),
        Behaviour::http1(
            "body-endless-refused",
            "CredentialRejected",
            [send("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n"), flood(&chunk)],
        )
        .judged()
        .flood(),
        Behaviour::http1("body-trickles", "Timeout", [chunked(), Step::Flood(b"1\r\n \r\n".to_vec(), tenth)]).judged(),
        Behaviour::http1(
            "body-trickles-unneeded",
            "Connected",
            [chunked(), Step::Flood(b"1\r\n \r\n".to_vec(), tenth)],
        ),
        Behaviour::http1("chunk-extension-endless", "ConnectFailed", [chunked(), send("1;"), flood("extension")])
            .judged()
            .flood(),
        Behaviour::http1(
            "chunk-extensions-many",
            "ConnectFailed",
            [chunked(), flood(&format!("1;{}\r\n \r\n", "x".repeat(99)))],
        )
        .judged()
        .flood(),
        Behaviour::http1(
            "trailers-endless",
            "ConnectFailed",
            [chunked(), send("e\r\n{\"valid\":true}\r\n0\r\n"), flood("X-Trailer: t\r\n")],
        )
        .judged()
        .flood(),
    ]
}
