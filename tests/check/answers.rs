//! Answers, and how they are judged.

use std::time::{Duration, Instant};

use partner_integration_operator::core::{Failure, Reason, Verdict};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::server::{self, Authority, KEY, Server, answering, compiled, http, prober, prove, read_request, short};

async fn judged(check: serde_json::Value, answer: impl Into<Vec<u8>>) -> (Reason, Option<u16>) {
    let authority = Authority::new();
    let (server, seen) = answering(authority.config(), answer).await;
    let verdict = prove(&prober(), &compiled(&authority, check), &server.endpoint()).await;
    assert_eq!(seen.all().len(), 1, "exactly one request");
    short(&verdict)
}

#[tokio::test]
async fn each_status_code_is_judged_by_the_order_of_the_design() {
    for (status, expected) in [
        ("200 OK", (Reason::Connected, None)),
        ("204 No Content", (Reason::Connected, None)),
        ("401 Unauthorized", (Reason::CredentialRejected, Some(401))),
        ("403 Forbidden", (Reason::CredentialRejected, Some(403))),
        ("429 Too Many Requests", (Reason::RateLimited, Some(429))),
        ("301 Moved", (Reason::RedirectRefused, Some(301))),
        ("304 Not Modified", (Reason::RedirectRefused, Some(304))),
        ("408 Request Timeout", (Reason::PartnerUnavailable, Some(408))),
        ("425 Too Early", (Reason::PartnerUnavailable, Some(425))),
        ("500 Oops", (Reason::PartnerUnavailable, Some(500))),
        ("503 Down", (Reason::PartnerUnavailable, Some(503))),
        ("404 Not Found", (Reason::UnexpectedResponse, Some(404))),
        ("999 What", (Reason::UnexpectedResponse, Some(999))),
    ] {
        let body = if status.starts_with("204") || status.starts_with("304") { "" } else { "{}" };
        assert_eq!(judged(json!({}), http(status, body)).await, expected, "{status}");
    }
}

#[tokio::test]
async fn expressions_are_asked_about_the_body() {
    let success = json!({"success": {"expression": "body.valid == true"}});
    let rejected = json!({"rejected": {"expression": "body.error == 'invalid key'"}});
    let status_only = json!({"success": {"expression": "status == 200"}});
    let unexpected = (Reason::UnexpectedResponse, Some(200));
    for (check, answer, expected) in [
        (&success, http("200 OK", r#"{"valid": true}"#), (Reason::Connected, None)),
        (&success, http("200 OK", r#"{"valid": false}"#), unexpected),
        (&success, http("200 OK", r#"{"valid": "true"}"#), unexpected),
        (&success, http("200 OK", "{}"), unexpected),
        (&success, http("200 OK", ""), unexpected),
        (&success, http("200 OK", "<html><body>Sign in</body></html>"), unexpected),
        (&success, http("500 Oops", "{"), (Reason::PartnerUnavailable, Some(500))),
        (&success, http("401 No", r#"{"valid": true}"#), (Reason::CredentialRejected, Some(401))),
        (&rejected, http("200 OK", r#"{"error": "invalid key"}"#), (Reason::CredentialRejected, Some(200))),
        (&rejected, http("500 Oops", r#"{"error": "invalid key"}"#), (Reason::CredentialRejected, Some(500))),
        (&rejected, http("302 Found", r#"{"error": "invalid key"}"#), (Reason::CredentialRejected, Some(302))),
        (&rejected, http("500 Oops", "no JSON"), (Reason::PartnerUnavailable, Some(500))),
        (&rejected, http("200 OK", "no JSON"), (Reason::Connected, None)),
        (&rejected, http("404 No", r#"{"error": 1}"#), (Reason::UnexpectedResponse, Some(404))),
        (&status_only, http("200 OK", "no JSON"), (Reason::Connected, None)),
        (&status_only, http("201 OK", "no JSON"), (Reason::UnexpectedResponse, Some(201))),
    ] {
        assert_eq!(judged(check.clone(), answer.clone()).await, expected, "{check} {answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_utf8_or_far_too_deep_is_no_json() {
    let check = json!({"success": {"expression": "body.valid == true"}});
    let mut broken = http("200 OK", "xxxxxxxxxxxxxxxxx").into_bytes();
    let at = broken.len() - 17;
    broken[at..].copy_from_slice(b"{\"valid\":\"\xff\xfe\xff\"  }");
    assert_eq!(judged(check.clone(), broken).await, (Reason::UnexpectedResponse, Some(200)));
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(judged(check, http("200 OK", &deep)).await, (Reason::UnexpectedResponse, Some(200)));
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_a_longer_one_is_not() {
    let check = json!({"success": {"expression": "body.valid"}});
    let padded = |length: usize| format!("{}{}", r#"{"valid": true}"#, " ".repeat(length - 15));
    let chunked = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let unexpected = (Reason::UnexpectedResponse, Some(200));
    assert_eq!(judged(check.clone(), http("200 OK", &padded(65_536))).await, (Reason::Connected, None));
    assert_eq!(judged(check.clone(), http("200 OK", &padded(65_537))).await, unexpected);
    assert_eq!(judged(check.clone(), chunked(&padded(65_536))).await, (Reason::Connected, None));
    assert_eq!(judged(check, chunked(&padded(65_537))).await, unexpected);
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    // What it unpacks to would be accepted. A client that unpacks nothing has no bomb to fear.
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x4b\xcc\xc9\x4c\x51\xb2\x52\x28\x29\x2a\x4d\xad\x05\x00\xd2\x37\xa8\xe5\x0f\x00\x00\x00";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let answer = [head.as_bytes(), packed].concat();
    let authority = Authority::new();
    let (server, seen) = answering(authority.config(), answer).await;
    let check = compiled(&authority, json!({"success": {"expression": "body.valid"}}));
    let verdict = prove(&prober(), &check, &server.endpoint()).await;
    assert_eq!(short(&verdict), (Reason::UnexpectedResponse, Some(200)));
    assert!(!seen.all()[0].to_ascii_lowercase().contains("accept-encoding"), "{}", seen.all()[0]);
}

#[tokio::test]
async fn an_endless_body_costs_64_kib_and_no_time() {
    for expression in ["body.valid", "status == 200"] {
        let authority = Authority::new();
        let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = written.clone();
        let server = Server::tls(authority.config(), move |mut stream| {
            let count = count.clone();
            async move {
                read_request(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
                // 10 GB, unless somebody hangs up.
                let chunk = [b"4000\r\n".to_vec(), vec![b' '; 0x4000], b"\r\n".to_vec()].concat();
                for _ in 0..640_000 {
                    if stream.write_all(&chunk).await.is_err() {
                        return;
                    }
                    count.fetch_add(0x4000, std::sync::atomic::Ordering::SeqCst);
                }
            }
        })
        .await;
        let start = Instant::now();
        let verdict =
            prove(&prober(), &compiled(&authority, json!({"success": {"expression": expression}})), &server.endpoint())
                .await;
        let expected = if expression.starts_with("body") { Reason::UnexpectedResponse } else { Reason::Connected };
        assert_eq!(short(&verdict).0, expected);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let written = written.load(std::sync::atomic::Ordering::SeqCst);
        // What was read, and what the kernel's buffers took.
        assert!(written < 32 * 1024 * 1024, "{written} bytes were taken");
    }
}

#[tokio::test]
async fn one_byte_a_second_ends_with_the_deadline_or_does_not_matter() {
    for (expression, expected) in [("body.valid", Reason::Timeout), ("status == 200", Reason::Connected)] {
        let authority = Authority::new();
        let server = Server::tls(authority.config(), |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n").await.unwrap();
            for _ in 0..60 {
                if stream.write_all(b" ").await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await;
        let start = Instant::now();
        let check = compiled(&authority, json!({"timeout": "2s", "success": {"expression": expression}}));
        let verdict = prove(&prober(), &check, &server.endpoint()).await;
        assert_eq!(short(&verdict).0, expected);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

/// The head comes just before the deadline, and a body that nobody needs comes never.
#[tokio::test]
async fn a_body_that_nobody_needs_cannot_make_it_late() {
    let authority = Authority::new();
    let server = Server::tls(authority.config(), |mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(950)).await;
        stream.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 60\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let (prober, check) = (prober(), compiled(&authority, json!({"timeout": "1s"})));
    // The handshake takes a part of the second; on a busy machine it may take all that is left.
    let mut reasons = Vec::new();
    for _ in 0..5 {
        reasons.push(short(&prove(&prober, &check, &server.endpoint()).await).0);
    }
    assert!(reasons.contains(&Reason::CredentialRejected), "{reasons:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let authority = Authority::new();
    let (other, elsewhere) = answering(authority.config(), http("200 OK", "{}")).await;
    for location in [format!("https://localhost:{}/", other.address.port()), "/same-host".into()] {
        let answer = format!("HTTP/1.1 307 Temporary\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (server, seen) = answering(authority.config(), answer).await;
        let verdict = prove(&prober(), &compiled(&authority, json!({})), &server.endpoint()).await;
        assert_eq!(short(&verdict), (Reason::RedirectRefused, Some(307)));
        assert_eq!(seen.all().len(), 1);
    }
    assert_eq!((other.connections(), elsewhere.all().len()), (0, 0));
}

#[tokio::test]
async fn retry_after_is_handed_on() {
    let authority = Authority::new();
    for (status, asked) in [("429 Slow", Some(30)), ("503 Down", Some(30)), ("500 Oops", None)] {
        let answer = format!("HTTP/1.1 {status}\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n");
        let (server, _) = answering(authority.config(), answer).await;
        match prove(&prober(), &compiled(&authority, json!({})), &server.endpoint()).await {
            Verdict::Failed(Failure { retry_after, .. }) => {
                assert_eq!(retry_after, asked.map(Duration::from_secs), "{status}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_request_is_what_the_catalogue_says_and_nothing_more() {
    let authority = Authority::new();
    let (server, seen) = answering(authority.config(), http("200 OK", "{}")).await;
    let check = json!({
        "method": "POST", "path": "/v1/validate?full=%31&x=a%2Fb", "body": "{\"a\": 1}",
        "headers": [{"name": "Accept", "value": "application/json"}, {"name": "X-Version", "value": "2 beta"}],
    });
    let endpoint = format!("{}/base", server.endpoint());
    assert_eq!(prove(&prober(), &compiled(&authority, check), &endpoint).await, Verdict::Connected);
    let mut lines: Vec<String> = seen.all()[0].lines().map(str::to_owned).collect();
    lines[1..].sort();
    let host = format!("host: {}:{}", server::NAME, server.address.port());
    let agent = format!("user-agent: partner-integration-operator/{}", env!("CARGO_PKG_VERSION"));
    let key = format!("x-key: {KEY}");
    let mut expected = vec![
        "",
        "accept: application/json",
        "content-length: 8",
        host.as_str(),
        agent.as_str(),
        "x-version: 2 beta",
        key.as_str(),
        "{\"a\": 1}",
    ];
    expected.sort_unstable();
    assert_eq!(lines[0], "POST /base/v1/validate?full=%31&x=a%2Fb HTTP/1.1");
    assert_eq!(lines[1..], expected);
}

#[tokio::test]
async fn a_head_request_has_no_body_to_wait_for() {
    let check = json!({"method": "HEAD"});
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    assert_eq!(judged(check, answer).await, (Reason::Connected, None));
    let check = json!({"method": "HEAD", "success": {"expression": "body.valid"}});
    assert_eq!(judged(check, answer).await, (Reason::UnexpectedResponse, Some(200)));
}
