//! The model: the production's `decide` and order of writes, run as they are, in every interleaving within named bounds.
//!
//! `MODEL_DEPTH=deep` explores larger bounds, for about an hour; `MODEL_SCOPE=text` only the scopes with this in their name;
//! `MODEL_LIMIT=n` cuts each scope off after about n steps.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]
// A match tells the cases of a step side by side, and a table of scopes is one table.
#![allow(clippy::single_match_else, clippy::single_match, clippy::too_many_lines)]
#![allow(clippy::trivially_copy_pass_by_ref, clippy::unused_self, clippy::while_immutable_condition)]

mod caches;
mod liveness;
mod operator;
mod properties;
mod replica;
mod scopes;
#[allow(unused_imports, reason = "the rest of it is for the check against the real one")]
mod server;
mod state;
mod tables;
mod world;

#[path = "../support/mod.rs"]
mod support;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};
use world::{Scope, World};

fn chosen(scopes: Vec<Scope>) -> Vec<Scope> {
    let only = std::env::var("MODEL_SCOPE").unwrap_or_default();
    scopes.into_iter().filter(|scope| scope.name.contains(&only)).collect()
}

/// A scope that has more states than about this is cut off, and says so: it is then not explored whole.
const LIMIT: usize = 60_000_000;

/// What was found out about one scope.
struct Found {
    states: u64,
    /// Whether every state of it has been seen.
    whole: bool,
    violations: u64,
}

/// Every state of a scope, with two threads.
fn safe(scope: &Scope) -> Found {
    let began = Instant::now();
    let limit = std::env::var("MODEL_LIMIT").ok().and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT);
    let builder = World::new(scope.clone()).checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let builder = builder.target_state_count(limit);
    let checker = builder.spawn_bfs().join();
    let discoveries = checker.discoveries();
    let world = checker.model();
    let (decisions, statuses) = world.tables.sizes();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let whole = checker.state_count() < limit && discoveries.is_empty();
    println!(
        "{}: {states} states{}, depth {depth}, {:.1} s, {} properties, {decisions} different decisions, {statuses} statuses",
        scope.name,
        if whole { "" } else { " (cut off)" },
        began.elapsed().as_secs_f64(),
        properties::SAFETY.len(),
    );
    for (property, path) in &discoveries {
        let actions = path.clone().into_actions();
        println!("VIOLATED {property}\n{}", liveness::told(world, &actions));
    }
    Found { states: states as u64, whole, violations: discoveries.len() as u64 }
}

/// Everything that a scope comes to by itself.
fn lively(scope: &Scope) -> Found {
    let began = Instant::now();
    let explored = liveness::explore(&World::new(scope.clone()));
    println!(
        "{}: {} states, {} steps by itself, {} states at rest, {:.1} s",
        scope.name,
        explored.states,
        explored.edges,
        explored.at_rest,
        began.elapsed().as_secs_f64(),
    );
    for violation in &explored.violations {
        println!("VIOLATED L1, L2: it {violation}");
    }
    Found { states: explored.states as u64, whole: true, violations: explored.violations.len() as u64 }
}

#[test]
fn every_promise_holds_in_every_state_of_every_scope() {
    let began = Instant::now();
    let more = u8::from(std::env::var("MODEL_DEPTH").is_ok_and(|depth| depth == "deep"));
    let safety = chosen(scopes::safety(more));
    let liveness = chosen(scopes::liveness());
    let safe: Vec<_> = safety.iter().map(safe).collect();
    let lively: Vec<_> = liveness.iter().map(lively).collect();
    let all = || safe.iter().chain(&lively);
    let (states, violations) = (all().map(|found| found.states).sum(), all().map(|found| found.violations).sum());
    let figures = [
        ("states", states),
        ("properties", properties::SAFETY.len() as u64 + 2),
        ("scopes", all().count() as u64),
        ("explored whole", all().filter(|found| found.whole).count() as u64),
    ];
    println!("{states} states in all, {violations} violations, {:.0} s", began.elapsed().as_secs_f64());
    support::proof::record("model", &figures, violations, began.elapsed()).expect("the record");
    assert_eq!(violations, 0, "see the paths above");
}

/// In itself less than a part of what the scopes show. It is what seeded faults are tried on that only a graph can tell of.
#[test]
fn after_one_rotation_it_comes_to_rest() {
    let found = lively(&scopes::one_rotation());
    assert_eq!(found.violations, 0, "see the paths above");
}
