//! A stable state costs nothing, and a restart costs no more than the design says.

use std::time::{Duration, Instant};

use futures::future::join_all;
use partner_integration_operator::api::Partner;
use serde_json::json;

use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{ALLOW, LIMIT, World, own_operator, own_plane, world};

/// As long as the issue asks for.
const STABLE: Duration = Duration::from_secs(30);

/// A hundred integrations in every stable state that there is.
async fn a_hundred(world: &World<'_>) {
    let rest = Behaviour::Throttle429(Some("3600".to_owned()));
    world.sim.set_region_behaviour("busy", Some(rest)).unwrap();
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("good", b"good").await;
    world.put_secret("wrong", b"wrong").await;
    world.put_secret("bad", b"two\nlines").await;
    let table = [
        (60, "eu1", "good", "Connected"),
        (10, "eu1", "wrong", "CredentialRejected"),
        (10, "busy", "good", "RateLimited"),
        (5, "eu1", "bad", "InvalidCredential"),
        (5, "eu1", "absent", "SecretNotFound"),
        (4, "mars", "good", "RegionNotFound"),
    ];
    for (count, region, secret, reason) in table {
        let names: Vec<String> = (0..count).map(|number| format!("{}-{number}", reason.to_lowercase())).collect();
        join_all(names.iter().map(async |name| world.configure(name, region, secret).await)).await;
        for name in &names {
            world.reaches(name, reason).await;
        }
    }
    for number in 0..3 {
        world.add(&format!("added-{number}")).await;
        let spec = json!({"partner": world.namespace, "suspend": true});
        world.create(json!({"metadata": {"name": format!("suspended-{number}")}, "spec": spec})).await;
    }
    for number in 0..3 {
        world.reaches(&format!("added-{number}"), "NotConfigured").await;
        world.reaches(&format!("suspended-{number}"), "Suspended").await;
    }
}

#[tokio::test]
async fn a_hundred_integrations_in_a_stable_state_cost_no_write_and_no_second_check() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "stable", &["eu1", "busy"]).await;
    a_hundred(&world).await;
    assert_eq!(world.integrations().list(&kube::api::ListParams::default()).await.unwrap().items.len(), 100);
    assert_eq!(world.checks(), 80, "one for each that has a key that can be sent");
    // The Partner's own status, its counts last, and what the API server does for itself.
    let counted = |partner: &Partner| {
        partner.status.as_ref().is_some_and(|status| (status.integrations, status.connected) == (Some(100), Some(60)))
    };
    world.partner_until("counted", counted).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = plane.requests().await.unwrap();
    tokio::join!(tokio::time::sleep(STABLE), proved_again_after_the_interval());
    let added = plane.requests().await.unwrap().since(&before);
    assert!(added.writes().0.is_empty(), "{:#?}", added.writes());
    println!("in {STABLE:?} the API server was asked: {added:?}");
    assert_eq!(world.checks(), 80, "no second check");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// On the shared cluster, since it takes as long: the shortest interval there is, 30 s ± 10 %.
async fn proved_again_after_the_interval() {
    let world = world("interval", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({"spec": {"check": {"interval": "30s"}}})).await;
    world.connect("it", "eu1", "good").await;
    world.reaches("it", "Connected").await;
    wait_for("the second check", LIMIT, async || world.checks() == 2).await.unwrap();
    let requests = world.sim.requests();
    let between = requests[1].at - requests[0].at;
    println!("proved again after {between:.1?}");
    assert!((Duration::from_secs(26)..Duration::from_secs(35)).contains(&between), "{between:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    // That it is still so is no reason to write.
    world.cost("it", 2, 1).await;
}

#[tokio::test]
async fn a_crash_and_a_restart_cost_no_write_and_only_the_checks_of_what_has_changed() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "restart", &["eu1", "busy", "hangs", "falters"]).await;
    settle(&world).await;
    // The audit log is a moment behind.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let writes = world.status_writes().len();
    operator.kill().await.unwrap();

    world.sim.forget_requests();
    world.sim.accept("eu1", "mended");
    world.sim.accept("eu1", "rotated");
    world.put_secret("to-mend", b"mended").await;
    world.put_secret("to-rotate", b"rotated").await;
    world.put_secret("late", b"good").await;
    let began = Instant::now();
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    println!("ready {:.0?} after the start", began.elapsed());
    for name in ["to-mend", "late"] {
        world.reaches(name, "Connected").await;
        println!("{name}: connected {:.0?} after the start", began.elapsed());
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut keys: Vec<String> = world.sim.requests().into_iter().filter_map(|request| request.key).collect();
    keys.sort();
    assert_eq!(keys, ["good", "mended", "rotated"], "whatever has not changed is not checked");
    assert_eq!(world.sim.requests_with("good")[0].region.as_deref(), Some("eu1"), "that is `late`");
    let after = world.status_writes();
    let mut written: Vec<&str> = after[writes..].iter().map(|seen| seen.name.as_str()).collect();
    written.sort_unstable();
    assert_eq!(written, ["late", "to-mend", "to-rotate"], "{after:#?}");
    assert!(world.get("to-rotate").await.status.unwrap().connected);

    // SIGTERM while a check hangs: it is abandoned, and that is no failure.
    world.sim.set_region_behaviour("hangs", Some(Behaviour::HangForever)).unwrap();
    world.configure("hangs", "hangs", "good").await;
    wait_for("the check", LIMIT, async || world.sim.counters().in_flight == 1).await.unwrap();
    let began = Instant::now();
    assert_eq!(operator.terminate().await.unwrap(), 0);
    println!("ended {:.0?} after SIGTERM, with a check that hangs", began.elapsed());
    assert_eq!(crate::world::reason(&world.get("hangs").await), "Pending");
    assert!(world.status_writes().iter().all(|seen| seen.name != "hangs"));
}

/// Connected, refused, failing, and whatever a restart must leave alone.
async fn settle(world: &World<'_>) {
    world.sim.accept("eu1", "good");
    world.sim.accept("falters", "good");
    let rest = Behaviour::Throttle429(Some("3600".to_owned()));
    world.sim.set_region_behaviour("busy", Some(rest.clone())).unwrap();
    world.create_partner(json!({})).await;
    world.put_secret("good", b"good").await;
    world.put_secret("wrong", b"wrong").await;
    world.connect("to-mend", "eu1", "wrong").await;
    world.connect("to-rotate", "eu1", "good").await;
    world.configure("late", "eu1", "late").await;
    for number in 0..5 {
        world.configure(&format!("connected-{number}"), "eu1", "good").await;
        world.configure(&format!("refused-{number}"), "eu1", "wrong").await;
        world.configure(&format!("failing-{number}"), "busy", "good").await;
    }
    world.configure("falters", "falters", "good").await;
    world.add("added").await;
    let reference = json!({"name": "good", "key": "absent"});
    let spec = json!({"partner": world.namespace, "region": "eu1", "apiKeySecretRef": reference});
    world.create(json!({"metadata": {"name": "keyless"}, "spec": spec})).await;
    world.reaches("keyless", "SecretKeyNotFound").await;
    for number in 0..5 {
        world.reaches(&format!("connected-{number}"), "Connected").await;
        world.reaches(&format!("refused-{number}"), "CredentialRejected").await;
        world.reaches(&format!("failing-{number}"), "RateLimited").await;
    }
    world.reaches("to-mend", "CredentialRejected").await;
    world.reaches("to-rotate", "Connected").await;
    world.reaches("late", "SecretNotFound").await;
    world.reaches("added", "NotConfigured").await;
    world.reaches("falters", "Connected").await;
    world.sim.set_region_behaviour("falters", Some(rest)).unwrap();
    world.ask("falters", "now").await;
    world.reaches("falters", "CheckFailing").await;
}
