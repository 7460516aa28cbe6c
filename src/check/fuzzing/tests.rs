//! The kept corpus of each fuzz target, and some thousand inputs made out of it, through the same properties.

#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

mod retry_after {
    // The properties name this crate as its users do.
    use crate as partner_integration_operator;
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/properties/retry_after.rs"));
}
mod duration {
    use crate as partner_integration_operator;
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/properties/duration.rs"));
}
mod judge {
    use crate as partner_integration_operator;
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/properties/judge.rs"));
}
mod expression {
    use crate as partner_integration_operator;
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/properties/expression.rs"));
}
mod guard {
    use crate as partner_integration_operator;
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/properties/guard.rs"));
}

/// How many inputs are made; `FUZZ_INPUTS` says another number.
fn inputs(usual: usize) -> usize {
    std::env::var("FUZZ_INPUTS").ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// Runs the corpus, and inputs made of it: pieces of two put together, bytes changed, doubled and left out. The same in
/// each run.
fn run(target: &str, made: usize, property: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty(), "{target} has no corpus");
    corpus.iter().for_each(|input| property(input));
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..made {
        let mut input = corpus[random.random_range(0..corpus.len())].clone();
        let other = &corpus[random.random_range(0..corpus.len())];
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..=input.len());
            match random.random_range(0..5) {
                0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
                1 if at < input.len() => drop(input.remove(at)),
                2 => input.insert(at, random.random()),
                3 => drop(input.splice(at..at, other[other.len() / 2..].iter().copied()).count()),
                _ => {
                    let from = at.saturating_sub(random.random_range(1..9));
                    input.extend_from_within(from..at);
                }
            }
            input.truncate(4096);
        }
        property(&input);
    }
}

fn text(property: impl Fn(&str)) -> impl Fn(&[u8]) {
    move |bytes| property(&String::from_utf8_lossy(bytes))
}

#[test]
fn retry_after_keeps_its_properties() {
    run("retry_after", inputs(20_000), retry_after::property);
}

#[test]
fn durations_keep_their_properties() {
    run("duration", inputs(20_000), text(duration::property));
}

#[test]
fn judging_keeps_its_properties() {
    run("judge", inputs(2_000), judge::property);
}

#[test]
fn expressions_keep_their_properties() {
    run("expression", inputs(300), text(expression::property));
}

#[test]
fn the_guard_keeps_its_properties() {
    run("guard", inputs(20_000), guard::property);
}
