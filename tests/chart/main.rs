//! What people install: the Helm chart and the kustomizations of `deploy/`, judged by real tools and a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod deploy;
mod helm;
mod lifecycle;
mod linters;
mod manifests;
mod schemas;
mod values;
