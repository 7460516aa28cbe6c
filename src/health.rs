//! Whether the operator is ready, in words: which watch has not listed yet, and which is refused; whether the Lease can be
//! looked at; which other call met a 403. To stand by is no obstacle.

mod refused;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use refused::Refused;
pub use refused::Right;

/// A watch that failed and has shown nothing since counts as failing for this long. A watch that resumes is silent
/// until something changes, while one that is refused fails again within the longest backoff of 20 s.
const FAILING_FOR: Duration = Duration::from_secs(45);

/// The state of every watch, of the Lease and of the rights that were found to be missing, as `/readyz` tells it.
#[derive(Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Entry>>>,
    refused: Arc<Refused>,
}

struct Entry {
    /// What is waited for before it works for the first time.
    first: &'static str,
    /// For how long a failure counts, if nothing more is heard.
    fails_for: Duration,
    listed: bool,
    failed: Option<(Instant, String)>,
    settled: watch::Sender<bool>,
}

/// One watch's own view of the board.
#[derive(Clone)]
pub struct Reporter {
    health: Health,
    name: &'static str,
}

impl Health {
    /// Puts a watch on the board; until it has listed, the operator is not ready.
    #[must_use]
    pub fn watch(&self, name: &'static str) -> Reporter {
        self.part(name, "the first list", FAILING_FOR)
    }

    /// Puts the Lease on the board: an instance that cannot look at it could not take over. It says of each try how it
    /// ended, so a failure counts until one succeeds.
    #[must_use]
    pub fn lease(&self) -> Reporter {
        self.part("lease", "the first look", Duration::MAX)
    }

    fn part(&self, name: &'static str, first: &'static str, fails_for: Duration) -> Reporter {
        let settled = watch::Sender::default();
        self.entries().entry(name).or_insert(Entry { first, fails_for, listed: false, failed: None, settled });
        Reporter { health: self.clone(), name }
    }

    /// What stands in the way, a line each; empty when ready.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let entries = self.entries();
        if entries.is_empty() {
            return vec!["starting".to_owned()];
        }
        let parts = entries.iter().filter_map(|(name, entry)| match (&entry.failed, entry.listed) {
            (Some((at, words)), true) if at.elapsed() < entry.fails_for => Some(format!("{name}: {words}")),
            (Some((_, words)), false) => Some(format!("{name}: {words}")),
            (None, false) => Some(format!("{name}: waiting for {}", entry.first)),
            (_, true) => None,
        });
        parts.chain(self.refused.lines(Instant::now())).collect()
    }

    /// A call that needs this right, in this namespace or, where it is empty, in the cluster, was answered with 403.
    /// It is an obstacle until [`granted`](Self::granted), or until none has been refused for a quarter of an hour. It is logged when it is new, and from time to time while it lasts.
    pub fn refused(&self, right: Right, namespace: &str) {
        if self.refused.add(right, namespace, Instant::now()) {
            let Right { verb, resource, group } = right;
            tracing::warn!(
                verb,
                resource,
                group,
                namespace,
                "forbidden (403); grant the operator {verb} on {resource}"
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

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Entry>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    /// The watch shows something: it works.
    pub fn works(&self) {
        if let Some(entry) = self.health.entries().get_mut(self.name) {
            entry.failed = None;
        }
    }

    /// The watch has listed everything.
    pub fn listed(&self) {
        if let Some(entry) = self.health.entries().get_mut(self.name) {
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
        if let Some(entry) = self.health.entries().get_mut(self.name) {
            entry.failed = Some((Instant::now(), words));
            entry.settled.send_replace(true);
        }
    }

    /// Returns once the watch has listed, or failed for the first time: one that is refused must not hold the others.
    pub async fn settled(&self) {
        let receiver = self.health.entries().get(self.name).map(|entry| entry.settled.subscribe());
        if let Some(mut receiver) = receiver {
            // The sender lives as long as the board, so this cannot fail while anybody can still ask.
            let _ = receiver.wait_for(|settled| *settled).await;
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn a_refused_watch_counts_as_settled() {
        let health = Health::default();
        let secrets = health.watch("secrets");
        secrets.failed("list is refused".to_owned());
        tokio::time::timeout(Duration::from_secs(1), secrets.settled()).await.unwrap();
    }
}
