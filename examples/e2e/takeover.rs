//! The leader goes, in order or not; the standby takes over.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};

use crate::Result;
use crate::cluster::run;
use crate::integrations::{checks, integration};
use crate::stage::{RELEASE, SHOP, SYSTEM, Stage, note, until};

pub async fn leader_deleted(stage: &mut Stage) -> Result<()> {
    stage.step("The leader's pod is deleted: the standby takes over");
    let (leader, before) = (leader(stage).await?, checks(stage).await?);
    let began = Instant::now();
    stage.kubectl(&["-n", SYSTEM, "delete", "pod", &leader, "--wait=false"]).await?;
    let next = next_leader(stage, &leader).await?;
    note(&format!("{next} leads {:.1} s after the deletion", began.elapsed().as_secs_f64()));
    // What was connected is not asked about again; what is new is.
    stage.apply(&integration("after-takeover")).await?;
    let wait = ["-n", SHOP, "wait", "pi/after-takeover", "--for=condition=Connected", "--timeout=60s"];
    stage.kubectl(&wait).await?;
    let asked = checks(stage).await? - before;
    note(&format!("the partner was asked {asked} time: for the new one"));
    if asked != 1 {
        return Err(format!("{asked} requests instead of 1 after a takeover").into());
    }
    two_replicas(stage).await
}

/// The leader's process is stopped, so that it neither works nor answers. Liveness is what ends it.
pub async fn leader_hangs(stage: &mut Stage) -> Result<()> {
    let Some(shell) = stage.options.node_shell.clone() else {
        stage.step("Left out: a process that hangs (no way to a shell on this cluster's node)");
        return Ok(());
    };
    stage.step("The leader's process hangs: the standby takes over, and liveness has it restarted");
    let leader = leader(stage).await?;
    let pods = Api::<Pod>::namespaced(stage.cluster.client.clone(), SYSTEM);
    let uid = pods.get(&leader).await?.uid().ok_or("a pod without a uid")?;
    let began = Instant::now();
    let stopped = on_node(&shell, &stop_script(&uid)).await?;
    if stopped.trim().is_empty() {
        return Err(format!("no process of pod {leader} was found on the node").into());
    }
    note(&format!("kill -STOP {} on the node: {leader}", stopped.trim()));
    let next = next_leader(stage, &leader).await?;
    note(&format!("{next} leads after {:.1} s", began.elapsed().as_secs_f64()));
    until("the restart of the container", || async {
        let pod = pods.get(&leader).await.map_err(|error| error.to_string())?;
        let container = pod.status.and_then(|status| status.container_statuses?.into_iter().next());
        match container {
            Some(container) if container.restart_count > 0 && container.ready => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    note(&format!("{leader} was restarted and is ready after {:.1} s", began.elapsed().as_secs_f64()));
    let selector = format!("--field-selector=involvedObject.name={leader},reason=Killing");
    stage.until_shown(&["-n", SYSTEM, "get", "events", &selector], &["failed liveness probe"]).await?;
    two_replicas(stage).await
}

/// Stops the operator's process of a pod. The kubelet's cgroups have the pod's uid in their names, with the systemd driver
/// underlined.
fn stop_script(uid: &str) -> String {
    let underlined = uid.replace('-', "_");
    format!(
        "for p in /proc/[0-9]*; do \
           if [ \"$(cat $p/comm 2>/dev/null)\" = partner-integra ] && grep -q -e {uid} -e {underlined} $p/cgroup; then \
             kill -STOP ${{p#/proc/}} && echo ${{p#/proc/}}; \
           fi; \
         done"
    )
}

async fn on_node(shell: &str, script: &str) -> Result<String> {
    let mut words = shell.split_whitespace();
    let program = words.next().ok_or("--node-shell is empty")?;
    let mut arguments: Vec<&str> = words.collect();
    arguments.extend(["sh", "-c", script]);
    run(program, &arguments, "").await
}

/// The pod that holds the Lease.
async fn leader(stage: &Stage) -> Result<String> {
    until("a leader", || async { holder(stage).await?.ok_or_else(|| "nobody".to_owned()) }).await
}

async fn next_leader(stage: &Stage, last: &str) -> Result<String> {
    until("another leader", || async {
        match holder(stage).await? {
            Some(holder) if holder != last => Ok(holder),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn holder(stage: &Stage) -> std::result::Result<Option<String>, String> {
    let leases = Api::<Lease>::namespaced(stage.cluster.client.clone(), SYSTEM);
    let lease = leases.get_opt(RELEASE).await.map_err(|error| error.to_string())?;
    let identity = lease.and_then(|lease| lease.spec?.holder_identity).filter(|identity| !identity.is_empty());
    // The pod's name, and what tells one process from another in it.
    Ok(identity.and_then(|identity| Some(identity.rsplit_once('_')?.0.to_owned())))
}

async fn two_replicas(stage: &Stage) -> Result<()> {
    let deployment = format!("deployment/{RELEASE}");
    let wait = ["-n", SYSTEM, "rollout", "status", &deployment, "--timeout=120s"];
    let began = Instant::now();
    stage.cluster.kubectl(&wait).await?;
    if began.elapsed() > Duration::from_secs(1) {
        note(&format!("two replicas again, after {:.1} s more", began.elapsed().as_secs_f64()));
    }
    Ok(())
}
