//! Faults between the operator and the API server: crashes around each write, lost answers, stale reads, watches that lose,
//! hold back and repeat.
//!
//! Each workload is recorded without faults. A plan then names one or two requests, or events of a watch, of that recording, and
//! what goes wrong with each. It runs in a namespace of its own, with an operator process, a proxy and a simulated partner of
//! its own. In the end all has to be as without the fault, and on the way the promises S1 to S6 have to be kept.
//!
//! `FAULT_PLAN='NAME' cargo test --locked --test faults` runs one plan alone, `FAULT_LIKE='WORDS'` those with
//! these words in their names, `FAULT_PLANS=100` so many of them in equal steps, `FAULT_SIDE_BY_SIDE=6` so many at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod campaign;
mod facts;
mod judge;
mod objects;
mod plan;
mod stage;
mod trial;
mod workload;
