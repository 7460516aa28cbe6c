//! Restarts and crashes cost partners and the API server nothing.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::ListParams;
use partner_integration_operator::api::Partner;
use serde_json::json;

use crate::PATIENCE;
use crate::support::operator::{NAMESPACE, Operator, USER};
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, World, own_operator, own_plane, reason};

/// With election, as by default.
const ELECTED: [&str; 4] = ["--allow-network", "127.0.0.0/8", "--lease-namespace", NAMESPACE];
/// As many as the issue asks for,
const MANY: usize = 1000;
/// and as long.
const QUIET: Duration = Duration::from_secs(20);

/// Integrations `NAME-0` …, each with a key of its own, which is its name.
async fn create(world: &World<'_>, name: &str, count: usize) {
    let connect = async |number| {
        let name = format!("{name}-{number}");
        world.connect(&name, "eu1", &name).await;
    };
    stream::iter(0..count).map(connect).buffer_unordered(16).collect::<()>().await;
}

/// Waits until so many have this reason.
async fn all(world: &World<'_>, count: usize, wanted: &str) {
    wait_for(&format!("{count} times {wanted}"), PATIENCE * 2, async || {
        let listed = world.integrations().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let seen = listed.items.iter().filter(|it| reason(it) == wanted).count();
        // To list a thousand again and again would slow down what is waited for.
        tokio::time::sleep(Duration::from_millis(500)).await;
        if seen == count { Ok(()) } else { Err(format!("{seen}")) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_thousand_connected_integrations_sends_nothing_and_writes_nothing() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ELECTED).await;
    let world = World::on(&plane, "thousand", &["eu1"]).await;
    for number in 0..MANY {
        world.sim.accept("eu1", &format!("it-{number}"));
    }
    world.create_partner(json!({})).await;
    let began = Instant::now();
    create(&world, "it", MANY).await;
    all(&world, MANY, "Connected").await;
    println!("{MANY} connected {:.0?} after the first was created", began.elapsed());
    assert_eq!(world.sim.counters().requests, MANY as u64);
    // Its counts follow ten seconds behind; those of today would be news to the next process.
    let counted = |partner: &Partner| {
        partner.status.as_ref().is_some_and(|status| status.connected.map(|count| count as usize) == Some(MANY))
    };
    world.partner_until("counted", counted).await;
    assert_eq!(operator.terminate().await.unwrap(), 0);

    // The audit log is a moment behind.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (requests, audited) = (plane.requests().await.unwrap(), plane.audit().unwrap().len());
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ELECTED).await.unwrap();
    let began = Instant::now();
    operator.ready(PATIENCE).await.unwrap();
    println!("ready {:.1?} after the restart", began.elapsed());
    wait_for("it to lead", PATIENCE, async || {
        let metrics = operator.admin("/metrics").await.map_err(|error| error.to_string())?.1;
        if metrics.contains("\npartner_integration_leader 1\n") { Ok(()) } else { Err(String::new()) }
    })
    .await
    .unwrap();
    println!("leading {:.1?} after it", began.elapsed());
    tokio::time::sleep(QUIET).await;
    let sent = world.sim.counters().requests - MANY as u64;
    let added = plane.requests().await.unwrap().since(&requests);
    let mut writes = plane.audit().unwrap().split_off(audited);
    writes.retain(|seen| seen.user == USER && seen.is_write() && seen.resource != "leases");
    println!(
        "in {QUIET:.0?} of leading after a restart with {MANY} connected: {sent} requests to the partner, {} writes \
         counted by the API server, {} in its audit log; the operator held {} MiB at most",
        added.writes().count(|_| true),
        writes.len(),
        operator.peak_mib().unwrap()
    );
    assert_eq!(sent, 0);
    assert!(added.writes().0.is_empty() && writes.is_empty(), "{added:?} {writes:#?}");
    let metrics = operator.admin("/metrics").await.unwrap().1;
    let connected = metrics.lines().filter(|line| line.starts_with("partner_integration_connected{")).count();
    assert_eq!(connected, MANY, "it knows them all");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// How often it is killed, and after how long.
const CRASHES: usize = 12;
const LIFE: Duration = Duration::from_secs(5);
const HUNDRED: usize = 100;
const OFTEN: usize = 20;

#[tokio::test]
async fn in_a_crash_loop_no_key_is_sent_more_often_than_its_schedule_says() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "crashes", &["eu1"]).await;
    let often = World::on(&plane, "crashes-often", &["eu1"]).await;
    for number in 0..HUNDRED {
        world.sim.accept("eu1", &format!("good-{number}"));
        often.sim.accept("eu1", &format!("often-{number}"));
    }
    world.create_partner(json!({})).await;
    often.create_partner(json!({"spec": {"check": {"interval": "30s"}}})).await;
    create(&world, "good", HUNDRED).await;
    create(&world, "refused", HUNDRED).await;
    create(&often, "often", OFTEN).await;
    all(&world, HUNDRED, "Connected").await;
    all(&world, HUNDRED, "CredentialRejected").await;
    all(&often, OFTEN, "Connected").await;
    assert_eq!(world.checks(), 2 * HUNDRED);
    operator.kill().await.unwrap();

    let writes = world.status_writes().len();
    for _ in 0..CRASHES {
        let began = Instant::now();
        let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
        tokio::time::sleep(LIFE.saturating_sub(began.elapsed())).await;
        operator.kill().await.unwrap();
    }
    let sent = |name: &str| -> Vec<usize> {
        (0..HUNDRED).map(|number| world.checks_with(&format!("{name}-{number}"))).collect()
    };
    let (refused, good) = (sent("refused"), sent("good"));
    println!(
        "{CRASHES} crashes, one each {LIFE:.0?}: every one of {HUNDRED} refused keys was sent {} to {} times in all, of \
         {HUNDRED} connected ones {} to {} times",
        refused.iter().min().unwrap(),
        refused.iter().max().unwrap(),
        good.iter().min().unwrap(),
        good.iter().max().unwrap()
    );
    // The second time is after 10 min, and a new process makes it no sooner than `notBefore`; that of a connected one
    // is drawn between 1 min after the start of a process and the interval, 10 min.
    assert!(refused.iter().chain(&good).all(|count| *count == 1), "{refused:?} {good:?}");
    assert_eq!(world.status_writes().len(), writes, "nothing is written again");
    let pauses: Vec<Duration> = (0..OFTEN)
        .flat_map(|number| {
            let requests = often.sim.requests_with(&format!("often-{number}"));
            requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect::<Vec<_>>()
        })
        .collect();
    println!(
        "{OFTEN} that are proved again each 30 s: {} more requests, the shortest pause {:.1?}",
        pauses.len(),
        pauses.iter().min()
    );
    // Drawn between 3 s after the start and the interval.
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(2900)), "{pauses:.1?}");
}
