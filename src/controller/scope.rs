//! What one instance watches and writes: everything, or a few namespaces; Secrets with a watch or without.
//!
//! Each namespace has watches of its own, with a backoff of their own, so one that is refused, slow or not there delays no
//! other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt, stream};
use kube::runtime::watcher::Event;

use super::Context;
use super::key::Key;
use super::object::Integration;
use super::watches;
use crate::core::Counted;
use crate::health::{Health, Reporter};

/// How often versions of Secrets that nobody names any more are dropped where no watch says that they have gone.
const SWEEP: Duration = Duration::from_mins(10);

/// What an instance watches and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The namespaces whose integrations it looks after; all where the list is empty.
    pub namespaces: Vec<String>,
    /// Whether it writes the status of the partners.
    pub partner_status: bool,
    /// How it learns that a key has changed.
    pub secret_watch: SecretWatch,
}

/// How changes of Secrets are seen.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretWatch {
    /// At once, by a watch of their metadata.
    #[default]
    Metadata,
    /// When a check reads the key; nothing but `get` is used.
    None,
}

/// One of the places that are watched.
#[derive(Clone)]
pub struct Place {
    /// `None`: all namespaces.
    namespace: Option<Arc<str>>,
    integrations: Reporter,
    /// `None`: Secrets are not watched.
    secrets: Option<Reporter>,
}

impl Scope {
    /// The places that are watched, each put on the board of what readiness depends on.
    #[must_use]
    pub fn places(&self, health: &Health) -> Vec<Place> {
        let watches = self.secret_watch == SecretWatch::Metadata;
        if self.namespaces.is_empty() {
            let secrets = watches.then(|| health.watch("secrets"));
            return vec![Place { namespace: None, integrations: health.watch("partnerintegrations"), secrets }];
        }
        let place = |namespace: &String| Place {
            namespace: Some(namespace.as_str().into()),
            integrations: health.watch_in("partnerintegrations", namespace),
            secrets: watches.then(|| health.watch_in("secrets", namespace)),
        };
        self.namespaces.iter().map(place).collect()
    }

    /// Whether this instance sees every integration that names a partner.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.namespaces.is_empty()
    }
}

impl Context {
    /// Returns once the partners have been listed or refused: before, every look would be a live one. Gives whether the
    /// Secrets of this namespace have been, too; where not, its integrations are woken when they have. They are not waited
    /// for here, or one namespace could hold the places of all reconciles.
    pub async fn settled(&self, namespace: &str) -> bool {
        self.partners_listed.settled().await;
        let of = |place: &&Place| place.namespace.as_deref().is_none_or(|own| own == namespace);
        let secrets = self.places_watched.iter().find(of).and_then(|place| place.secrets.as_ref());
        secrets.is_none_or(Reporter::is_settled)
    }

    /// The integrations that name a partner, as far as this instance may speak of all.
    pub fn counted(&self, partner: &str) -> Counted {
        if self.scope.counts() { self.tracker.counts_of(partner) } else { Counted::Never }
    }
}

/// The integrations of all places, in one stream for one store.
pub fn integrations(context: &Arc<Context>) -> BoxStream<'static, Event<Integration>> {
    let watched = |place: &Place| {
        let events = watches::integrations(context.clone(), place.namespace.clone(), place.integrations.clone());
        (place.namespace.clone(), events)
    };
    let mut streams = Vec::new();
    for (namespace, events) in context.places_watched.iter().map(watched) {
        match namespace {
            None => return events.boxed(),
            Some(namespace) => streams.push(one_by_one(context.clone(), namespace, events).boxed()),
        }
    }
    // The store counts as filled at once: the first list of one namespace must not hold up another.
    stream::iter([Event::Init, Event::InitDone]).chain(select_all(streams)).boxed()
}

/// The list of one namespace as single changes, since a list replaces all that the store holds.
fn one_by_one(
    context: Arc<Context>,
    namespace: Arc<str>,
    events: impl Stream<Item = Event<Integration>> + Send,
) -> impl Stream<Item = Event<Integration>> + Send {
    let mut listed = HashSet::new();
    events.flat_map(move |event| {
        let changes = match event {
            Event::Init => {
                listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                listed.insert(Key::of(&object));
                vec![Event::Apply(object)]
            }
            Event::InitDone => gone(&context, &namespace, &std::mem::take(&mut listed)),
            Event::Apply(_) | Event::Delete(_) => vec![event],
        };
        stream::iter(changes)
    })
}

/// What the store still has of a namespace although a new list does not.
fn gone(context: &Context, namespace: &str, listed: &HashSet<Key>) -> Vec<Event<Integration>> {
    let objects = context.store.state();
    let missing = objects.iter().filter(|object| {
        let key = Key::of(&***object);
        key.is_within(Some(namespace)) && !listed.contains(&key)
    });
    missing.map(|object| Event::Delete((**object).clone())).collect()
}

/// Follows the Secrets of all places.
pub async fn secrets(context: Arc<Context>) {
    let follow = context.places_watched.iter().map(|place| secrets_of(context.clone(), place.clone()));
    futures::future::join(futures::future::join_all(follow), sweep(&context)).await;
}

async fn secrets_of(context: Arc<Context>, place: Place) {
    let Place { namespace, integrations, secrets } = place;
    let Some(reporter) = secrets else { return };
    // Which Secrets matter is known once the integrations have been listed.
    integrations.settled().await;
    let first = async {
        reporter.settled().await;
        for key in context.tracker.keys().into_iter().filter(|key| key.is_within(namespace.as_deref())) {
            context.wake(key);
        }
    };
    futures::future::join(first, watches::secrets(context.clone(), namespace.clone(), reporter.clone())).await;
}

async fn sweep(context: &Context) {
    if context.scope.secret_watch == SecretWatch::Metadata {
        return;
    }
    loop {
        tokio::time::sleep(SWEEP).await;
        context.secrets.forget_unless(|secret| context.tracker.names_secret(secret));
    }
}
