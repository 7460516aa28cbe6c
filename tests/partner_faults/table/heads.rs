//! Heads of HTTP/1.1 that are wrong, huge, many, or never come.

use std::time::Duration;

use crate::behaviour::{ANSWER, Behaviour, KEY, Step, answer, send};

pub fn table() -> Vec<Behaviour> {
    let connect = "ConnectFailed";
    let wrong = |name, text: &str| {
        let text = format!("{text}\r\nX-Says: {ANSWER} {KEY}\r\nContent-Length: 2\r\n\r\n{{}}");
        Behaviour::http1(name, connect, [send(text), Step::Close])
    };
    let header = |name, line: &str| {
        let text = format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER} {KEY}\r\n{line}\r\nContent-Length: 2\r\n\r\n{{}}");
        Behaviour::http1(name, connect, [send(text), Step::Close])
    };
    let flood = |name, begin: &str, again: &str| {
        Behaviour::http1(name, connect, [send(begin), Step::Flood(again.repeat(200).into_bytes(), Duration::ZERO)])
            .flood()
    };
    let often = Duration::from_millis(1);
    let hints = |name, text: &str, pause| {
        let text = format!("{text}\r\nX-Says: {ANSWER}\r\n\r\n");
        let text = text.repeat(if pause == often { 100 } else { 1 });
        Behaviour::http1(name, "Timeout", [Step::Flood(text.into_bytes(), pause)]).flood_until_the_deadline()
    };
    vec![
        wrong("status-banana", "BANANA"),
        wrong("status-letters", "HTTP/1.1 2x0 OK"),
        wrong("status-two-digits", "HTTP/1.1 20 OK"),
        wrong("status-four-digits", "HTTP/1.1 2000 OK"),
        wrong("status-zero", "HTTP/1.1 000 Nothing"),
        wrong("status-version-3", "HTTP/3.0 200 OK"),
        wrong("status-no-version", "200 OK"),
        flood("status-endless", "HTTP/1.1 200 ", "so it is and so on "),
        // HTTP/0.9: a body and nothing else.
        Behaviour::http1("head-none", connect, [send("{\"valid\":true}\r\n\r\n"), Step::Close]),
        Behaviour::http1("head-binary", connect, [send(vec![0x80; 5000]), Step::Close]),
        header("header-nul", "X-Nul: a\0b"),
        header("header-space-in-name", "Bad Header: 1"),
        header("header-no-colon", "Nothing"),
        header("header-two-lengths", "Content-Length: 1"),
        header("header-length-letters", "Content-Length: many"),
        flood("header-endless", "HTTP/1.1 200 OK\r\nX-Big: ", "hhhhhhhhhhhhhhhh"),
        flood("headers-endless", "HTTP/1.1 200 OK\r\n", "X-Many: h\r\n"),
        flood("header-name-endless", "HTTP/1.1 200 OK\r\nX-", "hhhhhhhhhhhhhhhh"),
        Behaviour::http1("headers-many", connect, [answer("200 OK", &"X-Many: h\r\n".repeat(500), "{}"), Step::Close]),
        Behaviour::http1(
            "header-huge",
            connect,
            [answer("200 OK", &format!("X-Huge: {}\r\n", "h".repeat(2 << 20)), "{}"), Step::Close],
        )
        .flood(),
        hints("hints-slow", "HTTP/1.1 103 Early Hints", Duration::from_millis(20)),
        hints("hints-flood", "HTTP/1.1 103 Early Hints", often),
        hints("continue-flood", "HTTP/1.1 100 Continue", often),
        // What else a head may be is no fault.
        Behaviour::http1(
            "hints-few",
            "Connected",
            [
                send(format!("HTTP/1.1 103 Early Hints\r\nX-Says: {ANSWER}\r\n\r\n").repeat(3)),
                answer("200 OK", "", "{}"),
                Step::Close,
            ],
        ),
        Behaviour::http1(
            "version-1-0",
            "Connected",
            [send(format!("HTTP/1.0 200 OK\r\nX-Says: {ANSWER}\r\n\r\n{{\"valid\":true}}")), Step::Close],
        )
        .judged(),
        // An answer that nobody asked for comes with the first one: it must not be taken for the answer to the next check.
        Behaviour::http1(
            "answer-twice",
            "CredentialRejected",
            [send(
                format!("HTTP/1.1 401 No\r\nX-Says: {ANSWER}\r\nContent-Length: 2\r\n\r\n{{}}")
                    + "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"valid\":true}",
            )],
        ),
    ]
}
