//! Connections: reused, never mixed up, given back.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use partner_integration_operator::check::{LaneKey, Order, Places, host_of};
use partner_integration_operator::core::{Reason, Verdict};
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{
    Authority, KEY, Server, answering, compiled, credential, http, prober, prove, read_request, short,
};

/// How many requests a [`hyper_server`] has, and had, at once.
#[derive(Clone, Default)]
struct Load {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
}

/// A server of HTTP/1 or HTTP/2 that accepts keys which begin with `good`, after `delay`.
async fn hyper_server(mut config: ServerConfig, alpn: &[&str], delay: Duration) -> (Server, Load) {
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let load = Load::default();
    let counted = load.clone();
    let server = Server::tls(config, move |stream| {
        let load = counted.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let load = load.clone();
            async move {
                load.total.fetch_add(1, Ordering::SeqCst);
                load.most.fetch_max(load.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(delay).await;
                load.now.fetch_sub(1, Ordering::SeqCst);
                let good = request.headers().get("x-key").is_some_and(|key| key.as_bytes().starts_with(b"good"));
                let body = Full::new(Bytes::from_static(b"{\"seen\": true}"));
                Ok::<_, Infallible>(Response::builder().status(if good { 200 } else { 401 }).body(body).unwrap())
            }
        });
        async move {
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    (server, load)
}

#[tokio::test]
async fn checks_of_several_integrations_use_one_connection() {
    let authority = Authority::new();
    for alpn in [&["http/1.1"][..], &["h2"], &["h2", "http/1.1"]] {
        let (server, load) = hyper_server(authority.config(), alpn, Duration::ZERO).await;
        let prober = prober();
        for n in 0..20 {
            // Each Partner is compiled anew, with other comments around the same roots.
            let mut spec = crate::server::spec(&authority, json!({}));
            spec.trust_bundle = spec.trust_bundle.map(|pem| format!("# {n}\n{pem}"));
            let check = partner_integration_operator::check::CompiledCheck::parse(&spec).unwrap();
            let verdict = prober.prove(&check, &server.endpoint(), credential(&format!("good-{n}"))).await;
            assert_eq!(verdict, Verdict::Connected);
        }
        assert_eq!((load.total.load(Ordering::SeqCst), server.connections()), (20, 1), "{alpn:?}");
    }
}

#[tokio::test]
async fn other_roots_never_share_a_connection() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let prober = prober();
    assert_eq!(prove(&prober, &compiled(&authority, json!({})), &server.endpoint()).await, Verdict::Connected);
    // The connection that waits in the pool was judged by the first bundle. It must not serve the second.
    let verdict = prove(&prober, &compiled(&other, json!({})), &server.endpoint()).await;
    assert_eq!(short(&verdict), (Reason::TlsFailed, None));
}

#[tokio::test]
async fn integrations_with_different_keys_never_mix() {
    let authority = Authority::new();
    for alpn in [&["http/1.1"][..], &["h2"]] {
        let (server, _) = hyper_server(authority.config(), alpn, Duration::from_millis(5)).await;
        let (prober, check) = (prober(), compiled(&authority, json!({})));
        for _ in 0..4 {
            let (prober, check, endpoint) = (&prober, &check, &server.endpoint());
            let outcomes = join_all((0..50).map(|n| async move {
                let key = if n % 3 == 0 { format!("bad-{n}") } else { format!("good-{n}") };
                (n, prober.prove(check, endpoint, credential(&key)).await)
            }))
            .await;
            for (n, verdict) in outcomes {
                let expected = if n % 3 == 0 { Reason::CredentialRejected } else { Reason::Connected };
                assert_eq!(short(&verdict).0, expected, "{alpn:?} {n}");
            }
        }
        assert!(server.connections() <= 64, "{}", server.connections());
    }
}

#[tokio::test]
async fn no_more_than_64_are_in_flight_for_one_host() {
    let authority = Authority::new();
    let (server, load) = hyper_server(authority.config(), &["h2", "http/1.1"], Duration::from_millis(50)).await;
    let (prober, check, places) = (prober(), compiled(&authority, json!({"timeout": "20s"})), Places::new(64));
    let endpoint = server.endpoint();
    let lane = LaneKey { partner: "loyalty".into(), host: host_of(&endpoint) };
    let verdicts = join_all((0..300).map(|_| async {
        let _place = places.enter(lane.clone(), None, Order::Unproved).await;
        prober.prove(&check, &endpoint, credential("good")).await
    }))
    .await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Connected));
    let most = load.most.load(Ordering::SeqCst);
    assert!((32..=64).contains(&most), "{most}");
    assert_eq!((load.total.load(Ordering::SeqCst), places.in_flight(&lane)), (300, 0));
}

#[tokio::test]
async fn a_body_that_nobody_needs_lets_the_connection_be_used_again_and_a_long_one_does_not() {
    let authority = Authority::new();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned();
    for (answer, connections) in [
        (http("200 OK", "{}"), 1),
        (http("401 No", &"x".repeat(60_000)), 1),
        (chunked, 1),
        (http("200 OK", &"x".repeat(200_000)), 3),
    ] {
        let (server, _) = answering(authority.config(), answer).await;
        let (prober, check) = (prober(), compiled(&authority, json!({})));
        for _ in 0..3 {
            prove(&prober, &check, &server.endpoint()).await;
        }
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_check_that_is_cancelled_hangs_up() {
    let authority = Authority::new();
    let (closed, mut hung_up) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::tls(authority.config(), move |mut stream| {
        let closed = closed.clone();
        async move {
            read_request(&mut stream).await;
            closed.send("asked").unwrap();
            let _ = stream.read(&mut [0]).await;
            closed.send("hung up").unwrap();
        }
    })
    .await;
    let (prober, check) = (prober(), compiled(&authority, json!({"timeout": "60s"})));
    {
        let endpoint = server.endpoint();
        let mut running = Box::pin(prober.prove(&check, &endpoint, credential(KEY)));
        tokio::select! {
            verdict = &mut running => panic!("{verdict:?}"),
            event = hung_up.recv() => assert_eq!(event, Some("asked")),
        }
    }
    let event = tokio::time::timeout(Duration::from_secs(1), hung_up.recv()).await.unwrap();
    assert_eq!(event, Some("hung up"));
}

/// A pooled connection that the partner has closed is not taken for an answer.
#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let authority = Authority::new();
    let server = Server::tls(authority.config(), |mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(http("200 OK", "{}").as_bytes()).await.unwrap();
        let _ = stream.shutdown().await;
    })
    .await;
    let (prober, check) = (prober(), compiled(&authority, json!({})));
    for _ in 0..5 {
        assert_eq!(prove(&prober, &check, &server.endpoint()).await, Verdict::Connected);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_check_takes_little_memory_while_it_waits() {
    let authority = Authority::new();
    let (prober, check) = (prober(), compiled(&authority, json!({})));
    let future = prober.prove(&check, "https://partner.example", credential(KEY));
    assert!(size_of_val(&future) <= 512, "{}", size_of_val(&future));
}
