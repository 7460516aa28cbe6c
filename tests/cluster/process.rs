//! The process itself: its arguments, its output, how it ends, and what it asks the API server for.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::operator::USER;
use crate::world::{BINARY, cluster, world};

/// Runs the binary to its end, within a limit.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().envs(environment.iter().copied()).kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn crd_prints_what_is_in_the_folder_crds() {
    let output = run(&["crd"], &[]).await;
    assert!(output.status.success());
    let printed: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(printed.len(), 2);
    for crd in printed {
        let file = format!("crds/{}.yaml", crd["spec"]["names"]["plural"].as_str().unwrap());
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), crd, "{file}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_ends_it_with_words_and_without_a_panic() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = ["--admin-address", "127.0.0.1:0"];
    let table: [(&[&str], &str); 6] = [
        (&["run", "--kubeconfig", "/no/such/file", free[0], free[1]], "the kubeconfig cannot be used"),
        (&["run", free[0], free[1]], "give --kubeconfig, or set KUBECONFIG"),
        (&["run", "--admin-address", &taken], "give another --admin-address"),
        (&["run", "--allow-network", "10.0.0.0/33"], "--allow-network"),
        (&["run", "--log-level", "loud"], "--log-level"),
        (&[], "Usage: partner-integration-operator"),
    ];
    for (arguments, says) in table {
        let output = run(arguments, &[("HOME", "/no/such/home")]).await;
        let words = words(&output);
        assert!(!output.status.success() && words.contains(says), "{arguments:?}: {} {words}", output.status);
        assert!(!words.contains("panicked") && words.lines().count() < 20, "{arguments:?}: {words}");
    }
}

#[tokio::test]
async fn a_flag_may_come_from_the_environment() {
    let environment = [("PARTNER_INTEGRATION_KUBECONFIG", "/from/the/environment")];
    let output = run(&["run", "--admin-address", "127.0.0.1:0"], &environment).await;
    let words = words(&output);
    assert!(!output.status.success() && words.contains("/from/the/environment"), "{words}");
    let environment = [("PARTNER_INTEGRATION_ALLOW_NETWORK", "10.0.0.0/8,nonsense")];
    let output = run(&["run", "--admin-address", "127.0.0.1:0"], &environment).await;
    assert!(self::words(&output).contains("nonsense"));
}

#[tokio::test]
async fn every_line_of_the_log_is_a_json_object_and_a_status_that_changes_is_one_line() {
    let (_, operator) = cluster().await;
    let world = world("log", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "Connected").await;
    let log = operator.log();
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let lines: Vec<Value> =
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let ours = lines.iter().filter(|line| line["namespace"] == world.namespace.as_str() && line["name"] == "it");
    let reasons: Vec<&str> = ours.filter_map(|line| line["reason"].as_str()).collect();
    assert_eq!(reasons, ["Connected"]);
}

#[tokio::test]
async fn it_asks_for_what_its_role_grants_and_for_nothing_else() {
    let (plane, _) = cluster().await;
    let world = world("role", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "Connected").await;
    world
        .partner_until("looked at", |partner| {
            partner.status.as_ref().is_some_and(|status| status.observed_generation > 0)
        })
        .await;
    let asked = plane.audit().unwrap().into_iter().filter(|seen| seen.user == USER).collect::<Vec<_>>();
    let refused: Vec<_> = asked.iter().filter(|seen| seen.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let kinds: BTreeSet<String> = asked
        .iter()
        .filter(|seen| !seen.resource.is_empty())
        .map(|seen| format!("{} {}/{}", seen.verb, seen.resource, seen.subresource))
        .collect();
    let granted = [
        "get partnerintegrations/",
        "list partnerintegrations/",
        "watch partnerintegrations/",
        "get partners/",
        "list partners/",
        "watch partners/",
        "get secrets/",
        "list secrets/",
        "watch secrets/",
        "create events/",
        "patch partnerintegrations/status",
        "patch partners/status",
    ];
    let granted: BTreeSet<String> = granted.iter().map(ToString::to_string).collect();
    let beyond: Vec<_> = kinds.difference(&granted).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    println!("it asked for: {kinds:?}");
}
