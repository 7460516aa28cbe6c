//! A check that panics, in a process in which others run; and what else needs everything that a check works with.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, Uri};
use kube::Client;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::api::{Partner, PartnerIntegration};
use crate::check::{Guard, Places, Prober, Resolver};
use crate::controller::catalogue::Catalogue;
use crate::controller::events::Events;
use crate::controller::leadership::Office;
use crate::controller::lull::StatusWrites;
use crate::controller::refusals::Refusals;
use crate::controller::secrets::Secrets;
use crate::controller::tracker::{Check, Tracker};
use crate::core::{EventReason, Fingerprint, SecretVersion};
use crate::health::Health;
use crate::lease::Leading;
use crate::metrics::{Format, Metrics};

const ENDPOINT: &str = "https://api.example.com";

fn partner() -> Partner {
    serde_json::from_value(json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "Partner",
        "metadata": {"name": "datadog", "uid": "p", "resourceVersion": "1", "generation": 1},
        "spec": {
            "displayName": "Datadog",
            "regions": [{"name": "eu1", "endpoint": ENDPOINT}],
            "authentication": {"bearer": {}},
            "check": {"path": "/"},
        },
    }))
    .unwrap()
}

/// Named as its Secret is.
fn integration(name: &str) -> PartnerIntegration {
    serde_json::from_value(json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "PartnerIntegration",
        "metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"partner": "datadog", "region": "eu1", "apiKeySecretRef": {"name": name}},
    }))
    .unwrap()
}

/// What an API server says where an object is not there, or why it does not answer.
fn failure(code: StatusCode) -> (StatusCode, String) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code.as_u16()}).to_string())
}

/// An API server in whose client a bug waits: to read the Secret `bug` panics, and there is no other.
fn context() -> (Arc<Context>, mpsc::UnboundedReceiver<Key>) {
    context_with(Router::new().fallback(async |uri: Uri| {
        assert!(!uri.path().ends_with("/bug"), "a bug");
        failure(StatusCode::NOT_FOUND)
    }))
}

/// What a check works with, with two integrations, one read of a Secret at once, and this API server.
fn context_with(api_server: Router) -> (Arc<Context>, mpsc::UnboundedReceiver<Key>) {
    let (store, mut writer) = reflector::store();
    let (tracker, metrics) = (Tracker::default(), Metrics::new(true));
    tracker.take_office(Term::FIRST);
    for integration in [integration("bug"), integration("good")] {
        tracker.seen(&integration);
        writer.apply_watcher_event(&Event::Apply(serde_json::from_value(json!(integration)).unwrap()));
    }
    let guard = Guard::new(Vec::new());
    let catalogue = Catalogue::new(guard.clone());
    catalogue.shown(&serde_json::from_value(json!(partner())).unwrap());
    let (events, _) = Events::new(metrics.clone());
    let ((wake, woken), (wake_partners, _)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let health = Health::default();
    let reporter = health.watch("partners");
    let context = Context {
        client: Client::new(api_server, "default"),
        store,
        tracker,
        secrets: Secrets::default(),
        refusals: Refusals::default(),
        catalogue,
        places: Places::new(1),
        reads: tokio::sync::Semaphore::new(1),
        prober: Prober::new(guard, Resolver::system()),
        office: Office::new(watch::channel(Leading::Standby).1),
        health,
        events,
        status_writes: StatusWrites::default(),
        metrics,
        wake,
        wake_partners,
        bindings: crate::controller::bindings::Bindings::new(false),
        recount: tokio::sync::Notify::new(),
        written: crate::controller::partners::Written::default(),
        scope: crate::controller::Scope::default(),
        places_watched: Vec::new(),
        partners_listed: reporter,
    };
    (Arc::new(context), woken)
}

fn plan(name: &str) -> Plan {
    let secret = ApiKeySecretRef { name: name.to_owned(), ..serde_json::from_value(json!({"name": name})).unwrap() };
    let digest = digest(name, &partner().spec, ENDPOINT, &secret);
    let secret = SecretVersion { uid: "s".to_owned(), resource_version: "1".to_owned() };
    Plan { tuple: Tuple { digest, secret }, proved: false, request: None, began_with: Fingerprint::of(None) }
}

/// A check that has its place.
fn run(context: &Arc<Context>, name: &str) -> Run {
    let (key, uid) = (Key::new("shop", name), name.to_owned());
    Run { context: context.clone(), key, uid, term: Term::FIRST, id: 1, plan: Arc::new(plan(name)) }
}

fn start(context: &Arc<Context>, name: &str) -> Key {
    let plan = plan(name);
    let key = Key::new("shop", name);
    let spawn = |id, plan| spawn(context.clone(), &key, name, Term::FIRST, id, plan);
    context.tracker.start(&key, name, Term::FIRST, &plan, spawn);
    key
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_gives_its_place_back_ends_no_other_and_is_made_again_a_minute_later() {
    let (context, mut woken) = context();
    let check = |key: &Key| context.tracker.view(key, &key.name).unwrap().check;
    let began = tokio::time::Instant::now();
    let bug = start(&context, "bug");
    tokio::time::sleep(Duration::from_secs(1)).await;
    // There is one place for the two of them.
    let good = start(&context, "good");
    assert_eq!(woken.recv().await.as_ref(), Some(&good));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(matches!(check(&good), Check::Ended(ended) if ended.verdict == Verdict::NotMade(Reason::SecretNotFound)));
    assert!(matches!(check(&bug), Check::Open(_)), "nothing is concluded, and nothing is started in its place");
    assert_eq!(woken.recv().await.as_ref(), Some(&bug));
    assert!(began.elapsed() >= AFTER_PANIC);
    assert!(matches!(check(&bug), Check::Idle), "a bug says nothing of a key");
}

/// This process is not in office, so an Event whose turn comes is dropped and counted.
#[tokio::test(start_paused = true)]
async fn an_event_comes_behind_the_statuses_that_are_being_written() {
    let (context, _woken) = context();
    let (events, told) = Events::new(context.metrics.clone());
    let _writer = AbortOnDropHandle::new(tokio::spawn(crate::controller::events::write(context.clone(), told)));
    let tell = || {
        let event = crate::core::Event { reason: EventReason::Connected, note: "It is.".to_owned(), warning: false };
        events.tell(&integration("good"), event);
    };
    let had_their_turn = || {
        let text = context.metrics.expose(Format::OpenMetrics);
        (0..3).find(|count| text.contains(&format!("\npartner_integration_events_dropped_total {count}\n")))
    };
    tell();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(had_their_turn(), Some(1), "no status is being written");
    let _status = context.status_writes.begin();
    tell();
    tokio::time::sleep(Duration::from_millis(998)).await;
    assert_eq!(had_their_turn(), Some(1), "one is");
    tokio::time::sleep(Duration::from_millis(3)).await;
    assert_eq!(had_their_turn(), Some(2), "a second is enough");
}

/// Thousands of them wait at a cold start. The task of one is this and about 110 bytes, in steps of 128.
#[tokio::test]
async fn a_check_that_waits_for_its_place_is_small() {
    let (context, _woken) = context();
    let task = Box::new(run(&context, "good")).run().instrument(tracing::Span::none());
    assert!(size_of_val(&task) <= 256, "{} bytes", size_of_val(&task));
}

/// Answers reads of a Secret: from the watch cache with this code, live with the Secret. Says which were asked, in their order.
fn lagging(cached: StatusCode) -> (Router, Arc<Mutex<Vec<&'static str>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let router = Router::new().fallback(move |uri: Uri| {
        let live = !uri.query().unwrap_or_default().contains("resourceVersion=");
        seen.lock().unwrap().push(if live { "live" } else { "cached" });
        let secret = json!({"metadata": {"namespace": "shop", "name": "good", "uid": "s", "resourceVersion": "8"}});
        std::future::ready(if live { (StatusCode::OK, secret.to_string()) } else { failure(cached) })
    });
    (router, asked)
}

/// What the watch has shown may be newer than the cache of the API server that is asked, which says so after three seconds with a
/// 504; or the Secret is in no cache, because it has been created this moment.
#[tokio::test]
async fn what_the_cache_of_the_api_server_cannot_answer_is_read_live() {
    for cached in [StatusCode::NOT_FOUND, StatusCode::GATEWAY_TIMEOUT] {
        let (api_server, asked) = lagging(cached);
        let (context, _woken) = context_with(api_server);
        let (run, secret) = (run(&context, "good"), Key::new("shop", "good"));
        let read = async || run.read(&secret).await.map(|read| read.resource_version());
        // Nothing is known of it, so there is no version to ask for.
        assert_eq!(read().await.unwrap().as_deref(), Some("8"));
        context.secrets.seen(&secret, &SecretVersion { uid: "s".to_owned(), resource_version: "7".to_owned() });
        assert_eq!(read().await.unwrap().as_deref(), Some("8"));
        assert_eq!(*asked.lock().unwrap(), ["live", "cached", "live"], "after {cached}");
    }
}

/// A 403 is for the record of refusals; a live read would only meet it again.
#[tokio::test]
async fn a_read_that_is_forbidden_is_not_read_live() {
    let (api_server, asked) = lagging(StatusCode::FORBIDDEN);
    let (context, _woken) = context_with(api_server);
    let secret = Key::new("shop", "good");
    context.secrets.seen(&secret, &SecretVersion { uid: "s".to_owned(), resource_version: "7".to_owned() });
    assert!(matches!(run(&context, "good").read(&secret).await, Err(ApiFailure::Forbidden)));
    assert_eq!(*asked.lock().unwrap(), ["cached"]);
}

/// Each call in flight is a connection of its own, with its buffers.
#[tokio::test(start_paused = true)]
async fn no_more_secrets_are_read_at_once_than_there_are_turns() {
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, seen) = (at_once.clone(), most.clone());
    let api_server = Router::new().fallback(move || {
        let (now, seen) = (now.clone(), seen.clone());
        async move {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            failure(StatusCode::NOT_FOUND)
        }
    });
    let (context, _woken) = context_with(api_server);
    let secret = Key::new("shop", "good");
    for turns in [1, 3] {
        most.store(0, Ordering::SeqCst);
        let runs: Vec<_> = (0..6).map(|_| run(&context, "good")).collect();
        futures::future::join_all(runs.iter().map(|run| run.read(&secret))).await;
        assert_eq!((most.load(Ordering::SeqCst), at_once.load(Ordering::SeqCst)), (turns, 0));
        context.reads.add_permits(2);
    }
}
