//! IP literals in every disguise, and endpoints that are none: nothing is dialled.

use partner_integration_operator::check::{Guard, Prober, Resolver};
use partner_integration_operator::core::{PartnerFault, Reason};
use serde_json::json;

use crate::server::{self, Authority, answering, compiled, http, prober, prove, short};

#[tokio::test]
async fn every_disguise_of_loopback_is_forbidden_and_nothing_is_dialled() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let check = compiled(&authority, json!({"timeout": "1s"}));
    let prober = Prober::new(Guard::default(), Resolver::system());
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "127.0.0.1.",
        "１２７.0.0.1",
        "127%2e0%2e0%2e1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "255.255.255.255",
        "224.0.0.1",
    ] {
        let endpoint = format!("https://{host}:{}", server.address.port());
        let verdict = prove(&prober, &check, &endpoint).await;
        assert_eq!(short(&verdict), (Reason::EndpointForbidden, None), "{host}");
    }
    assert_eq!(server.connections(), 0);
    // The same, where it is allowed: the disguise was one of this server.
    let allowed = Prober::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]), Resolver::system());
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1"] {
        let endpoint = format!("https://{host}:{}", server.address.port());
        assert_eq!(short(&prove(&allowed, &check, &endpoint).await).0, Reason::Connected, "{host}");
    }
}

#[tokio::test]
async fn an_entry_that_the_crd_would_refuse_is_a_fault_or_forbidden_and_nothing_is_dialled() {
    let authority = Authority::new();
    let (server, _) = answering(authority.config(), http("200 OK", "{}")).await;
    let endpoint = server.endpoint();
    let port = server.address.port();
    for check in [
        json!({"path": "//evil.example/"}),
        json!({"path": "@evil.example/"}),
        json!({"headers": [{"name": "Host", "value": "evil.example"}]}),
        json!({"headers": [{"name": "x-key", "value": "mine"}]}),
        json!({"body": "x"}),
    ] {
        assert_eq!(server::parsed(&authority, check.clone()).err(), Some(PartnerFault::Request), "{check}");
    }
    for endpoint in [
        endpoint.replace("https", "http"),
        format!("https://user:pass@partner.example:{port}"),
        format!("{endpoint}/?x="),
        format!("{endpoint}/#"),
    ] {
        let check = compiled(&authority, json!({}));
        assert!(!check.can_reach(&endpoint), "{endpoint}");
        let verdict = prove(&prober(), &check, &endpoint).await;
        assert_eq!(short(&verdict), (Reason::EndpointForbidden, None), "{endpoint}");
    }
    assert_eq!(server.connections(), 0);
}
