//! Objects generated from the schema of the CRDs: what the API server accepts never makes the operator panic or go quiet,
//! whatever way a spec has taken the state is the same, and from every failure a good spec leads back.
//!
//! One control plane, one operator process, one simulated partner; many namespaces side by side. Each object, sequence and
//! recovery has a number, and a violation prints the command that makes it alone again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../cluster/world.rs"]
mod world;

mod canary;
mod cases;
mod end;
mod forbidden;
mod ground;
mod leaves;
mod recovery;
mod rows;
mod schema;
mod sequences;
mod shapes;
mod state;
mod stored;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;

use canary::Canary;
use cases::Bases;
use ground::Ground;
use schema::Kind;
use state::{Elsewhere, REGIONS};
use support::partner::SimPartner;

/// What was asked for by the environment; without it, everything with the seed of the project.
struct Asked {
    /// `GENERATED_SEED`
    seed: u64,
    /// `GENERATED_ONLY`, e.g. `sequences 17`: one part, or one number of it.
    part: Option<String>,
    number: Option<usize>,
}

impl Asked {
    fn read() -> Self {
        let seed = std::env::var("GENERATED_SEED").ok().map_or(SEED, |seed| seed.parse().expect("a number"));
        let only = std::env::var("GENERATED_ONLY").ok();
        let mut words = only.as_deref().unwrap_or_default().split_whitespace();
        let part = words.next().map(str::to_owned);
        Self { seed, part, number: words.next().map(|number| number.parse().expect("a number")) }
    }

    fn part(&self, name: &str) -> bool {
        self.part.as_deref().is_none_or(|part| part == name)
    }
}

/// The seed of a run that names none.
const SEED: u64 = 5;

/// The command that makes one number of a part again.
fn again(part: &str, number: usize) -> String {
    let seed = Asked::read().seed;
    format!(
        "GENERATED_SEED={seed} GENERATED_ONLY='{part} {number}' cargo test --locked --test generated -- --nocapture"
    )
}

/// The objects that connect, and that all others are made from.
fn bases(ground: &Ground) -> Bases {
    let api = "integrations.kognitiv.com/v1alpha1";
    let region = |name: &str| json!({"name": name, "endpoint": ground.sim.endpoint_by_address(name)});
    let partner = json!({
        "displayName": "Loyalty Platform",
        "regions": [region("eu1"), region("us1")],
        "authentication": {"headers": [{"name": "X-Api-Key"}]},
        "check": {"path": "/v1/validate", "timeout": "5s", "failureThreshold": 1},
        "trustBundle": ground.sim.ca_pem(),
    });
    let integration = json!({"partner": "base", "region": "eu1", "apiKeySecretRef": {"name": "key"}});
    Bases {
        partner: json!({"apiVersion": api, "kind": "Partner", "spec": partner}),
        integration: json!({"apiVersion": api, "kind": "PartnerIntegration", "spec": integration}),
    }
}

/// So many writes are made at least.
const LEAST: u64 = 2_000;
/// So many sequences; `GENERATED_SEQUENCES` says otherwise.
const SEQUENCES: usize = 160;

fn sequences() -> usize {
    std::env::var("GENERATED_SEQUENCES").ok().map_or(SEQUENCES, |count| count.parse().expect("a number"))
}

fn of(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Every part that was asked for, one after the other; gives what is told of them.
async fn parts(asked: &Asked, ground: &Ground, bases: &Bases, elsewhere: &Elsewhere) -> Vec<(&'static str, u64)> {
    let mut figures = Vec::new();
    let began = Instant::now();
    if asked.part("leaves") {
        let seen = leaves::run(ground, bases, asked.number).await;
        figures.extend([("leaves", seen.leaves), ("values", seen.cases)]);
        figures.extend([("refused", of(&seen.refused)), ("accepted", of(&seen.accepted))]);
        println!("leaves after {:.0?}: {seen:?}", began.elapsed());
    }
    if asked.part("stored") {
        let seen = stored::run(ground, bases, asked.number).await;
        // A new process lists them first; all that follows is done beside them.
        ground.restart().await;
        figures.extend([("stored unreadable", of(&seen.unreadable))]);
        println!("stored after {:.0?}: {seen:?}", began.elapsed());
    }
    if asked.part("sequences") {
        let seen = sequences::run(ground, bases, elsewhere, asked.seed, sequences(), asked.number).await;
        figures.extend([("sequences", of(&seen.sequences)), ("edits", of(&seen.edits))]);
        println!("sequences after {:.0?}: {seen:?}", began.elapsed());
    }
    if asked.part("recovery") {
        let seen = recovery::run(ground, bases, elsewhere, asked.number).await;
        figures.extend([("recoveries", of(&seen.recovered))]);
        println!("recovery after {:.0?}: {seen:?}", began.elapsed());
    }
    figures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_api_server_accepts_is_answered_whatever_way_it_came_and_stops_nobody() {
    let asked = Asked::read();
    let ground = Ground::start(&REGIONS).await;
    state::behave(&ground);
    let foreign = SimPartner::start(&["eu1"]).await.unwrap();
    let elsewhere = Elsewhere { foreign: foreign.endpoint_by_address("eu1") };
    let bases = bases(&ground);
    ground.create(Kind::Partner, "", "base", bases.partner.clone()).await.unwrap();
    let began = Instant::now();
    let canary = Canary::default();
    let parts = async {
        let figures = parts(&asked, &ground, &bases, &elsewhere).await;
        canary.stop.store(true, Ordering::Relaxed);
        figures
    };
    let (mut figures, ()) = tokio::join!(parts, canary.sing(&ground, "base"));
    if asked.part("forbidden") {
        // Alone: it takes the operator's right to read any Secret.
        figures.push(("recoveries of a right", forbidden::run(&ground, &bases).await));
    }
    if asked.part.is_none() && ground.operations() < LEAST {
        ground.violation(format!("{} operations: less was tried than is promised", ground.operations()));
    }
    for line in ground.log().await.lines().filter(|line| line.contains("a panic: this is a bug")) {
        ground.violation(format!("the operator panicked: {line}"));
    }
    figures.extend([("operations", ground.operations()), ("canary rotations", of(&canary.rotated))]);
    let violations = ground.violations();
    println!("{figures:?} in {:.0?}; the longest wait: {:?}", began.elapsed(), ground.slowest());
    support::proof::record("generated", &figures, violations.len() as u64, began.elapsed()).unwrap();
    assert!(violations.is_empty(), "seed {}, {} violations:\n{}", asked.seed, violations.len(), violations.join("\n"));
}
