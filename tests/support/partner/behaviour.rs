//! What a simulated partner can be told to do, and what that means for one request.

use std::sync::LazyLock;
use std::time::Duration;

use super::log::Logged;

/// What the partner does. The first group answers requests and can be set for one region; the second group concerns whole
/// connections, so it can only be set for all regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 `{"valid":true}` for a key that is accepted, 403 for any other, 401 without one.
    Normal,
    /// 503, with this `Retry-After` if any.
    Down503(Option<String>),
    /// 429, with this `Retry-After` if any.
    Throttle429(Option<String>),
    /// Any answer, whatever the key.
    Status(u16, Vec<(String, String)>, Vec<u8>),
    /// As [`Normal`](Self::Normal), after this delay.
    Slow(Duration),
    /// Reads the request and never answers.
    HangForever,
    /// One byte of the head a second.
    TrickleHead,
    /// The head at once, then one byte of the body a second, for ten minutes.
    TrickleBody,
    /// Ends in the middle of the head.
    CloseMidHead,
    /// Ends in the middle of the body, which begins like a good one.
    CloseMidBody,
    /// 200 and a JSON body `{"valid":true,"filler":"aaa…"}` of exactly so many bytes (at least 40), made while it is sent.
    BodyBytes(u64),
    /// 200, `Content-Encoding: gzip`, 1 MiB that unpacks to about 160 MiB.
    GzipBomb,
    /// 200 and a web page.
    Html,
    /// 200 and JSON that is no UTF-8.
    InvalidUtf8,
    /// This code, with the key that came in the body, in a header and in the reason phrase.
    EchoKey(u16),
    /// This code and `Location`.
    Redirect(u16, String),
    /// 200 with one header of so many bytes.
    HugeHeader(usize),
    /// Bytes that are no HTTP.
    MalformedHead,
    /// HTTP/2: the stream is reset. HTTP/1.1: the connection is closed without an answer.
    ResetStream,

    /// Nobody listens. Open connections are closed.
    RefuseConnections,
    /// TCP reset right after accept.
    ResetOnAccept,
    /// Closes when the `ClientHello` has come.
    CloseBeforeTls,
    /// Reads the `ClientHello` and never answers.
    HangBeforeTls,
    /// A TLS alert: `handshake_failure`.
    TlsAlert,
    /// Answers as a server that speaks TLS 1.1 at most.
    OldTls,
    /// Asks for a client certificate, and ends the connection by an alert without one.
    WantsClientCertificate,
    /// A certificate for `elsewhere.example`.
    WrongName,
    /// A certificate that ended in 2001.
    Expired,
    /// A certificate of an authority that nobody knows.
    OtherAuthority,
    /// HTTP/2: GOAWAY instead of an answer. HTTP/1.1: closed.
    GoAway,
}

impl Behaviour {
    /// Whether it concerns whole connections.
    pub fn is_about_connections(&self) -> bool {
        matches!(
            self,
            Self::RefuseConnections
                | Self::ResetOnAccept
                | Self::CloseBeforeTls
                | Self::HangBeforeTls
                | Self::TlsAlert
                | Self::OldTls
                | Self::WantsClientCertificate
                | Self::WrongName
                | Self::Expired
                | Self::OtherAuthority
                | Self::GoAway
        )
    }
}

/// What is done with one request.
pub enum Plan {
    /// An answer, after a delay.
    Answer(Duration, Answer),
    /// Nothing, ever.
    Hang,
    /// Bytes on the connection, which then ends. HTTP/2 has no such thing: there the stream is reset.
    Raw(Raw),
}

/// Bytes instead of an answer.
pub enum Raw {
    /// These, then close.
    Bytes(&'static [u8]),
    /// These, one a second, then close.
    Trickle(&'static [u8]),
}

/// One answer.
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The reason phrase; HTTP/2 has none.
    pub phrase: String,
    /// Headers; the body's length is added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// A body, never held in memory when it is large.
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// So many bytes of JSON.
    Filler(u64),
    /// One byte a second, then blanks up to the length.
    Trickle(&'static [u8], u64),
    /// These, and then an end that comes too early.
    Cut(&'static [u8], u64),
}

const VALID: &[u8] = b"{\"valid\":true}";
const TEN_MINUTES: u64 = 600;
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"valid\":true}";

impl Answer {
    fn json(code: u16, body: &[u8]) -> Self {
        Self {
            code,
            phrase: "As asked".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Body::Whole(body.to_vec()),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// What an honest partner says.
fn honest(accepted: bool, request: &Logged) -> Answer {
    match (&request.region, &request.key) {
        (None, _) => Answer::json(404, b"{\"errors\":[\"no such region\"]}"),
        (_, None) => Answer::json(401, b"{\"errors\":[\"no key\"]}"),
        _ if accepted => Answer::json(200, VALID),
        _ => Answer::json(403, b"{\"errors\":[\"Forbidden\"]}"),
    }
}

fn limited(code: u16, retry_after: Option<&String>) -> Answer {
    let answer = Answer::json(code, b"{\"errors\":[\"not now\"]}");
    retry_after.map_or(Answer::json(code, b"{\"errors\":[\"not now\"]}"), |value| answer.with("retry-after", value))
}

impl Behaviour {
    /// What this behaviour does with a request whose key is accepted or not.
    pub fn plan(&self, accepted: bool, request: &Logged) -> Plan {
        let now = |answer| Plan::Answer(Duration::ZERO, answer);
        let good = Answer::json(200, VALID);
        match self {
            Self::Down503(retry_after) => now(limited(503, retry_after.as_ref())),
            Self::Throttle429(retry_after) => now(limited(429, retry_after.as_ref())),
            Self::Status(code, headers, body) => {
                now(headers.iter().fold(Answer::json(*code, body), |answer, (name, value)| answer.with(name, value)))
            }
            Self::Slow(delay) => Plan::Answer(*delay, honest(accepted, request)),
            Self::HangForever => Plan::Hang,
            Self::TrickleHead => Plan::Raw(Raw::Trickle(HEAD)),
            Self::TrickleBody => now(good.body(Body::Trickle(VALID, TEN_MINUTES))),
            Self::CloseMidHead => Plan::Raw(Raw::Bytes(&HEAD[..40])),
            Self::CloseMidBody => now(good.body(Body::Cut(b"{\"valid\":true,", 1000))),
            Self::BodyBytes(length) => now(good.body(Body::Filler(*length))),
            Self::GzipBomb => now(Answer::json(200, &GZIP_BOMB).with("content-encoding", "gzip")),
            Self::Html => {
                now(Answer::json(200, b"<!doctype html><title>Sign in</title>").with("content-type", "text/html"))
            }
            Self::InvalidUtf8 => now(Answer::json(200, b"{\"valid\":true,\"name\":\"\xff\xfe\"}")),
            Self::EchoKey(code) => now(echo(*code, request.key.as_deref().unwrap_or_default())),
            Self::Redirect(code, location) => now(Answer::json(*code, b"").with("location", location)),
            Self::HugeHeader(length) => now(good.with("x-huge", &"h".repeat(*length))),
            Self::MalformedHead => Plan::Raw(Raw::Bytes(b"\x01\x02 this is not HTTP at all\r\n\r\n")),
            Self::ResetStream => Plan::Raw(Raw::Bytes(b"")),
            // The rest is done before there is a request; a connection that is still open behaves well.
            _ => now(honest(accepted, request)),
        }
    }
}

fn echo(code: u16, key: &str) -> Answer {
    let body = serde_json::json!({"valid": true, "error": format!("your key {key} is wrong")}).to_string();
    let mut answer = Answer::json(code, body.as_bytes()).with("x-your-key", key);
    answer.phrase = format!("Bad key {key}");
    answer
}

/// Made once: it takes half a second in a debug build.
static GZIP_BOMB: LazyLock<Vec<u8>> = LazyLock::new(gzip_bomb);

/// Deflate, fixed codes: a zero, then "the 258 bytes before this again" (length code 285, distance code 0) half a million times.
fn gzip_bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let again = [true, true, false, false, false, true, false, true, false, false, false, false, false];
    // Last block, fixed codes (least significant bit first), then the code of literal 0.
    let start = [true, true, false, false, false, true, true, false, false, false, false];
    let bits = start.into_iter().chain(std::iter::repeat_n(again, 645_000).flatten()).chain([false; 7]);
    let (mut byte, mut filled) = (0_u8, 0);
    for bit in bits {
        byte |= u8::from(bit) << filled;
        filled += 1;
        if filled == 8 {
            bytes.push(byte);
            (byte, filled) = (0, 0);
        }
    }
    bytes.push(byte);
    bytes
}

impl Body {
    /// What `Content-Length` says.
    pub fn length(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Filler(length) | Self::Trickle(_, length) | Self::Cut(_, length) => *length,
        }
    }
}

/// The bytes of [`Body::Filler`] from `sent` on, at most `most`; `None` at the end.
pub fn filler(length: u64, sent: u64, most: usize) -> Option<Vec<u8>> {
    const BEGIN: &[u8] = b"{\"valid\":true,\"filler\":\"";
    const END: &[u8] = b"\"}";
    let left = length.checked_sub(sent).filter(|left| *left > 0)?;
    let until = sent + left.min(most as u64);
    let byte = |at: u64| {
        let from_end = length - at;
        if at < BEGIN.len() as u64 {
            BEGIN[usize::try_from(at).unwrap_or(0)]
        } else if from_end <= END.len() as u64 {
            END[END.len() - usize::try_from(from_end).unwrap_or(1)]
        } else {
            b'a'
        }
    };
    Some((sent..until).map(byte).collect())
}
