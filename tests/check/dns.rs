//! DNS that fails, hangs, points inside, and changes its mind.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use partner_integration_operator::check::{Guard, Lookup, LookupFault, Prober, Resolver};
use partner_integration_operator::core::Reason;
use serde_json::json;

use crate::server::{Authority, Dns, answering, compiled, http, prove, short};

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Answers the first address to the first question, the second to all that follow.
struct Rebinding {
    asked: Arc<AtomicUsize>,
    answers: [IpAddr; 2],
}

impl Lookup for Rebinding {
    fn lookup(&self, _: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupFault>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[asked.min(1)];
        Box::pin(async move { Ok(vec![answer]) })
    }
}

struct Hanging;

impl Lookup for Hanging {
    fn lookup(&self, _: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupFault>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    let authority = Authority::new();
    let check = compiled(&authority, json!({}));
    for answer in [Err(LookupFault), Ok(Vec::new())] {
        let prober = Prober::new(Guard::default(), Resolver::custom(Dns(answer)));
        assert_eq!(short(&prove(&prober, &check, "https://partner.example").await), (Reason::DnsFailure, None));
    }
}

#[tokio::test]
async fn dns_that_hangs_ends_with_the_deadline() {
    let authority = Authority::new();
    let prober = Prober::new(Guard::default(), Resolver::custom(Hanging));
    let start = Instant::now();
    let verdict = prove(&prober, &compiled(&authority, json!({"timeout": "1s"})), "https://partner.example").await;
    assert_eq!(short(&verdict), (Reason::Timeout, None));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_name_that_points_inside_is_forbidden_and_nothing_is_dialled() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let check = compiled(&authority, json!({}));
    for inside in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fd00::1", "64:ff9b::7f00:1"]
    {
        let dns = Dns(Ok(vec![inside.parse().unwrap()]));
        let prober = Prober::new(Guard::default(), Resolver::custom(dns));
        let verdict = prove(&prober, &check, &server.endpoint()).await;
        assert_eq!(short(&verdict), (Reason::EndpointForbidden, None), "{inside}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn localhost_is_forbidden_too() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let endpoint = format!("https://localhost:{}", server.address.port());
    let check = compiled(&authority, json!({}));
    let prober = Prober::new(Guard::default(), Resolver::system());
    assert_eq!(short(&prove(&prober, &check, &endpoint).await), (Reason::EndpointForbidden, None));
    assert_eq!(server.connections(), 0);
    let allowed = Prober::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]), Resolver::system());
    assert_eq!(short(&prove(&allowed, &check, &endpoint).await).0, Reason::Connected);
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_dialled() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    // It says a public address while it is judged. Were it asked again to dial, it would say loopback.
    let asked = Arc::new(AtomicUsize::new(0));
    let dns = Rebinding { asked: asked.clone(), answers: [PUBLIC, Ipv4Addr::LOCALHOST.into()] };
    let prober = Prober::new(Guard::default(), Resolver::custom(dns));
    let check = compiled(&authority, json!({"timeout": "1s"}));
    let reason = short(&prove(&prober, &check, &server.endpoint()).await).0;
    assert!(matches!(reason, Reason::Timeout | Reason::ConnectFailed), "{reason}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // The next check asks anew, and is refused.
    assert_eq!(short(&prove(&prober, &check, &server.endpoint()).await).0, Reason::EndpointForbidden);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn forbidden_addresses_among_others_are_dropped_and_the_rest_dialled() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let dns = Dns(Ok(vec!["10.0.0.1".parse().unwrap(), Ipv4Addr::LOCALHOST.into()]));
    let prober = Prober::new(Guard::new(vec!["127.0.0.1/32".parse().unwrap()]), Resolver::custom(dns));
    let verdict = prove(&prober, &compiled(&authority, json!({"timeout": "2s"})), &server.endpoint()).await;
    assert_eq!(short(&verdict).0, Reason::Connected);
}
