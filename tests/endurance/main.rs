//! What an operator meets that runs for a year: an API server that misbehaves, rights that come and go, crashes, keys that
//! change. Each test has a control plane of its own, the access of `deploy/base`, and prints what it has measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../cluster/world.rs"]
mod world;

mod access;
mod away;
mod bindings;
mod bursts;
mod crashes;
mod crds;
mod environment;
mod expired;
mod lost;
mod panics;
mod rotations;

use std::path::PathBuf;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use support::controlplane::{ControlPlane, Options, install_crds};
use support::operator::{self, Operator};
use support::proxy::Proxy;
use support::wait_for;
use world::World;

/// What a test waits for at most where something has to come back by itself.
const PATIENCE: Duration = Duration::from_secs(90);

/// A control plane with the CRDs, a proxy before it, and a kubeconfig of the operator that leads through that.
async fn proxied() -> (ControlPlane, Proxy, PathBuf) {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    install_crds(&plane.client().unwrap()).await.unwrap();
    let token = operator::access(&plane).await.unwrap();
    let proxy = Proxy::start(&plane).await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    (plane, proxy, kubeconfig)
}

/// Waits until `/readyz` answers this code, with all of these words; gives the answer.
async fn readyz(operator: &Operator, code: u16, words: &[&str]) -> String {
    let answer = wait_for("what /readyz says", PATIENCE, async || {
        let (seen, answer) = operator.admin("/readyz").await.map_err(|error| error.to_string())?;
        let fits = seen == code && words.iter().all(|words| answer.contains(words));
        if fits { Ok(answer) } else { Err(format!("{seen}: {answer}")) }
    });
    answer.await.unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", operator.log()))
}

/// Connects so many integrations, `kept-0` …, with one key, `kept`.
async fn keep(world: &World<'_>, count: usize) {
    world.sim.accept("eu1", "kept");
    world.put_secret("kept", b"kept").await;
    for number in 0..count {
        world.configure(&format!("kept-{number}"), "eu1", "kept").await;
    }
    for number in 0..count {
        world.reaches(&format!("kept-{number}"), "Connected").await;
    }
}

/// Each of those that [`keep`] has connected has been checked once and written once, whatever has happened since.
fn assert_kept(world: &World<'_>, count: usize) {
    assert_eq!(world.checks_with("kept"), count, "what has not changed costs no request to its partner");
    let mut writes = world.status_writes();
    writes.retain(|seen| seen.name.starts_with("kept-") && seen.code == 200);
    assert_eq!(writes.len(), count, "and no write: {writes:#?}");
}

/// The edit of a Partner that matters to nobody but its own status.
async fn describe(world: &World<'_>, words: &str) {
    let patch = json!({"spec": {"description": words}});
    world.partners().patch(&world.namespace, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}
