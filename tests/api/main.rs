//! The two kinds against a real API server: what it accepts, what it refuses and in which words, what it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod catalogue;
mod generated;
mod integration;
mod kubectl;
mod manifests;
mod partner;
mod partner_check;
mod status;
mod version;
