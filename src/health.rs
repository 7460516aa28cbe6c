//! Whether the operator is ready, in words: which watch has not listed yet, and which is refused; whether the Lease can be
//! looked at; which other call met a 403. To stand by is no obstacle.

mod refused;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use refused::Refused;
pub use refused::Right;

/// The state of every watch, of the Lease and of the rights that were found to be missing, as `/readyz` tells it.
#[derive(Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Entry>>>,
    refused: Arc<Refused>,
}

struct Entry {
    /// What is watched; one entry for each namespace may be about the same.
    kind: &'static str,
    /// The namespace that it is about, of several.
    namespace: Option<String>,
    /// What is waited for before it works for the first time.
    first: &'static str,
    listed: bool,
    /// How the last try failed, until one succeeds.
    failed: Option<String>,
    settled: watch::Sender<bool>,
}

/// One watch's own view of the board.
#[derive(Clone)]
pub struct Reporter {
    health: Health,
    name: String,
}

impl Entry {
    fn problem(&self) -> Option<String> {
        match (&self.failed, self.listed) {
            (Some(words), _) => Some(words.clone()),
            (None, false) => Some(format!("waiting for {}", self.first)),
            (None, true) => None,
        }
    }

    fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }
}

impl Health {
    /// Puts a watch on the board; until it has listed, the operator is not ready.
    #[must_use]
    pub fn watch(&self, name: &'static str) -> Reporter {
        self.part(name, None, "the first list")
    }

    /// The same for one of several namespaces: once it has been refused, it is no obstacle as long as another one works.
    #[must_use]
    pub fn watch_in(&self, name: &'static str, namespace: &str) -> Reporter {
        self.part(name, Some(namespace), "the first list")
    }

    /// Puts the Lease on the board: an instance that cannot look at it could not take over.
    #[must_use]
    pub fn lease(&self) -> Reporter {
        self.part("lease", None, "the first look")
    }

    fn part(&self, kind: &'static str, namespace: Option<&str>, first: &'static str) -> Reporter {
        let name = namespace.map_or_else(|| kind.to_owned(), |namespace| format!("{kind} in {namespace}"));
        let (namespace, settled) = (namespace.map(str::to_owned), watch::Sender::default());
        let entry = Entry { kind, namespace, first, listed: false, failed: None, settled };
        self.entries().entry(name.clone()).or_insert(entry);
        Reporter { health: self.clone(), name }
    }

    /// What stands in the way, a line each; empty when ready.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let entries = self.entries();
        if entries.is_empty() {
            return vec!["starting".to_owned()];
        }
        let now = Instant::now();
        let rights = self.refused.lines(now, |namespace| !self.can_miss(&entries, namespace, now));
        problems(&entries, false).into_iter().chain(rights).collect()
    }

    /// What is not served although the operator is ready, a line each: of several namespaces those that are refused.
    #[must_use]
    pub fn unserved(&self) -> Vec<String> {
        let (entries, now) = (self.entries(), Instant::now());
        let rights = self.refused.lines(now, |namespace| self.can_miss(&entries, namespace, now));
        problems(&entries, true).into_iter().chain(rights).collect()
    }

    /// Whether rights may be missing in a namespace: it is one of several, and another one is served in full.
    fn can_miss(&self, entries: &BTreeMap<String, Entry>, namespace: &str, now: Instant) -> bool {
        let missing = self.refused.all(now);
        let whole = |other: &str| missing.iter().all(|(_, lacks)| lacks != other);
        let serves = |entry: &Entry| {
            let other = entry.namespace.as_deref().filter(|other| *other != namespace);
            other.is_some_and(|other| whole(other) && entry.problem().is_none())
        };
        entries.values().any(|entry| entry.namespace.as_deref() == Some(namespace)) && entries.values().any(serves)
    }

    /// A call that needs this right, in this namespace or, where it is empty, in the cluster, was answered with 403.
    /// It is an obstacle until [`granted`](Self::granted), or until none has been refused for a quarter of an hour. It is logged when it is new, and from time to time while it lasts.
    pub fn refused(&self, right: Right, namespace: &str) {
        if self.refused.add(right, namespace, Instant::now()) {
            let Right { verb, resource, group } = right;
            let place = if group.is_empty() { String::new() } else { format!(" in {group}") };
            tracing::warn!(
                verb,
                resource,
                namespace,
                "forbidden (403); grant the operator {verb} on {resource}{place}"
            );
        }
    }

    /// The rights that are missing, each with a namespace, in no certain order.
    #[must_use]
    pub fn missing(&self) -> Vec<(Right, String)> {
        self.refused.all(Instant::now())
    }

    /// Such a call was let through, or would be.
    pub fn granted(&self, right: Right, namespace: &str) {
        if self.refused.remove(right, namespace) {
            let Right { verb, resource, group } = right;
            tracing::info!(verb, resource, group, namespace, "the operator may {verb} {resource} again");
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with those that may be missed, or with the others.
fn problems(entries: &BTreeMap<String, Entry>, may_be_missed: bool) -> Vec<String> {
    let works = |kind| entries.values().any(|entry| entry.kind == kind && entry.problem().is_none());
    let can_be_missed = |entry: &Entry| entry.namespace.is_some() && entry.is_settled() && works(entry.kind);
    let told = entries.iter().filter(|(_, entry)| can_be_missed(entry) == may_be_missed);
    told.filter_map(|(name, entry)| Some(format!("{name}: {}", entry.problem()?))).collect()
}

impl Reporter {
    /// The watch has begun, or shows something: it works.
    pub fn works(&self) {
        if let Some(entry) = self.health.entries().get_mut(&self.name) {
            entry.failed = None;
        }
    }

    /// The watch has listed everything.
    pub fn listed(&self) {
        if let Some(entry) = self.health.entries().get_mut(&self.name) {
            entry.listed = true;
            entry.failed = None;
            entry.settled.send_replace(true);
        }
    }

    /// The watch failed; `words` say how, and what to do. It is logged too.
    pub fn failed(&self, words: String) {
        tracing::warn!(watch = self.name, words, "a watch failed; trying again");
        self.fails(words);
    }

    /// The same for who logs it in a way of its own.
    pub fn fails(&self, words: String) {
        if let Some(entry) = self.health.entries().get_mut(&self.name) {
            entry.failed = Some(words);
            entry.settled.send_replace(true);
        }
    }

    /// Whether the watch has listed, or failed for the first time.
    pub fn is_settled(&self) -> bool {
        self.health.entries().get(&self.name).is_some_and(Entry::is_settled)
    }

    /// Returns once the watch has listed, or failed for the first time: one that is refused must not hold the others.
    pub async fn settled(&self) {
        let receiver = self.health.entries().get(&self.name).map(|entry| entry.settled.subscribe());
        if let Some(mut receiver) = receiver {
            // The sender lives as long as the board, so this cannot fail while anybody can still ask.
            let _ = receiver.wait_for(|settled| *settled).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_is_ready_before_every_watch_has_listed() {
        let health = Health::default();
        assert_eq!(health.obstacles(), ["starting"]);
        let (partners, secrets) = (health.watch("partners"), health.watch("secrets"));
        partners.listed();
        assert_eq!(health.obstacles(), ["secrets: waiting for the first list"]);
        secrets.failed("list is refused".to_owned());
        assert_eq!(health.obstacles(), ["secrets: list is refused"]);
        secrets.listed();
        assert!(health.obstacles().is_empty());
    }

    #[test]
    fn a_watch_that_fails_later_is_named_until_it_works_again() {
        let health = Health::default();
        let partners = health.watch("partners");
        partners.listed();
        partners.failed("watch is refused".to_owned());
        assert_eq!(health.obstacles(), ["partners: watch is refused"]);
        partners.works();
        assert!(health.obstacles().is_empty());
    }

    #[test]
    fn a_lease_that_cannot_be_looked_at_is_named_until_it_can() {
        let health = Health::default();
        let lease = health.lease();
        assert_eq!(health.obstacles(), ["lease: waiting for the first look"]);
        lease.listed();
        assert!(health.obstacles().is_empty());
        lease.fails("get: forbidden (403)".to_owned());
        assert_eq!(health.obstacles(), ["lease: get: forbidden (403)"]);
        lease.listed();
        assert!(health.obstacles().is_empty());
    }

    #[test]
    fn of_several_namespaces_a_refused_one_is_told_and_is_no_obstacle_while_another_works() {
        let health = Health::default();
        let (refused, slow) = (health.watch_in("secrets", "refused"), health.watch_in("secrets", "slow"));
        refused.failed("list is refused".to_owned());
        assert_eq!(
            health.obstacles(),
            ["secrets in refused: list is refused", "secrets in slow: waiting for the first list"]
        );
        assert!(!slow.is_settled() && refused.is_settled());
        slow.listed();
        assert!(health.obstacles().is_empty());
        assert_eq!(health.unserved(), ["secrets in refused: list is refused"]);
        slow.failed("the API server is away".to_owned());
        assert_eq!(health.obstacles().len(), 2, "none of them works");
        slow.works();
        refused.listed();
        assert!(health.obstacles().is_empty() && health.unserved().is_empty());
    }

    #[test]
    fn a_right_that_is_missing_in_one_of_several_namespaces_is_told_and_no_obstacle_while_another_is_whole() {
        let health = Health::default();
        for name in ["a", "b"] {
            health.watch_in("secrets", name).listed();
        }
        let line = |places| format!("secrets: get: forbidden (403){places}; grant the operator get on it");
        health.refused(Right::GET_SECRETS, "a");
        assert_eq!((health.obstacles(), health.unserved()), (vec![], vec![line(" in a")]));
        health.refused(Right::GET_SECRETS, "b");
        assert_eq!((health.obstacles(), health.unserved()), (vec![line(" in a, b")], vec![]));
        health.granted(Right::GET_SECRETS, "b");
        health.refused(Right::GET_PARTNERS, "");
        assert_eq!(health.obstacles(), ["partners: get: forbidden (403); grant the operator get on it"]);
        assert_eq!(health.unserved(), [line(" in a")]);
    }

    #[tokio::test]
    async fn a_refused_watch_counts_as_settled() {
        let health = Health::default();
        let secrets = health.watch("secrets");
        secrets.failed("list is refused".to_owned());
        tokio::time::timeout(Duration::from_secs(1), secrets.settled()).await.unwrap();
    }
}
