//! The admission policies and the roles for people, as they are shipped, against a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod cost;
mod expressions;
mod ground;
mod in_use;
mod operator;
mod region;
mod secret;
mod start;
mod tenant;
