//! An API server that answers nothing but errors for a while.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::operator::Operator;
use crate::support::proxy::{Action, Answer};
use crate::world::{ALLOW, BINARY, World};
use crate::{PATIENCE, assert_kept, keep, proxied, readyz};

/// How long each trouble lasts.
const TROUBLE: Duration = Duration::from_secs(6);
/// What it is asked meanwhile at most, three watches and one new integration: a handful of tries each.
const REQUESTS: usize = 60;
const KEPT: usize = 20;

#[tokio::test]
async fn a_burst_of_429_or_500_or_cut_connections_is_waited_out_with_few_requests_and_costs_partners_none() {
    let (plane, proxy, kubeconfig) = proxied().await;
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = World::on(&plane, "bursts", &["eu1"]).await;
    world.create_partner(json!({})).await;
    keep(&world, KEPT).await;
    let troubles = [
        ("429", Action::Answer(Answer::status(429, Some(1))), "refused (429)"),
        ("500", Action::Answer(Answer::status(500, None)), "the API server failed (5xx)"),
        ("cut", Action::CutBefore, "the API server cannot be reached"),
    ];
    for (name, action, words) in troubles {
        let rule = proxy.rule(action, |_| true);
        proxy.cut_connections();
        world.sim.accept("eu1", name);
        world.connect(&format!("in-{name}"), "eu1", name).await;
        world.put_secret("kept-not", name.as_bytes()).await;
        readyz(&operator, 503, &[words]).await;
        assert_eq!(operator.admin("/livez").await.unwrap().0, 200);
        tokio::time::sleep(TROUBLE).await;
        let met = proxy.lift(rule);
        let began = Instant::now();
        world.reaches(&format!("in-{name}"), "Connected").await;
        let back = began.elapsed();
        operator.ready(PATIENCE).await.unwrap();
        println!(
            "{name}: {met} requests were met with it; all goes on {back:.1?} after it, ready {:.1?}",
            began.elapsed()
        );
        assert!(met <= REQUESTS, "{name}: {met} requests");
        world.cost(&format!("in-{name}"), world.checks(), 1).await;
        assert_eq!(world.checks_with(name), 1, "{name}");
    }
    assert_kept(&world, KEPT);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
