//! Seeded faults: each changes one place of the sources in a copy, and is killed by a test that it names.
//!
//! `make prove` runs it. All faults are compiled at once into one copy of the package, each behind a switch that the environment
//! turns on; so it costs one compilation, and then only the tests that are named. The sources themselves hold none of it.
//! `MUTANTS_ONLY=name` runs one, `MUTANTS_LIST=1` only holds the table against the sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/proof.rs"]
mod proof;

mod build;
mod copy;
mod table;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use build::{Built, Ran};
use table::{Killer, MUTANTS, Mutant};

/// Tests that run side by side.
const AT_ONCE: usize = 3;

/// Any error; it is shown.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[test]
fn every_seeded_fault_is_killed_by_the_test_that_it_names() {
    let began = Instant::now();
    let only = std::env::var("MUTANTS_ONLY").ok();
    let mutants: Vec<_> =
        MUTANTS.iter().filter(|mutant| only.as_deref().is_none_or(|only| only == mutant.name)).collect();
    assert!(!mutants.is_empty(), "MUTANTS_ONLY names none of them");
    let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), MUTANTS.len(), "two have one name");
    let package = copy::package(MUTANTS).unwrap();
    if std::env::var_os("MUTANTS_LIST").is_some() {
        for mutant in MUTANTS {
            println!("{:44} {}", mutant.name, mutant.file);
        }
        return;
    }
    let killers: BTreeSet<_> = mutants.iter().flat_map(|mutant| mutant.killed_by).collect();
    let targets: BTreeSet<_> = killers.iter().map(|killer| killer.target).collect();
    println!("compiling {} seeded faults into one copy", MUTANTS.len());
    let built = build::build(&package, &targets).unwrap();
    println!("compiled after {:.0?}", began.elapsed());
    // Without a fault each of them passes, or its red would prove nothing.
    let all: Vec<_> = killers.iter().collect();
    for (killer, ran) in side_by_side(&all, |killer| built.run(killer, None).unwrap()) {
        assert!(matches!(ran, Ran::Passed), "without a fault {killer:?} must pass: {ran:?}");
    }
    let (mut killed, mut survivors) = (0, Vec::new());
    for (mutant, spared) in side_by_side(&mutants, |mutant| spared(&built, mutant)) {
        if spared.is_empty() {
            killed += 1;
            println!("killed    {:44} {}", mutant.name, mutant.says);
        } else {
            println!("SURVIVED  {:44} {} ({}): {spared:?}", mutant.name, mutant.says, mutant.file);
            survivors.push(mutant.name);
        }
    }
    println!("{killed} of {} seeded faults killed, in {:.0?}", mutants.len(), began.elapsed());
    if only.is_none() {
        let figures = [("seeded", mutants.len() as u64), ("killed", killed), ("tests", killers.len() as u64)];
        proof::record("mutants", &figures, survivors.len() as u64, began.elapsed()).unwrap();
    }
    assert!(survivors.is_empty(), "survivors: {survivors:?}");
}

/// The tests that are named and do not see the fault. Each must: one that does not is named in vain.
fn spared(built: &Built, mutant: &Mutant) -> Vec<&'static Killer> {
    assert!(!mutant.killed_by.is_empty(), "{} names no test", mutant.name);
    let sees = |killer: &Killer| matches!(built.run(killer, Some(mutant.name)).unwrap(), Ran::Failed);
    mutant.killed_by.iter().filter(|killer| !sees(killer)).collect()
}

/// Does this with each, a few at a time, because some tests mostly wait; what came of it, in the order of all.
fn side_by_side<T: Copy + Sync + Send, R: Send>(all: &[T], work: impl Fn(T) -> R + Sync) -> Vec<(T, R)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = all.get(at) else { break };
                    let result = work(*item);
                    done.lock().unwrap().push((at, *item, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, ..)| *at);
    done.into_iter().map(|(_, item, result)| (item, result)).collect()
}
