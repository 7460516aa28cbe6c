//! Smoke tests of what the other tests stand on: the control plane and the simulated partner.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "controlplane/partner.rs"]
mod partner;
mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use support::controlplane::{ControlPlane, Options, install_crds, namespace, shared};
use support::wait_for;

/// Starting and stopping take seconds; this is only the point where a test gives up.
const LIMIT: Duration = Duration::from_mins(1);

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test]
async fn kubectl_applies_from_standard_input_and_a_refusal_comes_back_in_words() {
    let plane = shared().await.unwrap();
    let client = plane.client().unwrap();
    install_crds(&client).await.unwrap();
    let namespace = namespace(&client, "kubectl").await.unwrap();
    let manifest = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: {namespace}}}}}");
    assert_eq!(plane.kubectl_with(&["apply", "-f", "-"], &manifest).await.unwrap(), "configmap/a created\n");
    assert_eq!(plane.kubectl(&["get", "configmaps", "-n", &namespace, "-o", "name"]).await.unwrap(), "configmap/a\n");
    let bad = manifest.replace("name: a", "name: A_");
    let error = plane.kubectl_with(&["apply", "-f", "-"], &bad).await.unwrap_err().to_string();
    assert!(error.contains("RFC 1123"), "{error}");
}

#[tokio::test]
async fn the_audit_log_tells_clients_apart_and_counts_each_request_once() {
    let plane = shared().await.unwrap();
    let namespace = namespace(&plane.client().unwrap(), "audit").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client_named("the-one-meant/1").unwrap(), &namespace);
    let others: Api<ConfigMap> = Api::namespaced(plane.client_named("another/1").unwrap(), &namespace);
    maps.create(&PostParams::default(), &config_map("one")).await.unwrap();
    maps.create(&PostParams::default(), &config_map("one")).await.unwrap_err();
    others.create(&PostParams::default(), &config_map("two")).await.unwrap();
    maps.list(&ListParams::default()).await.unwrap();
    let seen = plane.audit().unwrap();
    let writes: Vec<_> = seen.iter().filter(|seen| seen.user_agent == "the-one-meant/1" && seen.is_write()).collect();
    let codes: Vec<_> = writes.iter().map(|seen| (seen.verb.as_str(), seen.resource.as_str(), seen.code)).collect();
    assert_eq!(codes, [("create", "configmaps", 201), ("create", "configmaps", 409)], "{seen:#?}");
    assert!(writes.iter().all(|seen| seen.user == "admin" && seen.namespace == namespace));
    assert!(seen.iter().any(|seen| seen.user_agent == "the-one-meant/1" && seen.verb == "list" && seen.code == 200));
}

#[tokio::test]
async fn what_a_watch_has_shown_is_in_the_audit_log() {
    let plane = shared().await.unwrap();
    let namespace = namespace(&plane.client().unwrap(), "shown").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client_named("shown/1").unwrap(), &namespace);
    let watching: Api<ConfigMap> = Api::namespaced(plane.client().unwrap(), &namespace);
    let mut shown = watching.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let written =
        || plane.audit().unwrap().iter().filter(|seen| seen.user_agent == "shown/1" && seen.code == 201).count();
    for number in 1..=100 {
        let name = format!("number-{number}");
        let (writer, map) = (maps.clone(), config_map(&name));
        let create = tokio::spawn(async move { writer.create(&PostParams::default(), &map).await });
        while !matches!(shown.next().await.unwrap().unwrap(), WatchEvent::Added(map) if map.name_any() == name) {}
        assert_eq!(written(), number);
        create.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_request_counters_see_a_write_and_nothing_when_nothing_is_written() {
    // Its own: other tests of this binary write to the shared one.
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = plane.client().unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    // What the API server writes for itself ends a few seconds after the start.
    let mut before = plane.requests().await.unwrap();
    wait_for("a second without a write", LIMIT, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = plane.requests().await.map_err(|error| error.to_string())?;
        let writes = now.since(&before).writes();
        before = now;
        if writes.0.is_empty() { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await
    .unwrap();
    maps.list(&ListParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("counted")).await.unwrap();
    let added = plane.requests().await.unwrap().since(&before);
    let creates = added.writes();
    assert_eq!(creates.count(|kind| kind.verb == "POST" && kind.resource == "configmaps" && kind.code == "201"), 1);
    assert_eq!(creates.count(|_| true), 1, "{added:?}");
    assert!(added.count(|kind| kind.verb == "LIST" && kind.resource == "configmaps") >= 1, "{added:?}");
}

#[tokio::test]
async fn an_outage_ends_on_the_same_port_with_the_same_objects_and_a_user_without_a_role_may_read_nothing() {
    let options = Options::default().controller_manager().user("jane", "token-of-jane", &["developers"]);
    let plane = ControlPlane::start(options).await.unwrap();
    let client = plane.client().unwrap();
    let name = namespace(&client, "outage").await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client);

    plane.stop_apiserver().await.unwrap();
    assert!(!plane.alive("kube-apiserver").await.unwrap() && plane.alive("etcd").await.unwrap());
    namespaces.get(&name).await.unwrap_err();
    plane.start_apiserver().await.unwrap();
    namespaces.get(&name).await.unwrap();
    plane.kill_apiserver().await.unwrap();
    namespaces.get(&name).await.unwrap_err();
    plane.start_apiserver().await.unwrap();
    namespaces.get(&name).await.unwrap();

    let jane = kube::Client::try_from(plane.config_for("token-of-jane").unwrap()).unwrap();
    let refused = Api::<Secret>::namespaced(jane, &name).list(&ListParams::default()).await.unwrap_err();
    assert!(refused.to_string().contains(r#"User "jane" cannot list resource "secrets""#), "{refused}");

    // The namespace controller is what makes a deleted namespace go away.
    namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
    wait_for("the namespace to be gone", LIMIT, async || match namespaces.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|namespace| namespace.map(|namespace| namespace.name_any())))),
    })
    .await
    .unwrap();
}

/// Not a test: the process that `what_is_left_after` ends in several ways.
#[tokio::test]
#[ignore = "a helper that other tests start"]
async fn helper_that_holds_a_control_plane() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    println!("\nheld {} {}", plane.supervisor_pid(), plane.folder().display());
    assert!(std::env::var_os("PANIC").is_none(), "as asked");
    tokio::time::sleep(LIMIT).await;
}

/// Starts the helper in a process group of its own, as a shell does, ends it, and asks what is left 20 s later at the most.
async fn what_is_left_after(panics: bool, end: impl FnOnce(&mut Child)) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "helper_that_holds_a_control_plane", "--ignored", "--nocapture"]);
    if panics {
        command.env("PANIC", "yes");
    }
    let mut helper = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = BufReader::new(helper.stdout.take().unwrap());
    let line = tokio::task::spawn_blocking(move || {
        output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("held ").map(str::to_owned))
    });
    let line = line.await.unwrap().expect("the helper has no control plane");
    let (supervisor, folder) = line.split_once(' ').unwrap();
    let mut pids = vec![supervisor.to_owned()];
    // After a panic they may be gone by now.
    pids.extend(["etcd", "kube-apiserver"].iter().filter_map(|name| {
        std::fs::read_to_string(Path::new(folder).join(format!("{name}.pid"))).ok().map(|pid| pid.trim().to_owned())
    }));
    assert!(panics || (pids.len() == 3 && pids.iter().all(|pid| runs(pid))), "{pids:?}");
    end(&mut helper);
    wait_for("the helper's end", LIMIT, async || helper.try_wait().unwrap().is_some()).await.unwrap();
    wait_for("nothing to be left", Duration::from_secs(20), async || {
        let left: Vec<_> = pids.iter().filter(|pid| runs(pid)).collect();
        if left.is_empty() && !Path::new(folder).exists() { Ok(()) } else { Err(format!("{left:?} and {folder}")) }
    })
    .await
    .unwrap();
}

/// Whether a process runs; one that has ended and that nobody has asked about does not.
fn runs(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn a_killed_process_leaves_neither_processes_nor_a_folder() {
    what_is_left_after(false, |helper| helper.kill().unwrap()).await;
}

#[tokio::test]
async fn ctrl_c_leaves_neither_processes_nor_a_folder() {
    what_is_left_after(false, |helper| {
        let group = format!("-{}", helper.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    })
    .await;
}

#[tokio::test]
async fn a_panic_leaves_neither_processes_nor_a_folder() {
    what_is_left_after(true, |_| {}).await;
}
