//! The three watches. Each has a backoff of its own, so that one that is refused delays no other, and keeps what it
//! is about up to date before anything is woken.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, reflector, watcher as watch};
use kube::{Api, ResourceExt};

use super::Context;
use super::failure::ApiFailure;
use super::key::Key;
use super::object::Integration;
use super::secrets::version_of;
use super::watching::told;
use crate::api::Partner;
use crate::health::Reporter;

/// Between the tries of a watch that fails: doubling from the first to the last, each with up to as much again at random.
///
/// Not kube's own. That begins anew with every `Ok`, and every list begins with one (`Event::Init`), so a list that is
/// refused would be tried, and complained about, every second; and after an outage, what an API server that is back
/// answers first makes it wait for another half a minute.
struct Pauses {
    next: Duration,
    last_error: Option<Instant>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(800);
    const LAST: Duration = Duration::from_secs(10);
    /// After so long without an error it begins anew.
    const CALM: Duration = Duration::from_mins(1);

    fn new() -> Self {
        Self { next: Self::FIRST, last_error: None }
    }

    fn after(&mut self, failure: ApiFailure) -> Duration {
        if self.last_error.replace(Instant::now()).is_none_or(|at| at.elapsed() > Self::CALM) {
            self.next = Self::FIRST;
        }
        // "Too old, list anew", and "come again in a second": it is there.
        let soon = matches!(failure, ApiFailure::Refused(410 | 429));
        let pause = if soon { Self::FIRST } else { self.next };
        self.next = (self.next * 2).min(Self::LAST);
        pause.mul_f64(1.0 + rand::random::<f64>())
    }
}

/// What a watch shows, begun anew with a list where the API server says, before it begins, that its version is too old, or
/// that there is no such kind: a CRD that comes again has none of the objects that were seen. kube does so only where that
/// is said in the midst of a watch, and otherwise asks for the same version without end.
fn watched<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    futures::stream::unfold(None, move |running| {
        let mut events = running.unwrap_or_else(|| watch(api.clone(), watcher::Config::default()).boxed());
        async move {
            let event = events.next().await?;
            let too_old = matches!(&event, Err(watcher::Error::WatchStartFailed(error))
                if matches!(ApiFailure::from(error), ApiFailure::Refused(410) | ApiFailure::NotFound));
            Some((event, (!too_old).then_some(events)))
        }
    })
}

/// Events of one kind, without end. Errors are reported and waited out here; no listener sees them.
fn events<K>(api: Api<K>, reporter: Reporter) -> impl Stream<Item = Event<K>> + Send
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let mut pauses = Pauses::new();
    let events = watched(api).then(move |event| {
        let mut pause = None;
        match &event {
            Ok(Event::InitDone) => reporter.listed(),
            Ok(Event::Apply(_) | Event::Delete(_) | Event::InitApply(_)) => reporter.works(),
            // It stands before the first request of a list, which may still be refused.
            Ok(Event::Init) => {}
            Err(error) => {
                let (verb, failure) = failed(error);
                reporter.failed(explain(verb, failure));
                pause = Some(pauses.after(failure));
            }
        }
        async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            event.ok()
        }
    });
    events.filter_map(std::future::ready)
}

/// What failed, and how.
fn failed(error: &watcher::Error) -> (&'static str, ApiFailure) {
    match error {
        watcher::Error::InitialListFailed(error) => ("list", ApiFailure::from(error)),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            ("watch", ApiFailure::from(error))
        }
        watcher::Error::WatchError(status) => ("watch", ApiFailure::from(&**status)),
        watcher::Error::NoResourceVersion => ("list", ApiFailure::Unknown("an answer without resourceVersion")),
    }
}

/// The same in words that say what to do.
fn explain(verb: &str, failure: ApiFailure) -> String {
    match failure {
        ApiFailure::Forbidden => format!("{verb}: {failure}; grant the operator {verb} on it"),
        ApiFailure::NotFound => format!("{verb}: {failure}; install the CRDs"),
        ApiFailure::Refused(401) => {
            format!("{verb}: unauthorized (401); the operator's token is not accepted: has it expired?")
        }
        failure => format!("{verb}: {failure}"),
    }
}

/// The objects that a watch shows as changed; those of a list are told apart, see there.
pub fn changes<K: Send>(events: impl Stream<Item = Event<K>> + Send) -> impl Stream<Item = watcher::Result<K>> + Send {
    events.filter_map(|event| {
        std::future::ready(match event {
            Event::Apply(object) => Some(Ok(object)),
            Event::Delete(_) | Event::Init | Event::InitApply(_) | Event::InitDone => None,
        })
    })
}

/// Keeps a store of what a watch shows.
pub fn kept<K>(
    events: impl Stream<Item = Event<K>> + Send,
    writer: reflector::store::Writer<K>,
) -> impl Stream<Item = Event<K>> + Send
where
    K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    events.map(Ok).reflect(writer).filter_map(|event: watcher::Result<_>| std::future::ready(event.ok()))
}

/// The objects of one kind, of one namespace or of all, for a watch that reports there.
fn within<K>(context: &Context, namespace: Option<&str>, reporter: &Reporter) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let client = told(&context.client, reporter.clone());
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// The objects of the integrations' watch, of one namespace or of all, after the tracker knows of each.
pub fn integrations(
    context: Arc<Context>,
    namespace: Option<Arc<str>>,
    reporter: Reporter,
) -> impl Stream<Item = Event<Integration>> + Send {
    let api: Api<Integration> = within(&context, namespace.as_deref(), &reporter);
    let mut listed = HashSet::new();
    events(api, reporter).map(move |event| {
        match &event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(Key::of(object));
                seen(&context, object);
            }
            Event::InitDone => {
                context.tracker.retain(namespace.as_deref(), &listed);
                // Not one by one as they are listed: the store has them only from now on.
                for key in listed.drain() {
                    context.wake(key);
                }
                // Also those that nobody names any more.
                context.wake_partners();
            }
            Event::Apply(object) => seen(&context, object),
            Event::Delete(object) => context.tracker.forget(&Key::of(object)),
        }
        context.recount.notify_one();
        event
    })
}

fn seen(context: &Context, object: &Integration) {
    match object.readable() {
        Some(integration) => context.tracker.seen(integration),
        None => context.tracker.forget(&Key::of(object)),
    }
}

/// The objects of the partners' watch, after the catalogue knows of each and whoever names it has been woken.
pub fn partners(
    context: Arc<Context>,
    reporter: Reporter,
) -> impl Stream<Item = Event<DeserializeGuard<Partner>>> + Send {
    let api = Api::<DeserializeGuard<Partner>>::all(told(&context.client, reporter.clone()));
    let mut listed = HashSet::new();
    events(api, reporter).map(move |event| {
        let event = event.modify(|partner| {
            if let Ok(partner) = &mut partner.0 {
                partner.metadata.managed_fields = None;
                partner.metadata.annotations = None;
            }
        });
        let mut changed = Vec::new();
        match &event {
            Event::Init => listed.clear(),
            Event::InitApply(partner) => {
                listed.insert(partner.name_any());
                changed.extend(context.catalogue.shown(partner).then(|| partner.name_any()));
            }
            Event::InitDone => {
                changed.extend(context.catalogue.retain(&std::mem::take(&mut listed)));
                // Not one by one as they are listed: the store has them only from now on.
                context.wake_partners();
            }
            Event::Apply(partner) => changed.extend(context.catalogue.shown(partner).then(|| partner.name_any())),
            Event::Delete(partner) => {
                context.catalogue.forget(&partner.name_any());
                changed.push(partner.name_any());
            }
        }
        for key in changed.iter().flat_map(|name| context.tracker.of_partner(name)) {
            context.wake(key);
        }
        event
    })
}

/// Follows the Secrets, as metadata. Only those that some integration names are kept, and wake it.
pub async fn secrets(context: Arc<Context>, namespace: Option<Arc<str>>, reporter: Reporter) {
    let api: Api<PartialObjectMeta<Secret>> = within(&context, namespace.as_deref(), &reporter);
    let mut listed = HashSet::new();
    let mut events = std::pin::pin!(events(api, reporter));
    while let Some(event) = events.next().await {
        let changed = match event {
            Event::Init => {
                listed.clear();
                Vec::new()
            }
            Event::InitApply(secret) => {
                let key = Key::of(&secret);
                binding_seen(&context, &key, &secret);
                let kept = context.tracker.names_secret(&key) || context.bindings.knows(&key);
                listed.extend(kept.then(|| key.clone()));
                changed(&context, key, &secret)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut listed);
                for (binding, owners) in context.bindings.retain(namespace.as_deref(), &listed) {
                    binding_changed(&context, &binding, owners);
                }
                context.secrets.retain(namespace.as_deref(), &listed)
            }
            Event::Apply(secret) => {
                let key = Key::of(&secret);
                binding_seen(&context, &key, &secret);
                changed(&context, key, &secret)
            }
            Event::Delete(secret) => {
                let (key, last) = (Key::of(&secret), version_of(&secret));
                if let Some(owners) = context.bindings.deleted(&key, &last) {
                    binding_changed(&context, &key, owners);
                }
                Vec::from_iter(context.secrets.deleted(&key, &last).then_some(key))
            }
        };
        for key in changed.iter().flat_map(|secret| context.tracker.of_secret(secret)) {
            context.wake(key);
        }
    }
}

/// Keeps what is a binding, or would be one if it were not somebody else's.
fn binding_seen(context: &Context, key: &Key, secret: &PartialObjectMeta<Secret>) {
    if let Some(owners) = context.bindings.seen(key, &secret.metadata, context.tracker.names_binding(key)) {
        binding_changed(context, key, owners);
    }
}

/// Wakes whoever names a binding or owns it.
fn binding_changed(context: &Context, secret: &Key, owners: Vec<Key>) {
    for key in context.tracker.binding_changed(secret).into_iter().chain(owners) {
        context.wake(key);
    }
}

fn changed(context: &Context, key: Key, secret: &PartialObjectMeta<Secret>) -> Vec<Key> {
    if context.tracker.names_secret(&key) {
        return Vec::from_iter(context.secrets.seen(&key, &version_of(secret)).then_some(key));
    }
    context.secrets.forget(&key);
    Vec::new()
}

#[cfg(test)]
mod tests;
