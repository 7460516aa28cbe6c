//! An API server that is away when the operator starts, and CRDs that are.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::controlplane::{ControlPlane, Options, install_crds};
use crate::support::operator::{self, NAMESPACE, Operator};
use crate::world::{ALLOW, BINARY, World};
use crate::{PATIENCE, assert_kept, keep, readyz};

const KEPT: usize = 10;
/// With election, as by default.
const ELECTED: [&str; 4] = ["--allow-network", "127.0.0.0/8", "--lease-namespace", NAMESPACE];

#[tokio::test]
async fn an_api_server_that_is_away_at_the_start_is_waited_for_and_what_was_connected_costs_nothing() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    install_crds(&plane.client().unwrap()).await.unwrap();
    let kubeconfig = operator::kubeconfig(&plane).await.unwrap();
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = World::on(&plane, "away", &["eu1"]).await;
    world.create_partner(json!({})).await;
    keep(&world, KEPT).await;
    assert_eq!(operator.terminate().await.unwrap(), 0);

    plane.stop_apiserver().await.unwrap();
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ELECTED).await.unwrap();
    let away = "the API server cannot be reached";
    let lines = ["lease: get: ", "partnerintegrations: list: ", "partners: list: "].map(|line| format!("{line}{away}"));
    readyz(&operator, 503, &lines.each_ref().map(String::as_str)).await;
    assert_eq!(operator.admin("/livez").await.unwrap().0, 200);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(operator.log().contains(away));

    plane.start_apiserver().await.unwrap();
    let began = Instant::now();
    operator.ready(PATIENCE).await.unwrap();
    println!("ready {:.1?} after the API server", began.elapsed());
    world.sim.accept("eu1", "new");
    world.connect("new", "eu1", "new").await;
    world.reaches("new", "Connected").await;
    println!("at work {:.1?} after the API server", began.elapsed());
    assert_eq!(world.checks(), KEPT + 1);
    assert_kept(&world, KEPT);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
