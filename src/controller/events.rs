//! Events, behind status writes and on a best-effort basis: a reconcile hands one over and goes on. What does not fit, or is
//! refused, is dropped and counted.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as Written;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Resource};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Context;
use super::failure::ApiFailure;
use super::refusals::BELIEVED_AFTER;
use crate::api::PartnerIntegration;
use crate::core::Event;
use crate::health::Right;
use crate::metrics::Metrics;
use crate::telemetry::Cause;

/// Who reports, in every Event.
const CONTROLLER: &str = "integrations.kognitiv.com/partner-integration-operator";
/// Events that wait at most: at the pace below those of most of a minute. What comes later is old news.
const WAITING: usize = 1000;
/// So many at once,
const BURST: u32 = 100;
/// and then one each 50 ms: 20 a second.
const EVERY: Duration = Duration::from_millis(50);
/// While statuses are written without a pause an Event comes this late, and so one each second: when thousands of integrations
/// change at once, an Event costs the API server as much as the status of one more, which somebody waits for.
const BEHIND: Duration = Duration::from_secs(1);

/// An Event that waits to be written.
pub struct Told {
    partner: String,
    regarding: ObjectReference,
    event: Event,
    at: Timestamp,
    cause: Cause,
}

/// Where reconciles leave their Events.
pub struct Events {
    queue: mpsc::Sender<Told>,
    metrics: Metrics,
}

impl Events {
    /// An empty queue, and its other end, for [`write()`].
    pub fn new(metrics: Metrics) -> (Self, mpsc::Receiver<Told>) {
        let (queue, told) = mpsc::channel(WAITING);
        (Self { queue, metrics }, told)
    }

    /// Takes an Event of an integration, if there is room. Never waits.
    pub fn tell(&self, integration: &PartnerIntegration, event: Event) {
        let partner = integration.spec.partner.clone();
        let (at, cause) = (Timestamp::now(), Cause::current());
        let told = Told { partner, regarding: integration.object_ref(&()), event, at, cause };
        if self.queue.try_send(told).is_err() {
            self.metrics.event_dropped();
        }
    }
}

/// Writes what reconciles have told, one after the other, at its pace and behind status writes, while this
/// process is in office.
pub async fn write(context: Arc<Context>, mut told: mpsc::Receiver<Told>) {
    let instance = crate::lease::identity();
    let mut pace = Pace::default();
    // Namespaces in which the latest one was not written.
    let mut refused = HashSet::new();
    while let Some(told) = told.recv().await {
        tokio::time::sleep(pace.wait(Instant::now())).await;
        context.status_writes.lull(BEHIND).await;
        let Some(term) = context.office.term() else {
            context.metrics.event_dropped();
            continue;
        };
        let namespace = told.regarding.namespace.clone().unwrap_or_default();
        let api = Api::<Written>::namespaced(context.client.clone(), &namespace);
        context.metrics.writes("Event", "create");
        let (params, event) = (PostParams::default(), written(&told, &instance));
        let create = || {
            let call = context.call(Right::CREATE_EVENTS, &namespace, api.create(&params, &event));
            told.cause.of(context.office.during(term, call))
        };
        let mut answer = create().await;
        if answer == Some(Err(ApiFailure::Forbidden)) && !refused.contains(&namespace) {
            // As with Secrets: believed once it has lasted.
            tokio::time::sleep(BELIEVED_AFTER).await;
            context.metrics.writes("Event", "create");
            answer = create().await;
        }
        let Some(answer) = answer else {
            context.metrics.event_dropped();
            continue;
        };
        let Err(failure) = answer else {
            refused.remove(&namespace);
            continue;
        };
        context.metrics.event_dropped();
        // The first of a row says it all.
        if refused.insert(namespace.clone()) {
            let (_named, name) = (told.cause.enter(), told.regarding.name);
            tracing::warn!(namespace, name, partner = told.partner, %failure, "an Event was not written");
        }
    }
}

fn written(told: &Told, instance: &str) -> Written {
    let Told { partner: _, regarding, event, at, cause: _ } = told;
    let name = regarding.name.as_deref().unwrap_or_default();
    Written {
        metadata: ObjectMeta {
            name: Some(unique(name, rand::random())),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(*at)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        action: Some(event.reason.action().to_owned()),
        reason: Some(event.reason.as_str().to_owned()),
        note: Some(event.note.clone()),
        type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
        regarding: Some(regarding.clone()),
        ..Written::default()
    }
}

/// A name of its own for an Event of this object: what kubectl and client-go do, with a random number for the time.
fn unique(object: &str, number: u64) -> String {
    // An object's name has 253 characters at most, all of them ASCII, and so has an Event's.
    let start = &object[..object.floor_char_boundary(253 - 17)];
    format!("{}.{number:016x}", start.trim_end_matches(['.', '-']))
}

/// A pace: a burst, and then one each [`EVERY`].
#[derive(Default)]
struct Pace {
    /// When all that was let through would be done at the slow pace.
    done: Option<Instant>,
}

impl Pace {
    /// How long the next one has to wait, and counts it.
    fn wait(&mut self, now: Instant) -> Duration {
        let done = self.done.map_or(now, |done| done.max(now));
        self.done = Some(done + EVERY);
        done.duration_since(now).saturating_sub(EVERY * (BURST - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Format;

    fn integration() -> PartnerIntegration {
        let spec = serde_json::from_value(serde_json::json!({"partner": "datadog"})).unwrap();
        let mut integration = PartnerIntegration::new("datadog", spec);
        integration.metadata.namespace = Some("shop".to_owned());
        integration.metadata.uid = Some("uid-1".to_owned());
        integration
    }

    fn event() -> Event {
        Event { reason: crate::core::EventReason::Connected, note: "It is.".to_owned(), warning: false }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
        let metrics = Metrics::new(true);
        let (events, told) = Events::new(metrics.clone());
        for _ in 0..WAITING + 7 {
            events.tell(&integration(), event());
        }
        assert_eq!(told.len(), WAITING);
        let text = metrics.expose(Format::OpenMetrics);
        assert!(text.contains("\npartner_integration_events_dropped_total 7\n"), "{text}");
    }

    #[test]
    fn a_hundred_go_at_once_and_then_twenty_a_second() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let began = now;
        let mut at = Vec::new();
        for _ in 0..300 {
            now += pace.wait(now);
            at.push(now - began);
        }
        assert!(at[..100].iter().all(Duration::is_zero));
        assert_eq!(at[100..120], [(); 20].map(|()| ()).iter().zip(1u32..).map(|((), n)| EVERY * n).collect::<Vec<_>>());
        assert_eq!(at[299], Duration::from_secs(10));
        // After a rest of a second there is room for twenty.
        now += Duration::from_secs(1);
        let rested = now;
        for _ in 0..20 {
            now += pace.wait(now);
        }
        assert_eq!(now, rested);
        assert_eq!(pace.wait(now), EVERY);
    }

    #[test]
    fn an_event_says_what_events_k8s_io_asks_for() {
        let (events, mut told) = Events::new(Metrics::new(true));
        events.tell(&integration(), event());
        let mut written = written(&told.try_recv().unwrap(), "pod_1");
        written.event_time = None;
        written.metadata.name = None;
        insta::assert_yaml_snapshot!(written);
    }

    #[test]
    fn the_name_of_an_event_is_a_valid_one_whatever_the_name_of_the_object() {
        assert_eq!(unique("datadog", 1), "datadog.0000000000000001");
        let table = ["a".repeat(253), format!("{}.b", "a".repeat(235)), format!("{}-.b", "a".repeat(234))];
        for name in table {
            let unique = unique(&name, u64::MAX);
            assert!(unique.len() <= 253 && unique.ends_with("a.ffffffffffffffff"), "{unique}");
        }
    }
}
