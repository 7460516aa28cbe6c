//! Calls that were answered with 403: which right they lack, and where.
//!
//! Watches and the Lease report for themselves; this is for what is noticed only when it is used.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was refused last longer ago than this counts no more. Longer than the safety look, after which what is refused is
/// tried again at the latest.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);
/// What stays refused is logged again after this long.
const REMIND: Duration = Duration::from_mins(5);
/// So many namespaces are named, the others counted.
const NAMED: usize = 3;

/// A right, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The resource's plural name, with its subresource.
    pub resource: &'static str,
    /// What is done to it.
    pub verb: &'static str,
    /// Its API group; empty for the core group.
    pub group: &'static str,
}

impl Right {
    /// To read the key of an integration.
    pub const GET_SECRETS: Self = Self { resource: "secrets", verb: "get", group: "" };
    /// To publish a binding.
    pub const CREATE_SECRETS: Self = Self { resource: "secrets", verb: "create", group: "" };
    /// To write a binding again.
    pub const UPDATE_SECRETS: Self = Self { resource: "secrets", verb: "update", group: "" };
    /// To withdraw a binding.
    pub const DELETE_SECRETS: Self = Self { resource: "secrets", verb: "delete", group: "" };
    /// To look whether a partner is really not in the catalogue.
    pub const GET_PARTNERS: Self = Self { resource: "partners", verb: "get", group: crate::api::GROUP };
    /// To list the catalogue at the beginning of a term in office.
    pub const LIST_PARTNERS: Self = Self { resource: "partners", verb: "list", group: crate::api::GROUP };
    /// To write what is found of a partner.
    pub const PATCH_PARTNERS: Self = Self { resource: "partners/status", verb: "patch", group: crate::api::GROUP };
    /// To look at an integration after a conflict.
    pub const GET_INTEGRATIONS: Self = Self { resource: "partnerintegrations", verb: "get", group: crate::api::GROUP };
    /// To write what is found of an integration.
    pub const PATCH_INTEGRATIONS: Self =
        Self { resource: "partnerintegrations/status", verb: "patch", group: crate::api::GROUP };
    /// To tell of a transition.
    pub const CREATE_EVENTS: Self = Self { resource: "events", verb: "create", group: "events.k8s.io" };

    /// Whether what it permits changes something.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

/// See the module.
#[derive(Default)]
pub struct Refused(Mutex<BTreeMap<Right, BTreeMap<String, Times>>>);

struct Times {
    last: Instant,
    logged: Instant,
}

impl Refused {
    /// A call was refused `now`; whether that is to be logged.
    pub fn add(&self, right: Right, namespace: &str, now: Instant) -> bool {
        let mut refused = self.lock();
        let namespaces = refused.entry(right).or_default();
        namespaces.retain(|_, times| now.duration_since(times.last) < FORGOTTEN_AFTER);
        if let Some(times) = namespaces.get_mut(namespace) {
            times.last = now;
            let remind = now.duration_since(times.logged) >= REMIND;
            times.logged = if remind { now } else { times.logged };
            return remind;
        }
        namespaces.insert(namespace.to_owned(), Times { last: now, logged: now });
        true
    }

    /// A call was let through; whether the one before had been refused.
    pub fn remove(&self, right: Right, namespace: &str) -> bool {
        self.lock().get_mut(&right).is_some_and(|namespaces| namespaces.remove(namespace).is_some())
    }

    /// What is missing `now`.
    pub fn all(&self, now: Instant) -> Vec<(Right, String)> {
        let refused = self.lock();
        let all = refused.iter().flat_map(|(right, namespaces)| {
            let current = namespaces.iter().filter(|(_, times)| now.duration_since(times.last) < FORGOTTEN_AFTER);
            current.map(|(name, _)| (*right, name.clone()))
        });
        all.collect()
    }

    /// A line for each right that is missing `now`, in the namespaces that are `asked` for.
    pub fn lines(&self, now: Instant, asked: impl Fn(&str) -> bool) -> Vec<String> {
        let all: Vec<_> = self.all(now).into_iter().filter(|(_, namespace)| asked(namespace)).collect();
        all.chunk_by(|a, b| a.0 == b.0).filter_map(words).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Right, BTreeMap<String, Times>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one right, in these places.
fn words(places: &[(Right, String)]) -> Option<String> {
    let Right { resource, verb, group: _ } = places.first()?.0;
    let named: Vec<&str> = places.iter().map(|(_, name)| name.as_str()).filter(|name| !name.is_empty()).collect();
    let place = match (named.is_empty(), named.len().saturating_sub(NAMED)) {
        (true, _) => String::new(),
        (false, 0) => format!(" in {}", named.join(", ")),
        (false, more) => format!(" in {} and {more} more", named[..NAMED].join(", ")),
    };
    Some(format!("{resource}: {verb}: forbidden (403){place}; grant the operator {verb} on it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_named_from_its_refusal_until_it_is_granted_or_long_not_asked_for() {
        let (refused, start) = (Refused::default(), Instant::now());
        assert!(refused.add(Right::CREATE_EVENTS, "shop", start), "news");
        assert!(!refused.add(Right::CREATE_EVENTS, "shop", start), "known");
        assert!(refused.add(Right::CREATE_EVENTS, "shop", start + REMIND), "a reminder");
        assert!(!refused.add(Right::CREATE_EVENTS, "shop", start + REMIND));
        refused.add(Right::PATCH_PARTNERS, "", start);
        let events = "events: create: forbidden (403) in shop; grant the operator create on it";
        let partners = "partners/status: patch: forbidden (403); grant the operator patch on it";
        assert_eq!(refused.lines(start, |_| true), [events, partners]);
        assert!(refused.remove(Right::PATCH_PARTNERS, ""), "it was missing");
        assert!(!refused.remove(Right::PATCH_PARTNERS, ""), "it is known not to be");
        assert_eq!(refused.lines(start + FORGOTTEN_AFTER, |_| true), [events], "refused once more since");
        assert!(refused.lines(start + REMIND + FORGOTTEN_AFTER, |_| true).is_empty());
    }

    #[test]
    fn a_few_namespaces_are_named_and_the_rest_is_counted() {
        let (refused, now) = (Refused::default(), Instant::now());
        for name in ["e", "d", "c", "b", "a"] {
            refused.add(Right::GET_SECRETS, name, now);
        }
        assert_eq!(
            refused.lines(now, |_| true),
            ["secrets: get: forbidden (403) in a, b, c and 2 more; grant the operator get on it"]
        );
    }
}
