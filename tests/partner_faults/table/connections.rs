//! Slow, reset and closed before there is an answer: at accept, in TLS, after the request, in the head.

use std::time::Duration;

use crate::behaviour::{ANSWER, Behaviour, Fault, Step, send};

pub fn table() -> Vec<Behaviour> {
    let connect = "ConnectFailed";
    let half_head = || send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\nContent-Le"));
    let tenth = Duration::from_millis(100);
    vec![
        Behaviour::new("closed", connect, Fault::Closed),
        Behaviour::new("syn-unanswered", "Timeout", Fault::Deaf),
        Behaviour::new("never-accepted", "Timeout", Fault::NeverAccepted),
        Behaviour::tcp("reset-at-accept", connect, [Step::Reset]),
        Behaviour::tcp("closed-at-accept", connect, [Step::Close]),
        Behaviour::tcp("hello-unanswered", "Timeout", [Step::Read, Step::Hang]),
        // A record of a handshake that says it is 16 KiB long.
        Behaviour::tcp(
            "hello-trickles",
            "Timeout",
            [Step::Read, send([0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc, 3, 3]), Step::Flood(vec![7], tenth)],
        ),
        Behaviour::tcp("closed-after-hello", connect, [Step::Read, Step::Close]),
        Behaviour::tcp("reset-after-hello", connect, [Step::Read, Step::Reset]),
        Behaviour::new("handshake-stalls", "Timeout", Fault::Handshake(100, Step::Hang)),
        Behaviour::new("handshake-cut", connect, Fault::Handshake(100, Step::Cut)),
        Behaviour::new("handshake-reset", connect, Fault::Handshake(100, Step::Reset)),
        Behaviour::http1("unanswered", "Timeout", [Step::Hang]),
        Behaviour::http1("closed-after-request", connect, [Step::Close]),
        Behaviour::http1("cut-after-request", connect, [Step::Cut]),
        Behaviour::http1("reset-after-request", connect, [Step::Reset]),
        Behaviour::http1("head-stalls", "Timeout", [half_head(), Step::Hang]),
        Behaviour::http1(
            "head-trickles",
            "Timeout",
            [send("HTTP/1.1 200 OK\r\nX-Slow: "), Step::Flood(vec![b's'], tenth)],
        ),
        Behaviour::http1("head-cut", connect, [half_head(), Step::Cut]),
        Behaviour::http1("head-closed", connect, [half_head(), Step::Close]),
        Behaviour::http1("head-reset", connect, [half_head(), Step::Pause(tenth), Step::Reset]),
    ]
}
