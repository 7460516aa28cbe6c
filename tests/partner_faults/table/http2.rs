//! HTTP/2 that breaks off, floods, or breaks its own rules.

use std::time::Duration;

use crate::behaviour::{
    ANSWER, Behaviour, CONTINUATION, DATA, Fault, GOAWAY, HEADERS, KEY, PING, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, Step, WINDOW_UPDATE, frame, send,
};

/// `:status: 200` and `:status: 401`... out of HPACK's static table there is only this one that we need.
const OK: [u8; 1] = [0x88];
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A header field of its own, not to be remembered (RFC 7541, 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let short = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], short(name), short(value)].concat()
}

fn ok() -> Vec<u8> {
    let says = field("x-says", &format!("{ANSWER} {KEY}"));
    frame(HEADERS, END_HEADERS, 1, &[&OK[..], &says].concat())
}

fn code(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

pub fn table() -> Vec<Behaviour> {
    [broken(), rules(), floods()].concat()
}

fn broken() -> Vec<Behaviour> {
    let connect = "ConnectFailed";
    let reset = |number| send(frame(RST_STREAM, 0, 1, &code(number)));
    let away = |number| send(frame(GOAWAY, 0, 0, &[code(0), code(number), *b"away"].concat()));
    let begun = || send([ok(), frame(DATA, 0, 1, b"{\"valid\":true,")].concat());
    let pause = || Step::Pause(Duration::from_millis(100));
    let silent = |name, settings| Behaviour::new(name, "Timeout", Fault::Http2 { settings, steps: vec![Step::Hang] });
    // SETTINGS_MAX_CONCURRENT_STREAMS = 0, SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let no_streams = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]);
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    vec![
        Behaviour::http2("h2-refused-stream", connect, [reset(7), Step::Hang]),
        Behaviour::http2("h2-reset", connect, [reset(2), Step::Hang]),
        Behaviour::http2("h2-reset-in-body", connect, [begun(), pause(), reset(2), Step::Hang]).judged(),
        Behaviour::http2("h2-goaway", connect, [away(2), Step::Hang]),
        Behaviour::http2("h2-goaway-no-error", connect, [away(0), pause(), Step::Close]),
        Behaviour::http2("h2-goaway-in-body", connect, [begun(), pause(), away(2), Step::Close]).judged(),
        Behaviour::http2("h2-cut-in-body", connect, [begun(), Step::Cut]).judged(),
        Behaviour::http2("h2-body-stalls", "Timeout", [begun(), Step::Hang]).judged(),
        // What becomes of a body that nobody needs is no matter.
        Behaviour::http2("h2-reset-in-body-unneeded", "Connected", [begun(), pause(), reset(2), Step::Hang]),
        Behaviour::http2("h2-goaway-in-body-unneeded", "Connected", [begun(), pause(), away(2), Step::Close]),
        Behaviour::http2("h2-cut-in-body-unneeded", "Connected", [begun(), Step::Cut]),
        Behaviour::http2("h2-body-stalls-unneeded", "Connected", [begun(), Step::Hang]),
        Behaviour::http2("h2-unanswered", "Timeout", [Step::Hang]),
        silent("h2-no-settings", Vec::new()),
        silent("h2-no-streams", no_streams),
        Behaviour { check: Behaviour::http1("", "Timeout", []).post().check, ..silent("h2-no-window", no_window) },
        Behaviour::new(
            "h2-speaks-http1",
            connect,
            Fault::Http2 {
                settings: format!("HTTP/1.1 400 Bad Request\r\nX-Says: {ANSWER}\r\n\r\n").into_bytes(),
                steps: vec![Step::Hang],
            },
        ),
        Behaviour::http2(
            "h2-whole",
            "Connected",
            [
                send([ok(), frame(DATA, END_STREAM, 1, b"{\"valid\":true}")].concat()),
                Step::Pause(Duration::from_secs(1)),
                Step::Close,
            ],
        )
        .judged(),
    ]
}

/// Frames that RFC 9113 forbids.
fn rules() -> Vec<Behaviour> {
    let wrong = |name, bytes: Vec<u8>| Behaviour::http2(name, "ConnectFailed", [send(bytes), Step::Hang]).judged();
    let head = |fields: &[u8]| frame(HEADERS, END_HEADERS, 1, fields);
    vec![
        wrong("h2-hpack-garbage", head(&[0xff; 40])),
        wrong("h2-no-status", head(&field("x-says", ANSWER))),
        wrong("h2-upper-case", head(&[&OK[..], &field("X-Says", ANSWER)].concat())),
        wrong("h2-two-statuses", head(&[&OK[..], &OK[..]].concat())),
        wrong("h2-connection-header", head(&[&OK[..], &field("connection", "close")].concat())),
        wrong("h2-frame-too-large", frame(DATA, 0, 1, &vec![0; 40_000])),
        wrong("h2-data-first", frame(DATA, 0, 1, b"{\"valid\":true}")),
        wrong("h2-data-on-stream-0", frame(DATA, 0, 0, b"{\"valid\":true}")),
        wrong("h2-data-on-no-stream", frame(DATA, 0, 99, b"{\"valid\":true}")),
        wrong("h2-continuation-alone", frame(CONTINUATION, END_HEADERS, 1, &OK)),
        wrong("h2-push", frame(PUSH_PROMISE, END_HEADERS, 1, &[&code(2)[..], &OK].concat())),
        wrong("h2-window-overflow", frame(WINDOW_UPDATE, 0, 0, &code(0x7fff_ffff))),
        wrong("h2-window-of-none", frame(WINDOW_UPDATE, 0, 0, &code(0))),
        wrong("h2-settings-odd", frame(SETTINGS, 0, 0, &[1, 2, 3])),
        wrong("h2-settings-window", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        wrong("h2-ping-odd", frame(PING, 0, 0, &[1, 2, 3])),
        // More than was said.
        wrong(
            "h2-length-lies",
            [head(&[&OK[..], &field("content-length", "3")].concat()), frame(DATA, END_STREAM, 1, b"{\"valid\":true}")]
                .concat(),
        ),
    ]
}

fn floods() -> Vec<Behaviour> {
    let flood = |bytes: Vec<u8>| Step::Flood(bytes.repeat(100), Duration::ZERO);
    // A hundred frames in a millisecond: any more would only keep the test from looking.
    let endless = |name, bytes: Vec<u8>| {
        let often = Step::Pour(bytes.repeat(100), Duration::from_millis(1));
        Behaviour::http2(name, "Timeout", [often]).judged().flood_until_the_deadline()
    };
    let many = field("x-many", &"m".repeat(100));
    let large = many.repeat(600);
    let blocks: Vec<u8> = large.chunks(16_000).flat_map(|part| frame(CONTINUATION, 0, 1, part)).collect();
    let hint = frame(HEADERS, END_HEADERS, 1, &[field(":status", "103"), field("x-says", ANSWER)].concat());
    vec![
        Behaviour::http2(
            "h2-large-head",
            "ConnectFailed",
            [
                send([frame(HEADERS, 0, 1, &OK), blocks, frame(CONTINUATION, END_HEADERS, 1, &[])].concat()),
                send(frame(DATA, END_STREAM, 1, b"{\"valid\":true}")),
                Step::Hang,
            ],
        )
        .judged()
        .flood(),
        Behaviour::http2(
            "h2-continuation-flood",
            "ConnectFailed",
            [send(frame(HEADERS, 0, 1, &OK)), flood(frame(CONTINUATION, 0, 1, &many))],
        )
        .judged()
        .flood(),
        Behaviour::http2(
            "h2-continuation-empty",
            "ConnectFailed",
            [send(frame(HEADERS, 0, 1, &OK)), flood(frame(CONTINUATION, 0, 1, &[]))],
        )
        .judged()
        .flood(),
        // More than our window. It is also more than we read of a body: where the reader is as fast as the line, that is seen
        // first. A body that keeps to the window and has no end is tried in tests/cluster/answers.rs.
        Behaviour::http2("h2-body-over-window", "ConnectFailed", [send(ok()), flood(frame(DATA, 0, 1, &[b' '; 1000]))])
            .judged()
            .or("UnexpectedResponse")
            .flood(),
        Behaviour::http2(
            "h2-body-over-window-unneeded",
            "Connected",
            [send(ok()), flood(frame(DATA, 0, 1, &[b' '; 1000]))],
        )
        .flood(),
        endless("h2-ping-flood", frame(PING, 0, 0, b"12345678")),
        endless("h2-pong-flood", frame(PING, ACK, 0, b"12345678")),
        endless("h2-settings-flood", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        endless("h2-priority-flood", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9])),
        endless("h2-window-flood", frame(WINDOW_UPDATE, 0, 1, &code(1))),
        endless("h2-unknown-flood", frame(0xee, 0, 0, &[7; 1000])),
        endless("h2-hint-flood", hint),
        // Frames that say nothing: it is we who break off, before there is a body.
        Behaviour::http2("h2-data-empty-flood", "ConnectFailed", [send(ok()), flood(frame(DATA, 0, 1, &[]))])
            .judged()
            .flood(),
        Behaviour::http2("h2-data-empty-flood-unneeded", "Connected", [send(ok()), flood(frame(DATA, 0, 1, &[]))])
            .flood(),
        // Longer than a ping of ours waits for its answer: that nobody answers is no broken line.
        Behaviour {
            check: serde_json::json!({"timeout": "30s"}),
            ..Behaviour::http2("h2-silent-for-long", "Timeout", [Step::Hang])
        },
    ]
}
