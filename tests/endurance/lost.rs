//! Single calls that go wrong: an answer that is lost, an error that passes, a 403 that does not last.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;

use crate::support::operator::Operator;
use crate::support::proxy::{Action, Answer};
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, World, reason};
use crate::{PATIENCE, proxied};

#[tokio::test]
async fn a_call_that_fails_or_whose_answer_is_lost_costs_no_second_check_and_no_second_write() {
    let (plane, proxy, kubeconfig) = proxied().await;
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = &World::on(&plane, "lost", &["eu1"]).await;
    world.create_partner(json!({})).await;
    let status = |code| Action::Answer(Answer::status(code, Some(1)));
    let write: [(&str, usize, Action); 6] = [
        ("write-cut-after", 1, Action::CutAfter),
        ("write-cut-before", 2, Action::CutBefore),
        ("write-429", 2, status(429)),
        ("write-500", 2, status(500)),
        ("write-403", 1, status(403)),
        ("write-slow", 1, Action::Delay(Duration::from_secs(3))),
    ];
    let read: [(&str, usize, Action); 4] = [
        ("read-cut", 2, Action::CutBefore),
        ("read-429", 2, status(429)),
        ("read-500", 2, status(500)),
        ("read-slow", 1, Action::Delay(Duration::from_secs(3))),
    ];
    let mut rules = Vec::new();
    for (name, times, action) in write.clone() {
        let path = format!("/{name}/status");
        rules.push((name, proxy.rule_times(times, action, move |asked| asked.path.ends_with(&path))));
    }
    for (name, times, action) in read.clone() {
        let path = format!("/secrets/{name}");
        rules.push((name, proxy.rule_times(times, action, move |asked| asked.path.ends_with(&path))));
    }
    join_all(rules.iter().map(async |(name, _)| {
        world.sim.accept("eu1", name);
        world.connect(name, "eu1", name).await;
        let (_, took) = world.reaches_timed(name, "Connected").await;
        println!("{name}: connected after {took:.1?}");
    }))
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (name, rule) in rules {
        assert!(proxy.lift(rule) > 0, "{name}: nothing went wrong");
        let written = world.status_writes().iter().filter(|seen| seen.name == name && seen.code == 200).count();
        assert_eq!((world.checks_with(name), written), (1, 1), "{name}: checks and writes that were stored");
    }
    assert!(!operator.log().contains("SecretForbidden"));
    assert_eq!(operator.admin("/readyz").await.unwrap(), (200, "ok\n".to_owned()));
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// An API server that has just started refuses everything until it has read the roles. Here the watch of Secrets is refused all
/// the time, so that the first look at a Secret is a live one.
#[tokio::test]
async fn the_first_look_at_a_secret_believes_a_403_once_it_has_lasted_five_seconds() {
    let (plane, proxy, kubeconfig) = proxied().await;
    let forbidden = || Action::Answer(Answer::status(403, None));
    let watch = proxy.rule(forbidden(), |asked| asked.is_of_all("secrets"));
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    let world = &World::on(&plane, "first-look", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;

    // It passes.
    let read = proxy.rule(forbidden(), |asked| asked.path.ends_with("/secrets/passes"));
    world.connect("passes", "eu1", "good").await;
    wait_for("the first 403", PATIENCE, async || proxy.used(read) > 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.lift(read);
    world.reaches("passes", "Connected").await;

    // It lasts, and is over some time later.
    let read = proxy.rule(forbidden(), |asked| asked.path.ends_with("/secrets/lasts"));
    let began = Instant::now();
    world.connect("lasts", "eu1", "good").await;
    wait_for("the first 403", PATIENCE, async || proxy.used(read) > 0).await.unwrap();
    let refused = Instant::now();
    world.reaches("lasts", "SecretForbidden").await;
    println!("SecretForbidden {:.1?} after the first 403", refused.elapsed());
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(operator.admin("/readyz").await.unwrap().1.contains("secrets: get: forbidden (403) in first-look"));
    // Its own status write has been seen, so that nothing else wakes it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    proxy.lift(read);
    world.reaches("lasts", "Connected").await;
    println!("connected {:.1?} after the 403 had ended", began.elapsed());
    assert_eq!((world.checks(), reason(&world.get("passes").await)), (2, "Connected"));
    let said = operator.log();
    assert!(!said.lines().any(|line| line.contains("SecretForbidden") && line.contains("\"passes\"")), "{said}");
    proxy.lift(watch);
    operator.ready(PATIENCE).await.unwrap();
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
