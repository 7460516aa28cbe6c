//! What a person looks at when a step has failed.

use crate::cluster::{Cluster, run, spelled};
use crate::stage::{ACME, RELEASE, SHOP, SYSTEM};

/// Prints the state of what the run has made: pods, Events, integrations, logs. What cannot be had is said.
pub async fn print(cluster: &Cluster) {
    for program in ["kubectl", "helm"] {
        if let Err(error) = run(program, &["version"], "").await {
            eprintln!("{program}: {error}");
        }
    }
    let selector = format!("--selector=app.kubernetes.io/instance={RELEASE}");
    let looks: &[&[&str]] = &[
        &["get", "nodes", "-o", "wide"],
        &["get", "pods", "-A", "-o", "wide"],
        &["-n", SHOP, "get", "pi", "-o", "yaml"],
        &["get", "partners", "-o", "wide"],
        &["-n", SYSTEM, "get", "lease", RELEASE, "-o", "yaml"],
        &["-n", SYSTEM, "describe", "pods"],
        &["-n", ACME, "describe", "pods"],
        &["-n", SHOP, "describe", "pods"],
        &["-n", SYSTEM, "get", "events", "--sort-by=.lastTimestamp"],
        &["-n", SHOP, "get", "events", "--sort-by=.lastTimestamp"],
        &["-n", SYSTEM, "logs", &selector, "--prefix", "--tail=60"],
        &["-n", SYSTEM, "logs", &selector, "--prefix", "--tail=30", "--previous"],
        &["-n", ACME, "logs", "deployment/acme-loyalty", "--tail=20"],
    ];
    for look in looks {
        eprintln!("── {}", spelled("kubectl", look));
        match cluster.kubectl(look).await {
            Ok(output) => eprintln!("{output}"),
            Err(error) => eprintln!("{error}"),
        }
    }
    match cluster.helm(&["history", RELEASE, "--namespace", SYSTEM]).await {
        Ok(output) => eprintln!("── helm history\n{output}"),
        Err(error) => eprintln!("── helm history\n{error}"),
    }
}
