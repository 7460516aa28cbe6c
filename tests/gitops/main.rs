//! What Argo CD, Flux and Helm make of our objects: the real operator brings them into every state, and they are judged by
//! the real kstatus, and by our scripts in the Lua that Argo CD runs. `docs/gitops.md` says the same to users.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
// A part of it is used here.
#[allow(dead_code)]
#[path = "../cluster/world.rs"]
mod world;

mod examples;
mod health;
mod judge;
mod stage;
mod states;
mod testdata;
mod waiting;
