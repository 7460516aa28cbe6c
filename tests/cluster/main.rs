//! The operator as a whole: a real process, a real API server, real HTTPS partners.
//!
//! Most tests share one operator that watches everything; each has its own namespace, Partner and simulated partner. Those
//! that stop the operator, or that need a quiet or a damaged cluster, have a control plane of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod world;

mod answers;
mod bindings;
mod canary;
#[cfg(feature = "otlp")]
mod collector;
mod counts;
mod credentials;
mod damage;
mod edits;
mod events;
mod hanging;
mod leadership;
mod metrics;
mod partner_counts;
mod partner_status;
mod process;
mod reasons;
mod refused;
mod requests;
mod restart;
mod scope;
mod secrets;
mod storm;
#[cfg(feature = "otlp")]
mod traces;
