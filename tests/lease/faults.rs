//! What others do to the Lease, to access and to the API server.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use partner_integration_operator::lease::Leading;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::LIMIT;
use crate::seat::{DEFAULT, LEASE, Room, SHORT, Seat, Times, leader};
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::wait_for;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_deleted_under_the_leader_is_created_again_by_it_and_nobody_else_leads() {
    let room = Room::new("deleted").await;
    let mut seats = vec![room.seat("leader", SHORT)];
    room.leader(&seats, LIMIT).await;
    seats.push(room.seat("standby", SHORT));
    wait_for("it to look", LIMIT, async || !room.asked("standby").is_empty()).await.unwrap();
    for _ in 0..3 {
        let uid = room.lease().await.unwrap().metadata.uid;
        room.leases().delete(LEASE, &DeleteParams::default()).await.unwrap();
        wait_for("a new lease", LIMIT, async || {
            assert_eq!(leader(&seats), Some(0));
            room.lease().await.is_ok_and(|lease| lease.metadata.uid != uid)
        })
        .await
        .unwrap();
        let spec = room.lease().await.unwrap().spec.unwrap();
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("leader"), Some(0)));
        room.watch_for(Duration::from_secs(1), &seats).await;
        assert_eq!(leader(&seats), Some(0));
    }
    // A replace of what is gone creates nothing: only a create does, which two cannot do.
    let updates: Vec<_> = room.asked("leader").iter().filter(|s| s.verb == "update").map(|s| s.code).collect();
    assert_eq!(updates.iter().filter(|code| **code == 409).count(), 3, "{updates:?}");
    assert!(updates.iter().all(|code| matches!(code, 200 | 409)), "{updates:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_others_stay_and_cost_no_leadership() {
    let room = Room::new("labels").await;
    let seats = [room.seat("leader", SHORT)];
    room.leader(&seats, LIMIT).await;
    for number in 0..20 {
        let patch = json!({"metadata": {"labels": {"number": number.to_string()}}});
        room.leases().patch(LEASE, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        room.watch_for(Duration::from_millis(100), &seats).await;
        assert_eq!(leader(&seats), Some(0), "edit {number}");
    }
    let edited = room.lease().await.unwrap();
    wait_for("a renewal after the last edit", LIMIT, async || {
        room.lease().await.is_ok_and(|lease| lease.spec.unwrap().renew_time > edited.spec.clone().unwrap().renew_time)
    })
    .await
    .unwrap();
    let lease = room.lease().await.unwrap();
    assert_eq!(lease.metadata.labels.unwrap().get("number").map(String::as_str), Some("19"));
    assert_eq!(lease.spec.unwrap().lease_transitions, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_name_is_replaced_steps_down_and_leads_again_when_that_one_expires() {
    let room = Room::new("usurped").await;
    let times: Times = (Duration::from_secs(6), Duration::from_secs(5), Duration::from_millis(500));
    let seats = [room.seat("leader", times)];
    room.leader(&seats, LIMIT).await;
    let patch = json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 4}});
    room.leases().patch(LEASE, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let began = Instant::now();
    // Well before its deadline: it saw the name.
    wait_for("it to step down", Duration::from_secs(3), async || leader(&seats).is_none()).await.unwrap();
    room.leader(&seats, LIMIT).await;
    // Counted from when it saw the edit, which is after the edit.
    assert!(began.elapsed() > Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(room.lease().await.unwrap().spec.unwrap().lease_transitions, Some(1));
}

/// Everything that the tests of this file log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn lines(&self, words: &str) -> Vec<String> {
        let log = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        log.lines().filter(|line| line.contains(words)).map(ToOwned::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_may_not_stays_a_standby_says_so_once_and_leads_as_soon_as_it_may() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let room = Room::new("forbidden").await;
    let mut config = room.plane.config().unwrap();
    config.auth_info.impersonate = Some("the-operator".to_owned());
    let seats = [room.seat_with(config, "operator", SHORT)];
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(leader(&seats), None);
    let asked = room.asked("operator").len();
    assert!((5..=13).contains(&asked), "{asked} requests in 5 s with a retry period of 500 ms");
    let lines = log.lines(&room.namespace);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for words in ["WARN", "cannot get resource", "leases", "403", "grant get, create and update"] {
        assert!(lines[0].contains(words), "{words:?} is not in {}", lines[0]);
    }
    grant(&room, &["get"]).await;
    let refused = || log.lines(&room.namespace).iter().any(|line| line.contains("cannot create resource"));
    wait_for("the next refusal", LIMIT, async || refused()).await.unwrap();
    assert_eq!(leader(&seats), None);
    grant(&room, &["get", "create", "update"]).await;
    room.leader(&seats, LIMIT).await;
    // Access is withdrawn under the leader: it leads until its deadline, then no more.
    grant(&room, &["get"]).await;
    wait_for("it to step down", LIMIT, async || leader(&seats).is_none()).await.unwrap();
    grant(&room, &["get", "create", "update"]).await;
    room.leader(&seats, LIMIT).await;
}

async fn grant(room: &Room, verbs: &[&str]) {
    let metadata = json!({"name": "election"});
    let allowed = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs});
    let role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [allowed]});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "election"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "the-operator"}],
    });
    let params = PatchParams::apply("test").force();
    let roles: Api<Role> = Api::namespaced(room.client.clone(), &room.namespace);
    roles.patch("election", &params, &Patch::Apply(role)).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(room.client.clone(), &room.namespace);
    bindings.patch("election", &params, &Patch::Apply(binding)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_there_yet_is_waited_for() {
    let mut room = Room::new("later").await;
    room.namespace = format!("{}-other", room.namespace);
    let seats = [room.seat("operator", SHORT)];
    wait_for("a try", LIMIT, async || room.asked("operator").iter().any(|seen| seen.is_write() && seen.code == 404))
        .await
        .unwrap();
    assert_eq!(leader(&seats), None);
    let namespace = serde_json::from_value(json!({"metadata": {"name": room.namespace}})).unwrap();
    Api::<Namespace>::all(room.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    room.leader(&seats, LIMIT).await;
}

/// Tries are so rare and long that one is under way when the deadline passes.
const SLOW: Times = (Duration::from_secs(9), Duration::from_secs(6), Duration::from_millis(4500));

/// A control plane that is stopped. It ends with the process.
async fn own_plane() -> &'static ControlPlane {
    Box::leak(Box::new(ControlPlane::start(Options::default()).await.unwrap()))
}

/// Sends a signal to the API server.
fn signal(plane: &ControlPlane, signal: &str) {
    let pid = std::fs::read_to_string(plane.folder().join("kube-apiserver.pid")).unwrap();
    let sent = std::process::Command::new("kill").args([signal, pid.trim()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_away_costs_leadership_only_after_the_renew_deadline() {
    let plane = own_plane().await;
    let room = Room::on(plane, "away").await;
    let mut seats = vec![room.seat("first", SHORT), room.seat("second", SHORT)];
    room.leader(&seats, LIMIT).await;

    // It hangs: calls end by their own limits, and leadership by the clock, in one of the rooms in the middle of a call.
    let slow = Room::on(plane, "slow").await;
    let slow_seats = [slow.seat("slow", SLOW)];
    slow.leader(&slow_seats, LIMIT).await;
    signal(plane, "-STOP");
    let began = Instant::now();
    tokio::join!(steps_down(&seats, began, SHORT.1), steps_down(&slow_seats, began, SLOW.1));
    room.watch_for(Duration::from_secs(1), &seats).await;
    assert_eq!(leader(&seats), None);
    // One that is stopped now does not hang with it.
    let asked_to_stop = Instant::now();
    seats.remove(0).stop().await.unwrap();
    assert!(asked_to_stop.elapsed() < SHORT.1, "{:?}", asked_to_stop.elapsed());
    signal(plane, "-CONT");
    room.leader(&seats, LIMIT).await;

    // It is gone, and comes back.
    seats.push(room.seat("third", SHORT));
    plane.kill_apiserver().await.unwrap();
    steps_down(&seats, Instant::now(), SHORT.1).await;
    plane.start_apiserver().await.unwrap();
    room.leader(&seats, LIMIT).await;

    // Away for less than the deadline: nothing happens.
    let patient = Room::on(plane, "patient").await;
    let seats = [patient.seat("first", DEFAULT), patient.seat("second", DEFAULT)];
    let leads = patient.leader(&seats, LIMIT).await;
    signal(plane, "-STOP");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        assert_eq!(leader(&seats), Some(leads), "after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(plane, "-CONT");
    patient.watch_for(Duration::from_secs(12), &seats).await;
    assert_eq!(leader(&seats), Some(leads));
    assert_eq!(patient.lease().await.unwrap().spec.unwrap().lease_transitions, Some(0));
}

/// Waits until nobody leads by the clock, and then until those who wait for a change are told, though a call hangs.
async fn steps_down(seats: &[Seat], since: Instant, deadline: Duration) {
    wait_for("it to step down", LIMIT, async || leader(seats).is_none()).await.unwrap();
    let took = since.elapsed();
    let told = || seats.iter().all(|seat| *seat.leading.borrow() == Leading::Standby);
    wait_for("it to say so", Duration::from_millis(500), async || told()).await.unwrap();
    println!("with a renew deadline of {deadline:?} stepped down {took:.1?} after the API server went away");
    assert!(took < deadline + Duration::from_millis(500), "{took:?}");
}
