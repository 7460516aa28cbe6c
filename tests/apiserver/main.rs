//! The abstract API server of the model against the real one: random sequences of requests, the same answers.
//!
//! `make prove` runs it. Each sequence has names of its own, so that many run side by side; it comes from its seed alone, and a
//! failure prints the command that runs it again. `APISERVER_SEQUENCES` says how many, `APISERVER_SEED` runs one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../model/server/mod.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;

mod compare;
mod generate;
mod real;

use std::collections::BTreeMap;
use std::time::Instant;

use futures::{StreamExt as _, stream};
use support::controlplane::{ControlPlane, Options, install_crds, namespace};
use support::proof;

/// How many sequences the proof is made of.
const SEQUENCES: u64 = 10_000;
/// How many run side by side.
const TOGETHER: usize = 24;
/// How many sequences share a namespace: a list reads all of it.
const SHARE: u64 = 50;
/// How many differences are told at most.
const TOLD: usize = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_abstract_server_answers_as_the_real_one() {
    let began = Instant::now();
    let only = number("APISERVER_SEED");
    let seeds = only.map_or(0..number("APISERVER_SEQUENCES").unwrap_or(SEQUENCES), |seed| seed..seed + 1);
    // No audit log: nobody reads it here, and each request would wait for it.
    let plane = ControlPlane::start(Options::default().apiserver_flag("--audit-log-path=")).await.unwrap();
    let client = plane.client().unwrap();
    install_crds(&client).await.unwrap();
    let real = real::Real::new(&plane).unwrap();
    let mut namespaces = BTreeMap::new();
    for group in seeds.start / SHARE..=(seeds.end - 1) / SHARE {
        namespaces.insert(group, namespace(&client, "sequences").await.unwrap());
    }
    let sequences = seeds.clone().map(|seed| {
        let own = real::Place { namespace: namespaces[&(seed / SHARE)].clone(), sequence: seed };
        let real = &real;
        async move { (seed, compare::run(real, &own, seed).await) }
    });
    let mut running = stream::iter(sequences).buffer_unordered(TOGETHER);
    let (mut done, mut verbs, mut differences) = (0, BTreeMap::<_, u64>::new(), 0);
    while let Some((seed, ran)) = running.next().await {
        let ran = ran.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        done += 1;
        for (verb, count) in ran.verbs {
            *verbs.entry(verb).or_default() += count;
        }
        if let Some(difference) = ran.difference {
            differences += 1;
            if differences <= TOLD {
                println!("seed {seed}:\n{difference}");
                println!("again: APISERVER_SEED={seed} cargo test --locked --test apiserver\n");
            }
        }
        if done % 1000 == 0 {
            println!("{done} sequences, {differences} differences, {:.0?}", began.elapsed());
        }
    }
    let operations: u64 = verbs.values().sum();
    println!("{done} sequences, {operations} operations in {:.0?}: {verbs:?}", began.elapsed());
    if only.is_none() {
        let figures = [("sequences", done), ("operations", operations), ("verbs", verbs.len() as u64), ("kinds", 4)];
        proof::record("apiserver", &figures, differences as u64, began.elapsed()).unwrap();
    }
    assert_eq!(differences, 0, "the two servers differ");
}
