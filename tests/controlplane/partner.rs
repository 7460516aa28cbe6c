//! The simulated partner does to an ordinary client what it is told to do, over HTTP/1.1 and HTTP/2.

use std::error::Error as _;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, ClientBuilder};

use crate::support::partner::{Behaviour, SimPartner};
use crate::support::wait_for;

const LIMIT: Duration = Duration::from_secs(20);
const PROTOCOLS: [&str; 2] = ["http/1.1", "h2"];

fn client(partner: &SimPartner, protocol: &str) -> Client {
    let roots = Certificate::from_pem_bundle(partner.ca_pem().as_bytes()).unwrap();
    let builder = ClientBuilder::new().no_proxy().tls_certs_only(roots).redirect(reqwest::redirect::Policy::none());
    let builder = builder.timeout(LIMIT);
    if protocol == "h2" { builder } else { builder.http1_only() }.build().unwrap()
}

/// What a client sees of one request, in a word or two.
async fn seen(client: &Client, address: &str, limit: Duration) -> String {
    let mut response = match client.get(address).header("DD-API-KEY", "right").timeout(limit).send().await {
        Ok(response) => response,
        Err(error) => return word(&error).to_owned(),
    };
    let code = response.status().as_u16();
    let mut length = 0;
    loop {
        match response.chunk().await {
            Ok(None) => return code.to_string(),
            Err(error) => return format!("{code}, then {}", word(&error)),
            Ok(Some(chunk)) => length += chunk.len(),
        }
        if length > 256 << 10 {
            return format!("{code} and more than 256 KiB");
        }
    }
}

fn word(error: &reqwest::Error) -> &'static str {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if is_tls(inner) {
            return "tls";
        }
        cause = inner.source();
    }
    if error.is_timeout() { "timeout" } else { "broken" }
}

/// An `io::Error` leaves what it wraps out of `source`, and may wrap another one. Of an alert that comes after the handshake
/// (TLS 1.3: the refusal of a client without a certificate) HTTP/2 leaves no more than the text.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let text = wrapped.is_some_and(|wrapped| wrapped.to_string().starts_with("received fatal alert"));
    error.is::<rustls::Error>() || text || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}

#[tokio::test]
async fn each_behaviour_is_what_a_client_sees() {
    use Behaviour as B;
    let text = |text: &str| Some(text.to_owned());
    let table = [
        (B::Normal, "200"),
        (B::Down503(None), "503"),
        (B::Throttle429(text("5")), "429"),
        (B::Status(418, vec![("x-a".to_owned(), "b".to_owned())], b"tea".to_vec()), "418"),
        (B::Slow(Duration::from_millis(50)), "200"),
        (B::HangForever, "timeout"),
        (B::TrickleHead, "timeout on HTTP/1.1"),
        (B::TrickleBody, "200, then timeout"),
        (B::CloseMidBody, "200, then broken"),
        (B::BodyBytes(100), "200"),
        (B::BodyBytes(10 << 30), "200 and more than 256 KiB"),
        (B::GzipBomb, "200 and more than 256 KiB"),
        (B::Html, "200"),
        (B::InvalidUtf8, "200"),
        (B::EchoKey(400), "400"),
        (B::Redirect(302, "https://elsewhere.example/".to_owned()), "302"),
        (B::HugeHeader(1000), "200"),
        (B::ResetStream, "broken"),
        (B::CloseMidHead, "broken"),
        (B::MalformedHead, "broken"),
        (B::RefuseConnections, "broken"),
        (B::ResetOnAccept, "broken"),
        (B::CloseBeforeTls, "broken"),
        (B::HangBeforeTls, "timeout"),
        (B::TlsAlert, "tls"),
        (B::OldTls, "tls"),
        (B::WantsClientCertificate, "tls"),
        (B::WrongName, "tls"),
        (B::Expired, "tls"),
        (B::OtherAuthority, "tls"),
        (B::GoAway, "broken"),
        (B::Normal, "200"),
    ];
    let partner = SimPartner::start(&["eu1"]).await.unwrap();
    partner.accept("eu1", "right");
    let mut wrong = Vec::new();
    for protocol in PROTOCOLS {
        let client = client(&partner, protocol);
        for (behaviour, expected) in &table {
            partner.set_behaviour(behaviour.clone()).await.unwrap();
            // Long where an answer is expected: the machine may be busy.
            let limit = if expected.contains("timeout") { Duration::from_millis(1500) } else { LIMIT };
            let seen = seen(&client, &partner.endpoint_by_address("eu1"), limit).await;
            // There is no half a head in HTTP/2: the stream is reset.
            let expected = match expected.strip_suffix(" on HTTP/1.1") {
                Some(_) if protocol == "h2" => "broken",
                Some(expected) => expected,
                None => expected,
            };
            if seen != expected {
                wrong.push(format!("{protocol} {behaviour:?}: {seen}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(PROTOCOLS.iter().all(|protocol| partner.requests().iter().any(|request| request.alpn == *protocol)));
    wait_for("the hung requests to be given up", LIMIT, async || partner.counters().in_flight == 0).await.unwrap();
}

#[tokio::test]
async fn a_key_is_judged_by_region_in_every_form_that_it_may_come_in() {
    let partner = SimPartner::start(&["eu1", "us1"]).await.unwrap();
    partner.accept("eu1", "right");
    let client = client(&partner, "h2");
    let get = |region: &str| client.get(format!("{}/api/v1/validate?full=1", partner.endpoint(region)));
    let code = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(code(get("eu1").header("DD-API-KEY", "right")).await, 200);
    assert_eq!(code(get("eu1").header("Authorization", "GenieKey right")).await, 200);
    assert_eq!(code(get("eu1").bearer_auth("right")).await, 200);
    assert_eq!(code(get("eu1").header("Authorization", "Basic YXBpOnJpZ2h0")).await, 200);
    assert_eq!(code(get("eu1").header("DD-API-KEY", "wrong")).await, 403);
    assert_eq!(code(get("eu1")).await, 401);
    assert_eq!(code(get("us1").bearer_auth("right")).await, 403);
    assert_eq!(code(get("ap1").bearer_auth("right")).await, 404);
    partner.refuse("eu1", "right");
    assert_eq!(code(get("eu1").bearer_auth("right")).await, 403);
    partner.set_region_behaviour("us1", Some(Behaviour::Down503(Some("7".to_owned())))).unwrap();
    let down = get("us1").send().await.unwrap();
    assert_eq!((down.status().as_u16(), &down.headers()["retry-after"]), (503, &"7".parse().unwrap()));
    partner.set_region_behaviour("us1", Some(Behaviour::TlsAlert)).unwrap_err();

    let requests = partner.requests();
    let keys: Vec<_> = requests.iter().map(|request| request.key.as_deref()).collect();
    assert_eq!(keys[..6], [Some("right"), Some("right"), Some("right"), Some("right"), Some("wrong"), None]);
    assert_eq!(requests[0].path, "/eu1/api/v1/validate?full=1");
    assert_eq!(requests[0].header("dd-api-key"), Some("right"));
    assert_eq!(requests[0].region.as_deref(), Some("eu1"));
    assert_eq!(partner.requests_with("wrong").len(), 1);
    assert_eq!((partner.counters().connections, partner.counters().handshakes), (1, 1), "one connection is reused");
}

#[tokio::test]
async fn a_body_of_a_given_length_is_json_and_a_gzip_bomb_says_that_it_is_gzip() {
    let partner = SimPartner::start(&["eu1"]).await.unwrap();
    for protocol in PROTOCOLS {
        let client = client(&partner, protocol);
        for length in [40, 65_535, 65_536, 65_537] {
            partner.set_behaviour(Behaviour::BodyBytes(length)).await.unwrap();
            let body = client.get(partner.endpoint("eu1")).send().await.unwrap().bytes().await.unwrap();
            assert_eq!(body.len() as u64, length);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["valid"], true);
        }
        partner.set_behaviour(Behaviour::GzipBomb).await.unwrap();
        let response = client.get(partner.endpoint("eu1")).send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.bytes().await.unwrap()[..3], [0x1f, 0x8b, 8]);
        let posted = client.post(partner.endpoint("eu1")).body("all of it").send().await.unwrap();
        assert_eq!(posted.status(), 200);
        assert_eq!(partner.requests().last().unwrap().body, b"all of it");
    }
}

#[tokio::test]
async fn a_client_that_gives_up_is_seen_at_once_and_a_dropped_partner_closes_everything() {
    let partner = SimPartner::start(&["eu1"]).await.unwrap();
    partner.set_behaviour(Behaviour::HangForever).await.unwrap();
    for protocol in PROTOCOLS {
        let client = client(&partner, protocol);
        let request = tokio::spawn(client.get(partner.endpoint("eu1")).send());
        wait_for("the request", LIMIT, async || partner.counters().in_flight == 1).await.unwrap();
        let began = Instant::now();
        request.abort();
        wait_for("its end", LIMIT, async || partner.counters().in_flight == 0).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        let client = client.clone();
        let request = client.get(partner.endpoint("eu1")).send();
        let (result, ()) = tokio::join!(request, async {
            wait_for("the request", LIMIT, async || partner.counters().in_flight == 1).await.unwrap();
            partner.close_connections();
        });
        assert!(!result.unwrap_err().is_timeout());
        wait_for("its end", LIMIT, async || partner.counters().in_flight == 0).await.unwrap();
    }
    let (address, endpoint) = (partner.address(), partner.endpoint("eu1"));
    let client = client(&partner, "h2");
    drop(partner);
    assert_eq!(seen(&client, &endpoint, LIMIT).await, "broken");
    wait_for("the port to be closed", LIMIT, async || tokio::net::TcpStream::connect(address).await.is_err())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_port_comes_back_and_the_most_in_flight_is_known() {
    let partner = SimPartner::start(&["eu1"]).await.unwrap();
    let client = client(&partner, "http/1.1");
    partner.set_behaviour(Behaviour::RefuseConnections).await.unwrap();
    let refused = tokio::net::TcpStream::connect(partner.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    partner.set_behaviour(Behaviour::Slow(Duration::from_millis(300))).await.unwrap();
    let requests = (0..8).map(|_| client.get(partner.endpoint("eu1")).send());
    let answers = futures::future::join_all(requests).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 401));
    assert_eq!(partner.counters().most_in_flight, 8);
    assert_eq!(partner.counters().requests, 8);
}
