//! How many integrations name a Partner, and how many are connected: right in the end, and cheap on the way.

use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::DeleteParams;
use partner_integration_operator::api::Partner;
use serde_json::json;

use crate::support::controlplane::Audited;
use crate::support::operator::USER;
use crate::world::{ALLOW, World, own_operator, own_plane};

/// At most one write in so long because of counts.
const PACE: Duration = Duration::from_secs(10);

fn counts(partner: &Partner) -> (Option<u32>, Option<u32>) {
    partner.status.as_ref().map_or((None, None), |status| (status.integrations, status.connected))
}

async fn counted(world: &World<'_>, integrations: u32, connected: u32) -> Partner {
    let wanted = (Some(integrations), Some(connected));
    world.partner_until(&format!("{wanted:?}"), |partner| counts(partner) == wanted).await
}

fn writes(world: &World<'_>) -> Vec<Audited> {
    let mut seen = world.plane.audit().unwrap();
    seen.retain(|seen| seen.user == USER && seen.is_write() && seen.resource == "partners");
    seen
}

/// Writes that follow each other by less than the pace: none but those of a condition may. A hundred milliseconds for the way.
fn assert_paced(writes: &[Audited]) {
    let at: Vec<jiff::Timestamp> = writes.iter().map(|seen| seen.received.parse().unwrap()).collect();
    let pauses: Vec<f64> = at.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    println!("between the writes of a Partner, in seconds: {pauses:.1?}");
    assert!(pauses.iter().all(|pause| *pause > PACE.as_secs_f64() - 0.1), "{pauses:?}");
    assert!(writes.iter().all(|seen| seen.code == 200), "{writes:#?}");
}

#[tokio::test]
async fn a_partner_counts_its_integrations_with_one_write_in_ten_seconds_and_none_at_a_restart() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "counted", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    counted(&world, 0, 0).await;
    world.put_secret("good", b"good").await;
    world.put_secret("wrong", b"wrong").await;
    let began = Instant::now();
    let connect = async |name: String, secret| world.configure(&name, "eu1", secret).await;
    join_all((0..40).map(|number| connect(format!("good-{number}"), "good"))).await;
    join_all((0..10).map(|number| connect(format!("wrong-{number}"), "wrong"))).await;
    counted(&world, 50, 40).await;
    println!("50 integrations were counted {:.1?} after the first was made", began.elapsed());
    let row = plane.kubectl(&["get", "partner", &world.namespace, "--no-headers"]).await.unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..6], [&world.namespace, "Loyalty", "Platform", "eu1", "50", "40"]);

    // A disconnection, a deletion, a key that is mended.
    world.edit("good-0", json!({"spec": {"suspend": true}})).await;
    world.integrations().delete("good-1", &DeleteParams::default()).await.unwrap();
    counted(&world, 49, 38).await;
    world.sim.accept("eu1", "wrong");
    world.put_secret("wrong", b"good").await;
    counted(&world, 49, 48).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = writes(&world);
    assert_paced(&before);

    operator.kill().await.unwrap();
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(writes(&world).len(), before.len(), "nothing has changed");
    assert_eq!(operator.terminate().await.unwrap(), 0);

    // What happened while nobody watched, also to the last one of a Partner.
    world.integrations().delete_collection(&DeleteParams::default(), &kube::api::ListParams::default()).await.unwrap();
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    counted(&world, 0, 0).await;
    assert_eq!(writes(&world).len(), before.len() + 1);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
