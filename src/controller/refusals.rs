//! Which Secrets the API server refuses, and since when.
//!
//! One that has just started answers everything with 403 until it has read the roles. That must disconnect nobody, so a
//! 403 is believed once it has lasted. No watch tells of a right that was granted, so it is looked for while Secrets are
//! refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::Context;
use super::failure::ApiFailure;
use super::key::Key;
use crate::health::Right;

/// How long a 403 has to last.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(5);
/// What was refused last longer ago than this is looked at anew, and forgotten. Longer than the safety look.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// How often one Secret of each namespace is tried again, by a read of its metadata, up to as much again at random.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// In so many namespaces at most in one round.
const ROUND: usize = 20;

/// See the module.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<Key, Refused>>);

struct Refused {
    since: Instant,
    last: Instant,
}

impl Refusals {
    /// A read was answered with 403 `now`; whether that is to be believed.
    pub fn refused(&self, secret: &Key, now: Instant) -> bool {
        let mut refusals = self.lock();
        refusals.retain(|_, refused| now.duration_since(refused.last) < FORGOTTEN_AFTER);
        let refused = refusals.entry(secret.clone()).or_insert(Refused { since: now, last: now });
        refused.last = now;
        now.duration_since(refused.since) >= BELIEVED_AFTER
    }

    /// A read was answered with the Secret, or with its absence.
    pub fn answered(&self, secret: &Key) {
        self.lock().remove(secret);
    }

    /// One Secret in each of a few namespaces that has been refused, any of them.
    fn samples(&self, now: Instant) -> Vec<Key> {
        // The order of a map with a random state of its own would be the same in each round.
        let mut refusals = self.lock();
        refusals.retain(|_, refused| now.duration_since(refused.last) < FORGOTTEN_AFTER);
        let mut keys: Vec<(u64, Key)> = refusals.keys().map(|key| (rand::random(), key.clone())).collect();
        drop(refusals);
        keys.sort_unstable_by_key(|(draw, _)| *draw);
        let mut one_each = HashMap::new();
        for (_, key) in keys {
            one_each.entry(key.namespace.clone()).or_insert(key);
        }
        one_each.into_values().take(ROUND).collect()
    }

    /// Forgets the refusals of a namespace, and gives the Secrets.
    fn forgive(&self, namespace: &str) -> Vec<Key> {
        let mut refusals = self.lock();
        let keys: Vec<Key> = refusals.keys().filter(|key| &*key.namespace == namespace).cloned().collect();
        for key in &keys {
            refusals.remove(key);
        }
        keys
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While Secrets are refused, looks whether they still are, and has the integrations that name them looked at when one is
/// not. Else they would wait for the safety look, ten minutes.
pub async fn look_again(context: Arc<Context>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN.mul_f64(1.0 + rand::random::<f64>())).await;
        if !context.office.is_held() {
            continue;
        }
        for sample in context.refusals.samples(Instant::now()) {
            let api = Api::<Secret>::namespaced(context.client.clone(), &sample.namespace);
            let look = context.call(Right::GET_SECRETS, &sample.namespace, api.get_metadata(&sample.name));
            if !matches!(look.await, Ok(_) | Err(ApiFailure::NotFound)) {
                continue;
            }
            let secrets = context.refusals.forgive(&sample.namespace);
            for key in secrets.iter().flat_map(|secret| context.tracker.of_secret(secret)) {
                context.tracker.look_again(&key);
                context.wake(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_of_each_namespace_is_tried_again_and_all_of_it_are_forgiven() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let key = |namespace: usize, name: usize| Key::new(&format!("n{namespace}"), &format!("s{name}"));
        for (namespace, name) in (0..ROUND + 5).flat_map(|namespace| [(namespace, 0), (namespace, 1)]) {
            refusals.refused(&key(namespace, name), now);
        }
        let mut sampled: Vec<_> = refusals.samples(now).into_iter().map(|key| key.namespace).collect();
        sampled.sort();
        sampled.dedup();
        assert_eq!(sampled.len(), ROUND, "no namespace twice, and no more than a round");
        let mut forgiven = refusals.forgive("n3");
        forgiven.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(forgiven, [key(3, 0), key(3, 1)]);
        assert!(refusals.forgive("n3").is_empty());
    }

    #[test]
    fn a_403_is_believed_once_it_has_lasted_and_an_answer_begins_anew() {
        let (refusals, secret, start) = (Refusals::default(), Key::new("shop", "key"), Instant::now());
        assert!(!refusals.refused(&secret, start), "the first one");
        assert!(!refusals.refused(&secret, start + BELIEVED_AFTER / 2));
        assert!(refusals.refused(&secret, start + BELIEVED_AFTER), "it has lasted");
        assert!(refusals.refused(&secret, start + Duration::from_mins(10)), "the safety look");
        refusals.answered(&secret);
        assert!(!refusals.refused(&secret, start + Duration::from_mins(11)), "another one");
        assert!(!refusals.refused(&Key::new("shop", "other"), start + Duration::from_mins(11)), "of another Secret");
    }

    #[test]
    fn a_403_of_long_ago_is_forgotten() {
        let (refusals, secret, start) = (Refusals::default(), Key::new("shop", "key"), Instant::now());
        refusals.refused(&secret, start);
        assert!(!refusals.refused(&secret, start + FORGOTTEN_AFTER));
    }
}
