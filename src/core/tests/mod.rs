//! The core, proved: tables where the input is small, properties where it is large, stories where time passes.

// The design gives its delays in seconds, and a test may panic.
#![allow(clippy::duration_suboptimal_units, clippy::unchecked_time_subtraction)]

mod arbitrary;
mod fixture;
mod invariants;

mod binding;
mod budget;
mod digest;
mod events;
mod failures;
mod messages;
mod outcomes;
mod partner;
mod precedence;
mod properties;
mod regressions;
mod requests;
mod restart;
mod rows;
mod schedule;
mod steps;
mod unwatched;
mod ways;
mod writes;
