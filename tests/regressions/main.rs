//! Failures of other operators, by their names: each test shows the essence, and its comment says whose failure it is. Those
//! that are about time are in `src/core/tests/regressions.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../cluster/world.rs"]
mod world;

mod addresses;
mod answers;
mod damaged;
mod keys;
mod retries;

use tokio::sync::OnceCell;

use support::controlplane::{ControlPlane, install_crds, shared};
use support::operator::{self, Operator, allow_bindings};
use world::{ALLOW, World, own_operator};

/// What most tests share: a control plane, and an operator that publishes bindings.
async fn ground() -> &'static (&'static ControlPlane, Operator) {
    static SHARED: OnceCell<(&'static ControlPlane, Operator)> = OnceCell::const_new();
    let start = async || {
        let plane = shared().await.unwrap();
        install_crds(&plane.client().unwrap()).await.unwrap();
        let kubeconfig = operator::kubeconfig(plane).await.unwrap();
        allow_bindings(plane).await.unwrap();
        (plane, own_operator(plane, &kubeconfig, &[&ALLOW[..], &["--bindings"]].concat()).await)
    };
    SHARED.get_or_init(start).await
}

/// A namespace with a simulated partner of its own, in the regions eu1 and us1, that takes `the-key` there.
async fn world(prefix: &str) -> World<'static> {
    let world = World::on(ground().await.0, prefix, &["eu1", "us1"]).await;
    world.sim.accept("eu1", "the-key");
    world.sim.accept("us1", "the-key");
    world
}

/// An object as everybody who may read it sees it.
async fn shown(world: &World<'_>, name: &str) -> String {
    serde_json::to_string(&world.get(name).await).unwrap()
}
