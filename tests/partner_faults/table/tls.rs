//! TLS that must not be taken, and what is no TLS.

use std::time::Duration;

use crate::behaviour::{ANSWER, BadTls, Behaviour, Fault, Step, send};

/// A `ServerHello` that chooses TLS 1.1 (RFC 4346).
fn old_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0, 0x2f, 0]);
    hello
}

pub fn table() -> Vec<Behaviour> {
    let bad = |name, bad| Behaviour::new(name, "TLSFailed", Fault::Tls(bad));
    let instead = |name, bytes: Vec<u8>| Behaviour::tcp(name, "TLSFailed", [Step::Read, send(bytes)]);
    let alert = |kind: u8| vec![0x15, 3, 3, 0, 2, 2, kind];
    let plain = format!("HTTP/1.1 400 Bad Request\r\nX-Says: {ANSWER}\r\nContent-Length: 0\r\n\r\n");
    vec![
        bad("tls-expired", BadTls::Expired),
        bad("tls-not-yet-valid", BadTls::NotYetValid),
        bad("tls-wrong-name", BadTls::WrongName),
        bad("tls-no-name", BadTls::NoName),
        bad("tls-unknown-authority", BadTls::UnknownAuthority),
        bad("tls-self-signed", BadTls::SelfSigned),
        bad("tls-for-clients", BadTls::ForClients),
        // More than 64 KiB of one handshake message.
        bad("tls-huge-certificate", BadTls::Huge),
        bad("tls-wants-client-12", BadTls::WantsClient12),
        bad("tls-wants-client-13", BadTls::WantsClient13),
        instead("tls-old-version", old_hello()),
        // handshake_failure: what a server says that shares no cipher with its client (RFC 8446, 4.1.1).
        instead("tls-no-common-cipher", alert(40)),
        instead("tls-alert-version", alert(70)),
        instead("tls-alert-name", alert(112)),
        instead("tls-plain-http", plain.into_bytes()),
        instead("tls-ssh", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        // Warnings that mean nothing, for ever.
        Behaviour::tcp(
            "tls-warnings",
            "TLSFailed",
            [Step::Read, Step::Flood([0x15, 3, 3, 0, 2, 1, 90].repeat(100), Duration::ZERO)],
        )
        .flood(),
        // A fatal alert (internal_error) and noise beneath a connection that was whole.
        Behaviour::http1("tls-alert-later", "TLSFailed", [Step::Raw(alert(80)), Step::Hang]),
        Behaviour::http1(
            "tls-noise-later",
            "TLSFailed",
            [
                send(format!("HTTP/1.1 200 OK\r\nX-Says: {ANSWER}\r\nContent-Length: 99\r\n\r\n{{\"valid\":true,")),
                Step::Raw([&[0x17, 3, 3, 0, 100][..], &[9; 100]].concat()),
                Step::Hang,
            ],
        )
        .judged(),
    ]
}
