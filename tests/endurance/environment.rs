//! What the environment says about proxies is not for the operator.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::TcpListener;

use crate::PATIENCE;
use crate::support::operator::Operator;
use crate::world::{ALLOW, BINARY, World, own_plane};

#[tokio::test]
async fn a_proxy_in_the_environment_gets_no_connection_and_partners_are_reached_directly() {
    let (plane, kubeconfig) = own_plane().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let counting = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let binary = plane.folder().join("with-proxies");
    let variables: Vec<String> = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"]
        .iter()
        .map(|name| format!("{name}='{proxy}'"))
        .collect();
    std::fs::write(&binary, format!("#!/bin/sh\nexport {}\nexec '{BINARY}' \"$@\"\n", variables.join(" "))).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();

    let operator =
        Operator::start(&binary.display().to_string(), &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let environment = std::fs::read(format!("/proc/{}/environ", operator.pid())).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains(&format!("HTTPS_PROXY={proxy}")), "nothing would be shown");
    let world = World::on(&plane, "proxies", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "good").await;
    world.reaches("it", "Connected").await;
    assert_eq!((world.checks(), connections.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(operator.terminate().await.unwrap(), 0);
    counting.abort();
}
