//! Which Secrets the API server refuses, and since when.
//!
//! One that has just started answers everything with 403 until it has read the roles. That must disconnect nobody, so a
//! 403 is believed once it has lasted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::key::Key;

/// How long a 403 has to last.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(5);
/// What was refused last longer ago than this is looked at anew, and forgotten. Longer than the safety look.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

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

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
