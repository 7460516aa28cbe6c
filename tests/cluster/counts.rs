//! One check and one successful status write for each new integration, whatever else happens to the object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use partner_integration_operator::api::PartnerIntegration;
use serde_json::json;

use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{LIMIT, World, reason, world};

/// Integrations `it-0` … each with a key of its own.
async fn many(world: &World<'_>, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("it-{number}")).collect();
    join_all(names.iter().map(async |name| {
        world.sim.accept("eu1", name);
        world.connect(name, "eu1", name).await;
    }))
    .await;
    names
}

/// Each has been checked once and written once, also some time after everything is connected.
async fn assert_once_each(world: &World<'_>, names: &[String]) {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let writes = world.status_writes();
    for name in names {
        let successful = writes.iter().filter(|seen| seen.name == *name && seen.code == 200).count();
        assert_eq!((world.checks_with(name), successful), (1, 1), "{name}: checks and status writes");
    }
    assert_eq!(world.checks(), names.len());
}

/// Adds an annotation that nobody asked for to each of these, again and again, until the flag is set.
fn annotate(
    world: &World<'_>,
    names: &[String],
    pause: Duration,
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<u32>> {
    let annotate = |name: &String| {
        let (api, name, stop) = (world.integrations(), name.clone(), stop.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                count += 1;
                let patch = json!({"metadata": {"annotations": {"example.com/noise": count.to_string()}}});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
                tokio::time::sleep(pause).await;
            }
            count
        })
    };
    names.iter().map(annotate).collect()
}

#[tokio::test]
async fn fifty_new_integrations_cost_fifty_checks_and_fifty_status_writes() {
    let world = world("fifty", &["eu1"]).await;
    world.create_partner(json!({})).await;
    let names = many(&world, 50).await;
    for name in &names {
        world.reaches(name, "Connected").await;
    }
    assert_once_each(&world, &names).await;
}

#[tokio::test]
async fn it_stays_at_one_check_and_one_write_while_somebody_annotates_ten_times_a_second() {
    let world = world("annotated", &["eu1"]).await;
    world.create_partner(json!({})).await;
    world.sim.set_behaviour(Behaviour::Slow(Duration::from_millis(700))).await.unwrap();
    let names = many(&world, 8).await;
    let stop = Arc::new(AtomicBool::new(false));
    let noise = annotate(&world, &names, Duration::from_millis(100), &stop);
    for name in &names {
        world.reaches(name, "Connected").await;
    }
    assert_once_each(&world, &names).await;
    stop.store(true, Ordering::Relaxed);
    for noise in noise {
        assert!(noise.await.unwrap() > 10, "it was annotated all the time");
    }
}

#[tokio::test]
async fn it_stays_at_one_check_and_one_write_while_the_status_write_meets_conflicts() {
    let world = world("conflicts", &["eu1"]).await;
    world.create_partner(json!({})).await;
    world.sim.set_behaviour(Behaviour::Slow(Duration::from_millis(300))).await.unwrap();
    let names = many(&world, 6).await;
    let stop = Arc::new(AtomicBool::new(false));
    // As fast as the API server takes it: hardly a write finds the object as it was read.
    let noise = annotate(&world, &names, Duration::ZERO, &stop);
    for name in &names {
        world.reaches(name, "Connected").await;
    }
    stop.store(true, Ordering::Relaxed);
    for noise in noise {
        noise.await.unwrap();
    }
    assert_once_each(&world, &names).await;
    let conflicts = world.status_writes().iter().filter(|seen| seen.code == 409).count();
    println!("{conflicts} status writes met a conflict");
    assert!(conflicts > 0, "nothing was shown");
}

#[tokio::test]
async fn labels_and_annotations_of_a_settled_integration_cost_nothing() {
    let world = world("labels", &["eu1"]).await;
    world.create_partner(json!({})).await;
    let names = many(&world, 3).await;
    for name in &names {
        world.reaches(name, "Connected").await;
        world
            .edit(name, json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"example.com/a": "b"}}}))
            .await;
    }
    assert_once_each(&world, &names).await;
}

#[tokio::test]
async fn a_partner_is_never_asked_more_often_than_its_entry_allows() {
    let world = world("paced", &["eu1"]).await;
    world.create_partner(json!({"spec": {"check": {"maxPerSecond": 5}}})).await;
    let names = many(&world, 20).await;
    for name in &names {
        world.reaches(name, "Connected").await;
    }
    let at: Vec<_> = world.sim.requests().into_iter().map(|request| request.at).collect();
    assert_eq!(at.len(), 20);
    for start in &at {
        let within = at.iter().filter(|at| at >= &start && **at - *start < Duration::from_millis(950)).count();
        // What was held up on the way may arrive together with what follows.
        assert!(within <= 6, "{within} checks within a second");
    }
}

#[tokio::test]
async fn a_status_that_somebody_else_writes_during_a_check_costs_a_second_one_and_is_put_right() {
    let world = world("meddled", &["eu1"]).await;
    world.create_partner(json!({})).await;
    world.sim.set_behaviour(Behaviour::Slow(Duration::from_millis(500))).await.unwrap();
    let names = many(&world, 1).await;
    wait_for("the check", LIMIT, async || world.checks() == 1).await.unwrap();
    world.spoil("it-0", json!({"phase": "Failed", "observedGeneration": 1, "connected": false})).await;
    world.reaches(&names[0], "Connected").await;
    world.cost("it-0", 2, 1).await;
}

#[tokio::test]
async fn a_settled_status_that_somebody_else_spoils_is_put_right() {
    let world = world("spoilt", &["eu1"]).await;
    world.create_partner(json!({})).await;
    for name in many(&world, 5).await {
        world.reaches(&name, "Connected").await;
    }
    world.spoil("it-0", json!({"conditions": null})).await;
    world.spoil("it-1", json!({"phase": "Failed", "connected": false})).await;
    world.spoil("it-2", json!({"partnerName": "Somebody Else", "endpoint": "https://example.com"})).await;
    world.spoil("it-3", json!({"verified": null})).await;
    world.spoil("it-4", json!(null)).await;
    for number in 0..5 {
        let name = format!("it-{number}");
        let whole = |it: &PartnerIntegration| {
            let status = it.status.as_ref();
            reason(it) == "Connected"
                && status.is_some_and(|status| {
                    status.connected
                        && status.verified.is_some()
                        && status.partner_name.as_deref() == Some("Loyalty Platform")
                        && status.endpoint.as_deref() == Some(&world.sim.endpoint_by_address("eu1"))
                })
        };
        let (found, _) = world.until(&name, "put right", whole).await;
        crate::world::assert_row(&found, "Connected");
    }
}
