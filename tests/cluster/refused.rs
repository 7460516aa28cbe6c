//! What the operator lacks: CRDs, rights, a network that it may dial. It waits, says so in words, and does what it can.

use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::controlplane::{ControlPlane, Options, install_crds};
use crate::support::operator::{self as support, NAME, Operator, USER};
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, World, own_operator, own_plane};

/// A watch is tried again after 20 s at most.
const BACKOFF: Duration = Duration::from_mins(1);

/// Gives the operator's role these verbs on Secrets, none at all for an empty list.
async fn grant_on_secrets(plane: &ControlPlane, verbs: &[&str]) {
    let granted: Api<ClusterRole> = Api::all(plane.client().unwrap());
    let mut rules = granted.get(NAME).await.unwrap().rules.unwrap();
    rules.retain(|rule| rule.resources.as_ref().is_none_or(|resources| !resources.contains(&"secrets".to_owned())));
    if !verbs.is_empty() {
        rules.push(PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".to_owned()]),
            verbs: verbs.iter().map(ToString::to_string).collect(),
            ..PolicyRule::default()
        });
    }
    let patch = Patch::Merge(json!({"rules": rules}));
    granted.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until `/readyz` says 503 with exactly one line for each of these beginnings.
async fn unready(operator: &Operator, lines: &[&str]) {
    wait_for("what /readyz says", BACKOFF, async || {
        let (code, words) = operator.admin("/readyz").await.map_err(|error| error.to_string())?;
        let seen: Vec<&str> = words.lines().collect();
        let fits = seen.len() == lines.len() && seen.iter().zip(lines).all(|(seen, line)| seen.starts_with(line));
        if code == 503 && fits { Ok(()) } else { Err(format!("{code}: {words}")) }
    })
    .await
    .unwrap();
    assert_eq!(operator.admin("/livez").await.unwrap().0, 200);
}

/// The list of Secrets, refused since the start.
async fn refused_lists_are_made_ever_less_often(plane: &ControlPlane) {
    let at = || -> Vec<jiff::Timestamp> {
        let seen = plane.audit().unwrap();
        let lists = seen.iter().filter(|seen| seen.user == USER && seen.verb == "list" && seen.resource == "secrets");
        lists.filter(|seen| seen.code == 403).map(|seen| seen.received.parse().unwrap()).collect()
    };
    let pauses = || -> Vec<f64> { at().windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect() };
    wait_for("a pause of more than three seconds", BACKOFF, async || {
        let pauses = pauses();
        if pauses.last().is_some_and(|pause| *pause > 3.0) { Ok(()) } else { Err(format!("{pauses:.1?}")) }
    })
    .await
    .unwrap();
    println!("pauses between refused lists, in seconds: {:.1?}", pauses());
    assert!(pauses().len() < 8);
}

#[tokio::test]
async fn without_crds_and_without_rights_it_waits_says_so_in_words_and_does_what_it_can() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let kubeconfig = support::kubeconfig(&plane).await.unwrap();
    grant_on_secrets(&plane, &[]).await;
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    let no_crds = "list: not found (404); install the CRDs";
    let no_secrets = "secrets: list: forbidden (403); grant the operator list on it";
    let (integrations, partners) = (format!("partnerintegrations: {no_crds}"), format!("partners: {no_crds}"));
    unready(&operator, &[&integrations, &partners, no_secrets]).await;

    install_crds(&plane.client().unwrap()).await.unwrap();
    let began = Instant::now();
    unready(&operator, &[no_secrets]).await;
    println!("the CRDs were found {:.1?} after they were installed", began.elapsed());

    let world = World::on(&plane, "refused", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.add("added").await;
    world.connect("it", "eu1", "good").await;
    world.reaches("added", "NotConfigured").await;
    let found = world.reaches("it", "SecretForbidden").await;
    let said = &crate::world::condition(&found, "Connected").unwrap().message;
    assert!(said.ends_with("grant it get on secrets here."), "{said}");
    assert_eq!(world.checks(), 0);

    // With `get` alone it connects; that a key has changed is seen at the next check.
    grant_on_secrets(&plane, &["get"]).await;
    wait_for("the right to be known", BACKOFF, async || {
        world.ask("it", &jiff::Timestamp::now().to_string()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        crate::world::reason(&world.get("it").await) == "Connected"
    })
    .await
    .unwrap();
    world.sim.accept("eu1", "rotated");
    world.put_secret("it", b"rotated").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.checks_with("rotated"), 0, "nobody watches");
    world.ask("it", "rotated").await;
    wait_for("the check with the new key", BACKOFF, async || world.checks_with("rotated") == 1).await.unwrap();
    unready(&operator, &[no_secrets]).await;

    refused_lists_are_made_ever_less_often(&plane).await;
    grant_on_secrets(&plane, &["get", "list", "watch"]).await;
    operator.ready(BACKOFF).await.unwrap();
    world.put_secret("it", b"wrong").await;
    world.reaches("it", "CredentialRejected").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn without_allow_network_nothing_on_loopback_is_dialled_whatever_it_is_called() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &["--no-leader-elect"]).await;
    let world = &World::on(&plane, "forbidden", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    let port = world.sim.address().port();
    let disguises = [
        ("name", "localhost"),
        ("literal", "127.0.0.1"),
        ("short", "127.1"),
        ("number", "2130706433"),
        ("hex", "0x7f000001"),
        ("octal", "0177.0.0.1"),
        ("mapped", "[::ffff:127.0.0.1]"),
        ("v6", "[::1]"),
        ("any", "0.0.0.0"),
        ("metadata", "169.254.169.254"),
        ("private", "10.1.2.3"),
        ("shared", "100.64.0.1"),
        ("unique-local", "[fd00::1]"),
    ];
    let regions: Vec<_> = disguises
        .iter()
        .map(|(name, host)| json!({"name": name, "endpoint": format!("https://{host}:{port}/eu1")}))
        .collect();
    world.create_partner(json!({"spec": {"regions": regions}})).await;
    world.put_secret("key", b"good").await;
    join_all(disguises.iter().map(async |(name, _)| {
        world.configure(name, name, "key").await;
        world.reaches(name, "EndpointForbidden").await;
    }))
    .await;
    assert_eq!(world.sim.counters().connections, 0, "nothing is dialled");
    assert_eq!(operator.terminate().await.unwrap(), 0);

    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    for name in ["literal", "short", "number", "hex", "octal"] {
        world.reaches(name, "Connected").await;
    }
    // What DNS said was the outcome of a check, and that is repeated in ten minutes.
    world.ask("name", "now").await;
    world.reaches("name", "Connected").await;
    assert_eq!(crate::world::reason(&world.get("private").await), "EndpointForbidden");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
