//! What a behaviour is: what the partner does, and what the operator has to make of it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

/// The key that is sent. It must be nowhere but in the Secret and at the partner.
pub const KEY: &str = "CanaryKey-5d1f7b90c3e84a26-do-not-leak-4t8w2m6z";
/// Part of every answer. It must be nowhere at all.
pub const ANSWER: &str = "CanaryAnswer-e07c92ab-what-a-partner-says-1x7p";
/// The deadline of a check that is expected to reach it. Any other check has [`LONG`]: a busy machine is no fault.
pub const SHORT: Duration = Duration::from_secs(2);
/// The deadline where nothing should take long.
pub const LONG: Duration = Duration::from_secs(30);
/// What one connection may send at most, where the operator must stop reading: 64 KiB of body or 16 KiB of head, and what
/// the buffers on the way hold: some 400 KiB of one HTTP/1.1 head, and what the two kernels keep.
pub const MOST_SENT: u64 = 2 << 20;

/// One behaviour of a partner, and what section 3, 5 and 6 of the design say of it.
#[derive(Clone)]
pub struct Behaviour {
    /// A label, also of the objects: it has to be a DNS label of at most 40 characters.
    pub name: &'static str,
    /// What the partner does.
    pub fault: Fault,
    /// Laid over `spec.check` of its Partner.
    pub check: Value,
    /// What a check ends in: a reason, or `Connected`.
    pub reason: &'static str,
    /// What it may as well end in, where two rules are broken by the same bytes and either may be seen first.
    pub or: Option<&'static str>,
    /// What it asked for by Retry-After, as far as that counts.
    pub asks: Option<Duration>,
    /// How much one connection may send, `None` where only the deadline limits that, since nothing of it is kept.
    pub most_sent: Option<u64>,
    /// Whether it is one that tries to use up memory: then that is measured.
    pub floods: bool,
}

/// What the partner does.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nobody listens.
    Closed,
    /// The kernel answers no SYN.
    Deaf,
    /// The kernel answers, and nobody accepts.
    NeverAccepted,
    /// Instead of TLS.
    Tcp(Vec<Step>),
    /// A real handshake that gets through up to so many bytes, and then this.
    Handshake(u64, Step),
    /// TLS that a client must not take.
    Tls(BadTls),
    /// After a request over HTTP/1.1.
    Http1(Vec<Step>),
    /// These bytes after the handshake, and the steps after a request over HTTP/2.
    Http2 { settings: Vec<u8>, steps: Vec<Step> },
    /// The server is well, DNS is not.
    Name(BadName),
}

/// What is wrong with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTls {
    Expired,
    NotYetValid,
    WrongName,
    NoName,
    UnknownAuthority,
    SelfSigned,
    ForClients,
    Huge,
    WantsClient12,
    WantsClient13,
}

/// What DNS says of the partner's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadName {
    /// No answer but this code (RFC 1035, 4.1.1).
    Code(u8),
    /// There is such a name, and it has no address.
    Empty,
    /// Nothing.
    Silent,
    /// Bytes that are no DNS.
    Garbage,
    /// A good answer to another question.
    WrongId,
    /// `a` is an alias of `b`, and `b` of `a`.
    AliasLoop,
    /// Cut short, and nobody answers by TCP.
    Truncated,
    /// These addresses, and then, if so, the partner's own.
    Addresses(Vec<IpAddr>, bool),
}

/// One thing that a misbehaving server does.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes.
    Send(Vec<u8>),
    /// Bytes that hold the time.
    Make(fn() -> Vec<u8>),
    /// These, again and again, with this pause, until the client has had enough.
    Flood(Vec<u8>, Duration),
    /// The same over HTTP/2 without a look at what the client says, even that it has had enough.
    Pour(Vec<u8>, Duration),
    /// These, beneath TLS.
    Raw(Vec<u8>),
    /// Reads once.
    Read,
    /// Nothing for so long.
    Pause(Duration),
    /// Nothing for ever; over HTTP/2 on this stream, and the next request is answered as this one.
    Hang,
    /// The end, in good order.
    Close,
    /// The end of TCP without that of TLS.
    Cut,
    /// A TCP reset.
    Reset,
}

impl Behaviour {
    /// One that ends in this reason. Its deadline is short where the reason is `Timeout`.
    pub fn new(name: &'static str, reason: &'static str, fault: Fault) -> Self {
        let timeout = if reason == "Timeout" { SHORT } else { LONG };
        let check = json!({"timeout": format!("{}s", timeout.as_secs())});
        Self { name, fault, check, reason, or: None, asks: None, most_sent: Some(MOST_SENT), floods: false }
    }

    /// After a request over HTTP/1.1.
    pub fn http1(name: &'static str, reason: &'static str, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(name, reason, Fault::Http1(steps.into_iter().collect()))
    }

    /// After a request over HTTP/2, in which the server has sent empty settings.
    pub fn http2(name: &'static str, reason: &'static str, steps: impl IntoIterator<Item = Step>) -> Self {
        let settings = frame(SETTINGS, 0, 0, &[]);
        Self::new(name, reason, Fault::Http2 { settings, steps: steps.into_iter().collect() })
    }

    /// Instead of TLS.
    pub fn tcp(name: &'static str, reason: &'static str, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(name, reason, Fault::Tcp(steps.into_iter().collect()))
    }

    /// With an expression that needs the body.
    pub fn judged(mut self) -> Self {
        self.check["success"] = json!({"expression": "body.valid == true"});
        self
    }

    /// It may as well end in this.
    pub fn or(mut self, reason: &'static str) -> Self {
        self.or = Some(reason);
        self
    }

    /// With a request that has a body.
    pub fn post(mut self) -> Self {
        self.check["method"] = json!("POST");
        self.check["body"] = json!("b".repeat(8000));
        self
    }

    /// It asks to wait so long, in a way that counts.
    pub fn asks(mut self, seconds: u64) -> Self {
        self.asks = Some(Duration::from_secs(seconds));
        self
    }

    /// It tries to use up memory; the operator stops reading.
    pub fn flood(mut self) -> Self {
        self.floods = true;
        self
    }

    /// It tries to use up memory, and nothing but the deadline ends it: what comes is read and not kept.
    pub fn flood_until_the_deadline(mut self) -> Self {
        (self.floods, self.most_sent) = (true, None);
        self
    }
}

/// These bytes.
pub fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Send(bytes.into())
}

/// A whole answer of HTTP/1.1 with further header lines, each with its end.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Step {
    let body = body.as_ref();
    let says = format!("X-Says: {ANSWER} {KEY}");
    let head = format!("HTTP/1.1 {status}\r\n{says}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    Step::Send([head.as_bytes(), body].concat())
}

/// Kinds of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// One HTTP/2 frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
