//! A few hundred integrations from a cold start on, judged by counts alone: what each of them costs the API server and the partner.
//! How fast that is, `make bench` measures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use kube::Client;
use serde_json::json;

use support::controlplane::{ControlPlane, Options, install_crds};
use support::fleet::{Costs, Fleet, Meter, REGION, quiet};
use support::operator::{self, Operator};
use support::partner::SimPartner;
use support::wait_for;

/// Enough for each bound on what is in flight to be reached.
const SIZE: usize = 300;
/// Keys that are changed.
const ROTATED: usize = 30;
/// Where it gives up; nothing is judged by it.
const LIMIT: Duration = Duration::from_mins(2);

/// What all steps stand on.
struct Stage {
    plane: ControlPlane,
    client: Client,
    kubeconfig: std::path::PathBuf,
    fleet: Fleet,
    sim: SimPartner,
}

impl Stage {
    /// A control plane with a fleet that nobody has looked at.
    async fn set() -> Self {
        let plane = ControlPlane::start(Options::default().without_audit()).await.unwrap();
        let client = plane.client().unwrap();
        install_crds(&client).await.unwrap();
        let kubeconfig = operator::kubeconfig(&plane).await.unwrap();
        let (fleet, sim) = (Fleet::new("scale", SIZE, 5), SimPartner::start(&[REGION]).await.unwrap());
        fleet.create_partner(&client, &sim, json!({})).await.unwrap();
        fleet.create(&client, &sim, |_| ()).await.unwrap();
        Self { plane, client, kubeconfig, fleet, sim }
    }

    async fn meter(&self) -> Meter {
        quiet(&self.plane, LIMIT).await.unwrap();
        Meter::begin(&self.plane, &self.sim).await.unwrap()
    }

    async fn operator(&self) -> Operator {
        let binary = env!("CARGO_BIN_EXE_partner-integration-operator");
        let arguments = ["--allow-network", "127.0.0.0/8", "--no-leader-elect"];
        let operator = Operator::start_as_users_do(binary, &self.plane, "operator", &self.kubeconfig, &arguments);
        let operator = operator.await.unwrap();
        operator.ready(LIMIT).await.unwrap();
        operator
    }

    /// What it cost, once all is quiet.
    async fn costs(&self, meter: &Meter, looks: u64) -> Costs {
        quiet(&self.plane, LIMIT).await.unwrap();
        let costs = meter.end(&self.plane, &self.sim, looks).await.unwrap();
        println!("{costs:?}");
        costs
    }
}

#[tokio::test]
async fn each_integration_costs_one_check_and_one_status_write_and_a_restart_costs_none() {
    let stage = Stage::set().await;
    let size = SIZE as u64;

    let meter = stage.meter().await;
    let operator = stage.operator().await;
    let reached = stage.fleet.enabled(&stage.client, &stage.sim, size, LIMIT).await.unwrap();
    let cold = stage.costs(&meter, reached.looks).await;
    stage.fleet.verify(&stage.client).await.unwrap();
    assert_eq!((cold.status_writes, cold.refused_status_writes, cold.checks), (size, 0, size), "{cold:?}");
    assert!(cold.connections <= 64 && cold.most_in_flight <= 64, "{cold:?}");
    // Its conditions, and its counts, which may be written on the way.
    assert!(cold.other_writes.get("APPLY partners/status").is_some_and(|writes| *writes <= 10), "{cold:?}");
    assert!(cold.other_writes.keys().all(|kind| kind.contains("events") || kind.contains("partners")), "{cold:?}");
    assert_eq!(operator.terminate().await.unwrap(), 0);

    let meter = stage.meter().await;
    let operator = stage.operator().await;
    let again = stage.costs(&meter, 0).await;
    assert_eq!((again.checks, again.status_writes, again.refused_status_writes), (0, 0, 0), "{again:?}");
    assert_eq!(again.other_writes, BTreeMap::new());
    assert!(!again.reads.contains_key("GET secrets"), "{again:?}");

    let meter = stage.meter().await;
    try_join_all((0..ROTATED).map(async |number| {
        stage.sim.accept(REGION, &stage.fleet.key(number, 1));
        stage.fleet.rotate(&stage.client, number, 1).await
    }))
    .await
    .unwrap();
    wait_for("the new keys", LIMIT, async || {
        let seen = (0..ROTATED).filter(|number| !stage.sim.requests_with(&stage.fleet.key(*number, 1)).is_empty());
        let seen = seen.count();
        if seen == ROTATED { Ok(()) } else { Err(format!("{seen} of them")) }
    })
    .await
    .unwrap();
    let rotated = stage.costs(&meter, 0).await;
    assert_eq!((rotated.status_writes, rotated.checks), (ROTATED as u64, ROTATED as u64), "{rotated:?}");
    stage.fleet.verify(&stage.client).await.unwrap();
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
