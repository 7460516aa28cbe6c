//! What partners do wrong, each in every phase: the reason, the schedule and the memory that it costs.
//!
//! `PARTNER_FAULTS=TEXT,TEXT` runs the behaviours whose names hold one of the texts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod behaviour;
mod canary;
mod case;
mod certificates;
mod dns;
mod http2;
mod memory;
mod server;
#[path = "../check/server.rs"]
#[allow(dead_code)]
mod server_of_check;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod table;
#[path = "../cluster/world.rs"]
#[allow(dead_code)]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use behaviour::Behaviour;
use case::{Case, Prior};
use stage::Stage;
use support::proof;

/// What the operator may hold, in MiB, whatever its partners do. Four hundred integrations of two hundred partners are
/// part of it.
const MOST_MIB: u64 = 256;

/// Behaviours at once, each in four phases.
const AT_ONCE: usize = 30;
const FLOODS_AT_ONCE: usize = 6;

/// How often a behaviour that was not as it should be among a hundred others is played again by itself, and how many are:
/// the deadlines of this test and of the partners are met or missed by what else the machine does.
const AGAIN: usize = 3;
const MOST_AGAIN: usize = 5;

/// A behaviour, and what was not as it should be.
type Wrong = (&'static str, String);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_behaviour_of_a_partner_has_its_reason_its_schedule_and_its_limit_on_memory() {
    let began = Instant::now();
    let stage = Arc::new(Stage::start().await);
    let wanted = std::env::var("PARTNER_FAULTS").unwrap_or_default();
    let mut behaviours = table::all(stage.dns.is_some());
    behaviours.retain(|behaviour| wanted.split(',').any(|text| behaviour.name.contains(text)));
    if stage.dns.is_none() {
        println!("the behaviours of DNS are left out: this user may not listen on port 53 and mount a resolv.conf");
    }
    // Floods by themselves, and not too many at once: they would keep the two processes busy, and others waiting.
    let (floods, others): (Vec<_>, Vec<_>) = behaviours.iter().cloned().partition(|behaviour| behaviour.floods);
    let (mut cases, mut asked, mut wrong) = (0, 0, Vec::new());
    for some in others.chunks(AT_ONCE).chain(floods.chunks(FLOODS_AT_ONCE)) {
        let (more, times, seen) = play(&stage, some).await;
        (cases, asked) = (cases + more, asked + times);
        wrong.extend(seen);
    }
    let doubtful: BTreeSet<_> = wrong.iter().map(|(name, _)| *name).collect();
    let mut violations = stands(&stage, &behaviours, wrong).await;
    println!("{cases} cases after {:?}", began.elapsed());

    let elsewhere = stage.elsewhere.asked().len();
    if elsewhere > 0 {
        violations.push(format!("{elsewhere} requests went where a redirect pointed"));
    }
    let peak = stage.operator.peak_mib().unwrap();
    violations.extend((peak > MOST_MIB).then(|| format!("the operator held {peak} MiB, more than {MOST_MIB}")));
    let mut most_grown = 0;
    for flood in behaviours.iter().filter(|behaviour| behaviour.floods) {
        let (stage, flood) = (Arc::clone(&stage), flood.clone());
        match tokio::spawn(async move { (flood.name, memory::measure(&stage, &flood).await) }).await {
            Ok((name, grown)) => {
                println!("{name}: {grown} KiB");
                most_grown = most_grown.max(grown);
            }
            Err(error) => violations.push(message(error)),
        }
    }
    violations.extend(canary::search(&stage).await);

    let figures = [
        ("behaviours", behaviours.len() as u64),
        ("cases", cases),
        ("requests", asked),
        ("behaviours played again", doubtful.len() as u64),
        ("peak MiB", peak),
        ("largest flood KiB", most_grown),
    ];
    println!("{figures:?} in {:?}", began.elapsed());
    proof::record("partner-faults", &figures, violations.len() as u64, began.elapsed()).unwrap();
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// What of it stands: where only a few behaviours were wrong, those that are so again when they are played by themselves.
async fn stands(stage: &Arc<Stage>, behaviours: &[Behaviour], wrong: Vec<Wrong>) -> Vec<String> {
    let doubtful: BTreeSet<_> = wrong.iter().map(|(name, _)| *name).collect();
    let mut cleared = BTreeSet::new();
    for behaviour in behaviours.iter().filter(|behaviour| doubtful.contains(behaviour.name)) {
        if doubtful.len() > MOST_AGAIN {
            break;
        }
        let again = |n| Behaviour { name: format!("{}-again-{n}", behaviour.name).leak(), ..behaviour.clone() };
        let again: Vec<_> = (1..=AGAIN).map(again).collect();
        if play(stage, &again).await.2.is_empty() {
            cleared.insert(behaviour.name);
        }
    }
    let (once, stands): (Vec<_>, Vec<_>) = wrong.into_iter().partition(|(name, _)| cleared.contains(name));
    for (_, text) in once {
        println!("only once, and not in {AGAIN} plays by itself: {text}");
    }
    stands.into_iter().map(|(_, text)| text).collect()
}

/// Every behaviour in every phase, side by side. Gives the number of cases, how often partners were asked, and what was
/// not as it should be.
async fn play(stage: &Arc<Stage>, behaviours: &[Behaviour]) -> (u64, u64, Vec<Wrong>) {
    let mut running = JoinSet::new();
    for behaviour in behaviours {
        let mut cases = Vec::new();
        for prior in Prior::ALL {
            cases.push(Case::new(stage, behaviour, prior.name(), prior));
        }
        let regions = |protected| {
            let of = cases.iter().filter(|case| (case.prior == Prior::Protected) == protected);
            of.map(|case| (case.prior.name().to_owned(), case.endpoint())).collect::<Vec<_>>()
        };
        let protected = format!("{}-protected", behaviour.name);
        stage.partner(behaviour.name, behaviour, &regions(false), 1).await;
        stage.partner(&protected, behaviour, &regions(true), 3).await;
        for case in cases {
            let partner = if case.prior == Prior::Protected { &protected } else { behaviour.name };
            let (stage, partner, name) = (Arc::clone(stage), partner.to_owned(), case.name());
            let (behaviour, task) = (behaviour.name, tokio::spawn(case.run(stage, partner)));
            running.spawn(async move { (name, behaviour, task.await) });
        }
    }
    let (mut cases, mut asked, mut wrong) = (0, 0, Vec::new());
    while let Some(ended) = running.join_next().await {
        cases += 1;
        match ended.unwrap() {
            (_, _, Ok(times)) => asked += times,
            (name, behaviour, Err(error)) => {
                let text = message(error);
                let again = format!("PARTNER_FAULTS={behaviour} cargo test --locked --test partner_faults");
                wrong.push((behaviour, format!("{name}: {text}\n    again: {again}")));
            }
        }
    }
    (cases, asked, wrong)
}

/// What a case said when it ended before its end.
fn message(error: tokio::task::JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
