//! A damaged cluster: stored objects that cannot be read, an API server that goes away. The rest goes on.

use std::time::{Duration, Instant};

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::controlplane::{install_crds, loosen_crds};
use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{ALLOW, LIMIT, World, own_operator, own_plane};

/// Creates an object as it stands, once the loosened schema is in force.
async fn store(world: &World<'_>, plural: &str, kind: &str, spec: Value) {
    let path = match kind {
        "Partner" => format!("/apis/integrations.kognitiv.com/v1alpha1/{plural}"),
        _ => format!("/apis/integrations.kognitiv.com/v1alpha1/namespaces/{}/{plural}", world.namespace),
    };
    let object = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": "unreadable"},
        "spec": spec,
    });
    wait_for("the loosened schema", LIMIT, async || {
        let request = http::Request::post(&path).header("content-type", "application/json");
        let request = request.body(object.to_string().into_bytes()).unwrap();
        world.client.request::<Value>(request).await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn stored_objects_that_cannot_be_read_stop_no_other_and_are_taken_up_once_mended() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "unreadable", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.connect("before", "eu1", "good").await;
    world.reaches("before", "Connected").await;
    loosen_crds(&plane.client().unwrap()).await.unwrap();
    store(&world, "partnerintegrations", "PartnerIntegration", json!({"partner": 5, "region": ["no", "text"]})).await;
    store(&world, "partners", "Partner", json!({"displayName": {"de": "kein Text"}, "regions": "none"})).await;
    let says = |text: &str| operator.log().contains(text);
    wait_for("the log to say so", LIMIT, async || {
        says("cannot be read as a v1alpha1 PartnerIntegration") && says("cannot be read as a v1alpha1 Partner;")
    })
    .await
    .unwrap();
    install_crds(&world.client).await.unwrap();

    world.connect("after", "eu1", "good").await;
    world.reaches("after", "Connected").await;
    let spec = json!({"partner": "unreadable", "region": "eu1", "apiKeySecretRef": {"name": "after"}});
    world.create(json!({"metadata": {"name": "of-unreadable"}, "spec": spec})).await;
    world.reaches("of-unreadable", "PartnerInvalid").await;
    world.ask("before", "now").await;
    wait_for("a check", LIMIT, async || world.checks() == 3).await.unwrap();

    // A new process lists them first.
    operator.kill().await.unwrap();
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    world.connect("later", "eu1", "good").await;
    world.reaches("later", "Connected").await;
    // The rules judge the old object, too, so it cannot be edited.
    world.integrations().delete("unreadable", &DeleteParams::default()).await.unwrap();
    world.add("unreadable").await;
    world.reaches("unreadable", "NotConfigured").await;
    assert_eq!(world.checks(), 4);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn an_api_server_that_goes_away_and_comes_back_is_waited_for_and_an_outcome_survives_it() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "outage", &["eu1", "slow"]).await;
    world.sim.accept("eu1", "good");
    world.sim.accept("slow", "good");
    world.sim.set_region_behaviour("slow", Some(Behaviour::Slow(Duration::from_secs(3)))).unwrap();
    world.create_partner(json!({})).await;
    world.connect("before", "eu1", "good").await;
    world.reaches("before", "Connected").await;
    world.configure("meanwhile", "slow", "before").await;
    wait_for("the check", LIMIT, async || world.sim.counters().in_flight == 1).await.unwrap();

    plane.stop_apiserver().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(operator.admin("/livez").await.unwrap().0, 200);
    let (code, words) = operator.admin("/readyz").await.unwrap();
    assert_eq!(code, 503, "{words}");
    assert!(words.contains("the API server cannot be reached"), "{words}");
    plane.start_apiserver().await.unwrap();

    let began = Instant::now();
    world.reaches("meanwhile", "Connected").await;
    println!("the outcome of the outage was written {:.1?} after it", began.elapsed());
    assert_eq!(world.checks(), 2, "no second check");
    world.connect("after", "eu1", "good").await;
    world.reaches("after", "Connected").await;
    world.put_secret("before", b"wrong").await;
    world.reaches("before", "CredentialRejected").await;
    world.edit_partner(json!({"spec": {"displayName": "Another Name"}})).await;
    let renamed = |it: &partner_integration_operator::api::PartnerIntegration| {
        it.status.as_ref().is_some_and(|status| status.partner_name.as_deref() == Some("Another Name"))
    };
    world.until("after", "renamed", renamed).await;
    operator.ready(LIMIT).await.unwrap();
    println!("everything goes on {:.1?} after the outage", began.elapsed());
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn an_api_server_that_knows_no_rights_yet_disconnects_nobody() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "rights", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("key", b"good").await;
    let names: Vec<String> = (0..60).map(|number| format!("it-{number}")).collect();
    for name in &names {
        world.configure(name, "eu1", "key").await;
    }
    for name in &names {
        world.reaches(name, "Connected").await;
    }
    // Each is proved again, a few a second, so that there is always one that reads its Secret.
    world.edit_partner(json!({"spec": {"check": {"path": "/v2/validate", "maxPerSecond": 10}}})).await;
    wait_for("some checks", LIMIT, async || world.checks() > 65).await.unwrap();
    plane.kill_apiserver().await.unwrap();
    // For a moment after its start it refuses everything with 403, until it has read the roles.
    plane.start_apiserver().await.unwrap();
    let rest = wait_for("the rest of the checks", LIMIT, async || {
        if world.checks() >= 120 { Ok(()) } else { Err(world.checks().to_string()) }
    })
    .await;
    let log = operator.log();
    let refused = log.lines().filter(|line| line.contains("SecretForbidden")).count();
    let forbidden = log.lines().filter(|line| line.contains("forbidden (403)")).count();
    println!(
        "{forbidden} calls met a 403 of the API server's start; {refused} integrations were called SecretForbidden"
    );
    assert_eq!(refused, 0);
    rest.unwrap();
    for name in &names {
        world.reaches(name, "Connected").await;
    }
    assert_eq!(world.checks(), 120, "none twice");
}
