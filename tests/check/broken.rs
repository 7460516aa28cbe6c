//! No answer to judge: each way of failing, by a real server that fails so.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partner_integration_operator::check::{Guard, Prober, Resolver};
use partner_integration_operator::core::Reason;
use rcgen::date_time_ymd;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::server::{Authority, Dns, NAME, Server, answering, compiled, http, prober, prove, read_request, short};

/// The reason that a check against `server` ends in. The body is needed if `reads_body`.
async fn reason_of(authority: &Authority, server: &Server, reads_body: bool) -> Reason {
    let expression = if reads_body { "body.valid" } else { "status == 200" };
    let check = compiled(authority, json!({"timeout": "1s", "success": {"expression": expression}}));
    let start = Instant::now();
    let reason = short(&prove(&prober(), &check, &server.endpoint()).await).0;
    assert!(start.elapsed() < Duration::from_secs(3), "{reason}: {:?}", start.elapsed());
    reason
}

/// A server that reads a request and then writes `bytes` and ends the connection in good order.
async fn writing(authority: &Authority, bytes: impl Into<Vec<u8>>) -> Server {
    let bytes = Arc::new(bytes.into());
    Server::tls(authority.config(), move |mut stream| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

async fn wait(_: TcpStream) {
    tokio::time::sleep(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_refused_connection_is_connect_failed() {
    let authority = Authority::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let verdict = prove(&prober(), &compiled(&authority, json!({})), &format!("https://{NAME}:{port}")).await;
    assert_eq!(short(&verdict), (Reason::ConnectFailed, None));
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_handshake_is_connect_failed() {
    let authority = Authority::new();
    let at_once = Server::tcp(|stream| async move { drop(stream) }).await;
    assert_eq!(reason_of(&authority, &at_once, false).await, Reason::ConnectFailed);
    let after_hello = Server::tcp(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.shutdown().await;
    })
    .await;
    assert_eq!(reason_of(&authority, &after_hello, false).await, Reason::ConnectFailed);
    let reset = Server::tcp(|stream| async move {
        let _ = stream.readable().await;
        // Unread data makes the kernel send a reset.
        drop(stream);
    })
    .await;
    assert_eq!(reason_of(&authority, &reset, false).await, Reason::ConnectFailed);
}

#[tokio::test]
async fn a_certificate_or_a_protocol_that_will_not_do_is_tls_failed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = |params: &mut rcgen::CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    };
    let future = |params: &mut rcgen::CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    };
    for (what, config) in [
        ("unknown authority", stranger.config()),
        ("another name", authority.config_with(&["other.example"], |_| {})),
        ("no name", authority.config_with(&[], |_| {})),
        ("expired", authority.config_with(&[NAME], expired)),
        ("not yet valid", authority.config_with(&[NAME], future)),
    ] {
        let (server, seen) = answering(config, http("200 OK", "{}")).await;
        assert_eq!(reason_of(&authority, &server, false).await, Reason::TlsFailed, "{what}");
        assert!(seen.all().is_empty(), "{what}: the key was sent");
    }
    for (what, bytes) in [
        ("plain HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("alert protocol_version", vec![21, 3, 1, 0, 2, 2, 70]),
        ("alert handshake_failure", vec![21, 3, 3, 0, 2, 2, 40]),
        ("alert unrecognized_name", vec![21, 3, 3, 0, 2, 2, 112]),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
    ] {
        let bytes = Arc::new(bytes);
        let server = Server::tcp(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.read(&mut [0; 4096]).await;
            }
        })
        .await;
        assert_eq!(reason_of(&authority, &server, false).await, Reason::TlsFailed, "{what}");
    }
}

#[tokio::test]
async fn public_roots_trust_no_private_authority_and_a_bundle_trusts_no_other() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let mut spec = crate::server::spec(&authority, json!({}));
    spec.trust_bundle = None;
    let check = partner_integration_operator::check::CompiledCheck::parse(&spec).unwrap();
    assert_eq!(short(&prove(&prober(), &check, &server.endpoint()).await).0, Reason::TlsFailed);
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_tls_failed() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let plain = authority.config_of(&[NAME], |_| {}, &[version]);
        let mut roots = rustls::RootCertStore::empty();
        let pem = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes()).unwrap();
        roots.add(pem).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let mut config: ServerConfig = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(plain.cert_resolver.clone());
        config.max_early_data_size = 0;
        let (server, seen) = answering(config, http("200 OK", "{}")).await;
        assert_eq!(reason_of(&authority, &server, false).await, Reason::TlsFailed, "{version:?}");
        assert!(seen.all().is_empty());
    }
}

#[tokio::test]
async fn both_tls_versions_will_do() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (server, _) = answering(authority.config_of(&[NAME], |_| {}, &[version]), http("200 OK", "{}")).await;
        assert_eq!(reason_of(&authority, &server, false).await, Reason::Connected, "{version:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_connect_failed() {
    let authority = Authority::new();
    let many = "X: y\r\n".repeat(500);
    let endless = format!("HTTP/1.1 200 OK\r\nX-Big: {}", "x".repeat(2_000_000));
    for (what, bytes) in [
        ("nothing", String::new()),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Le".into()),
        ("no HTTP", "BANANA\r\n\r\n".into()),
        ("a bad status", "HTTP/1.1 2x0 OK\r\n\r\n".into()),
        ("a bad header", "HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n".into()),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}".into()),
        ("too many headers", format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
        ("an endless header", endless),
    ] {
        let server = writing(&authority, bytes).await;
        assert_eq!(reason_of(&authority, &server, false).await, Reason::ConnectFailed, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_connect_failed_only_where_it_is_needed() {
    let authority = Authority::new();
    for (what, bytes) in [
        ("a short body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"valid\": true}"),
        ("no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"valid\": true}\r\n"),
        ("a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{\"valid\": true}\r\n"),
    ] {
        let server = writing(&authority, bytes).await;
        assert_eq!(reason_of(&authority, &server, true).await, Reason::ConnectFailed, "{what}");
        assert_eq!(reason_of(&authority, &server, false).await, Reason::Connected, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_at_every_stage() {
    let authority = Authority::new();
    let handshake = Server::tcp(wait).await;
    assert_eq!(reason_of(&authority, &handshake, false).await, Reason::Timeout);
    let hanging = |bytes: &'static [u8]| {
        Server::tls(authority.config(), move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_secs(30)).await;
        })
    };
    for bytes in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"] {
        assert_eq!(reason_of(&authority, &hanging(bytes).await, true).await, Reason::Timeout);
    }
    // Early hints for ever are no answer either.
    let hints = Server::tls(authority.config(), |mut stream| async move {
        read_request(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(reason_of(&authority, &hints, false).await, Reason::Timeout);
}

/// An address whose kernel drops every SYN: the queue of connections that nobody accepts is full.
async fn deaf(address: Ipv4Addr, port: u16) -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, port).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    for _ in 0..8 {
        match tokio::time::timeout(Duration::from_millis(300), TcpStream::connect((address, port))).await {
            Ok(stream) => queued.push(stream.unwrap()),
            Err(_) => return (listener, queued),
        }
    }
    panic!("the queue does not fill up");
}

#[tokio::test]
async fn an_address_that_drops_everything_is_a_timeout_and_the_next_one_is_tried() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let silent = Ipv4Addr::new(127, 0, 0, 2);
    let _deaf = deaf(silent, server.address.port()).await;
    let guard = || Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let check = |timeout: &str| compiled(&authority, json!({ "timeout": timeout }));

    let alone = Prober::new(guard(), Resolver::custom(Dns(Ok(vec![silent.into()]))));
    assert_eq!(short(&prove(&alone, &check("1s"), &server.endpoint()).await).0, Reason::Timeout);
    assert_eq!(short(&prove(&alone, &check("10s"), &server.endpoint()).await).0, Reason::Timeout);

    let both = Prober::new(guard(), Resolver::custom(Dns(Ok(vec![silent.into(), Ipv4Addr::LOCALHOST.into()]))));
    assert_eq!(short(&prove(&both, &check("10s"), &server.endpoint()).await).0, Reason::Connected);
}

#[tokio::test]
async fn a_refused_address_is_followed_by_the_next() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let addresses = vec![Ipv4Addr::new(127, 0, 0, 3).into(), Ipv4Addr::LOCALHOST.into()];
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let prober = Prober::new(guard, Resolver::custom(Dns(Ok(addresses))));
    assert_eq!(short(&prove(&prober, &compiled(&authority, json!({})), &server.endpoint()).await).0, Reason::Connected);
}

/// One HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A server of HTTP/2 that writes its settings, waits for a request, and writes `bytes`.
async fn http2(authority: &Authority, bytes: Vec<u8>) -> Server {
    let mut config = authority.config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let bytes = Arc::new(bytes);
    Server::tls(config, move |mut stream: TlsStream<TcpStream>| {
        let bytes = bytes.clone();
        async move {
            let _ = stream.write_all(&frame(4, 0, 0, &[])).await;
            let _ = stream.flush().await;
            // The request is there once a HEADERS frame was read; all that comes first is small.
            let mut read = Vec::new();
            let complete = |read: &[u8]| {
                let mut at = 24;
                while let Some(head) = read.get(at..at + 9) {
                    if head[3] == 1 {
                        return true;
                    }
                    at += 9 + usize::from(head[1]) * 256 + usize::from(head[2]);
                }
                false
            };
            while !complete(&read) {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            while stream.read_buf(&mut read).await.unwrap_or(0) > 0 && read.len() < 1_000_000 {}
        }
    })
    .await
}

/// A HEADERS frame with `:status: 200` out of HPACK's static table.
const OK: [u8; 1] = [0x88];

#[tokio::test]
async fn http2_that_breaks_off_is_connect_failed() {
    let authority = Authority::new();
    let cut = [frame(1, 4, 1, &OK), frame(0, 0, 1, b"{\"val"), frame(3, 0, 1, &2_u32.to_be_bytes())].concat();
    // 64 KiB of header fields: more than we take, far less than the library below hyper would take by itself. Each field
    // is `x` with a value whose length, 8064, is spelled 127 + 1 + 62 * 128.
    let field = [&[0x00, 1, b'x', 0x7f, 0x81, 0x3e][..], &[b'y'; 8064]].concat();
    let mut large = frame(1, 0, 1, &OK);
    for n in 0..8 {
        large.extend(frame(9, if n == 7 { 4 } else { 0 }, 1, &field));
    }
    large.extend(frame(0, 1, 1, b"{\"valid\": true}"));
    for (what, bytes) in [
        ("stream refused", frame(3, 0, 1, &7_u32.to_be_bytes())),
        ("stream error", frame(3, 0, 1, &2_u32.to_be_bytes())),
        ("GOAWAY", frame(7, 0, 0, &[[0; 4], [0, 0, 0, 2]].concat())),
        ("GOAWAY, no error", frame(7, 0, 0, &[0; 8])),
        ("no HTTP/2", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a frame too large", frame(0, 0, 1, &vec![0; 40_000])),
        ("a large head", large),
        ("a body cut", cut),
    ] {
        let server = http2(&authority, bytes).await;
        assert_eq!(reason_of(&authority, &server, true).await, Reason::ConnectFailed, "{what}");
    }
}

#[tokio::test]
async fn http2_that_answers_is_judged() {
    let authority = Authority::new();
    let whole = [frame(1, 4, 1, &OK), frame(0, 1, 1, b"{\"valid\": true}")].concat();
    let server = http2(&authority, whole).await;
    assert_eq!(reason_of(&authority, &server, true).await, Reason::Connected);
    let hangs = http2(&authority, frame(1, 4, 1, &OK)).await;
    assert_eq!(reason_of(&authority, &hangs, true).await, Reason::Timeout);
    assert_eq!(reason_of(&authority, &hangs, false).await, Reason::Connected);
}

#[tokio::test]
async fn http2_that_answers_no_ping_is_a_timeout_and_nothing_that_broke_off() {
    let authority = Authority::new();
    let silent = http2(&authority, Vec::new()).await;
    // Our own ping goes out after ten seconds, and the connection is given up ten seconds later: before the deadline.
    let check = compiled(&authority, json!({"timeout": "40s"}));
    let (prober, endpoint, credential) = (prober(), silent.endpoint(), crate::server::credential(crate::server::KEY));
    let verdict = tokio::time::timeout(Duration::from_mins(1), prober.prove(&check, &endpoint, credential)).await;
    assert_eq!(short(&verdict.unwrap()).0, Reason::Timeout);
}
