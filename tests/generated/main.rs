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
mod ground;
mod leaves;
mod rows;
mod schema;
mod shapes;

use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;

use canary::Canary;
use cases::Bases;
use ground::Ground;
use schema::Kind;

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
        "GENERATED_SEED={seed} GENERATED_ONLY='{part} {number}' cargo test --locked --profile prove --test generated -- --nocapture"
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_api_server_accepts_is_answered_whatever_way_it_came_and_stops_nobody() {
    let asked = Asked::read();
    let ground = Ground::start(&["eu1", "us1"]).await;
    let bases = bases(&ground);
    ground.create(Kind::Partner, "", "base", bases.partner.clone()).await.unwrap();
    let began = Instant::now();
    let canary = Canary::default();
    let parts = async {
        let mut figures: Vec<(&str, u64)> = Vec::new();
        if asked.part("leaves") {
            let seen = leaves::run(&ground, &bases, asked.number).await;
            let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            figures.extend([
                ("leaves", seen.leaves),
                ("values", seen.cases),
                ("refused", of(&seen.refused)),
                ("accepted", of(&seen.accepted)),
                ("connected", of(&seen.connected)),
            ]);
            println!("leaves after {:.0?}: {figures:?}", began.elapsed());
        }
        canary.stop.store(true, Ordering::Relaxed);
        figures
    };
    let (mut figures, ()) = tokio::join!(parts, canary.sing(&ground, "base"));
    let log = ground.operator.log();
    for line in log.lines().filter(|line| line.contains("a panic: this is a bug")) {
        ground.violation(format!("the operator panicked: {line}"));
    }
    figures.push(("operations", ground.operations()));
    figures.push(("canary rotations", canary.rotated.load(Ordering::Relaxed)));
    let violations = ground.violations();
    println!("{figures:?} in {:.0?}; the longest wait: {:?}", began.elapsed(), ground.slowest());
    support::proof::record("generated", &figures, violations.len() as u64, began.elapsed()).unwrap();
    assert!(violations.is_empty(), "seed {}, {} violations:\n{}", asked.seed, violations.len(), violations.join("\n"));
}
