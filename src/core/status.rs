//! The status of an integration as a whole: one draft, one way to finish it.

use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::binding::{After, judge};
use super::message::{Names, detail_of, sentence};
use super::{Class, Observed, PartnerSeen, Reason};
use crate::api::{Failing, PartnerIntegrationStatus, Phase, Verified};

/// Which status something began with, without keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of what is stored, or of its absence.
    #[must_use]
    pub fn of(status: Option<&PartnerIntegrationStatus>) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        // A status always serializes; were it ever not to, all would count as equal and the resourceVersion still guards.
        serde_json::to_vec(&status).unwrap_or_default().hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The reason that the condition Connected gives.
#[must_use]
pub fn connected_reason(status: &PartnerIntegrationStatus) -> Option<Reason> {
    find(&status.conditions, "Connected").and_then(|condition| Reason::parse(&condition.reason))
}

/// The reason that the condition Ready gives.
pub fn ready_reason(status: &PartnerIntegrationStatus) -> Option<Reason> {
    find(&status.conditions, "Ready").and_then(|condition| Reason::parse(&condition.reason))
}

/// The sentence that the condition Connected gives.
pub fn said(status: &PartnerIntegrationStatus) -> Option<&str> {
    find(&status.conditions, "Connected").map(|condition| condition.message.as_str())
}

/// The detail that Connected gives, if it is one that `reason` can have.
pub fn said_detail(status: &PartnerIntegrationStatus, reason: Reason) -> Option<String> {
    find(&status.conditions, "Connected").and_then(|condition| detail_of(reason, &condition.message))
}

/// A status before what all have in common is filled in.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What Connected says; Ready follows from it, and from the binding.
    pub reason: Reason,
    /// Whether the failure keeps it from being Available, too.
    pub phase: Phase,
    /// What follows the sentence of `reason`.
    pub detail: Option<String>,
    /// As the field.
    pub endpoint: Option<String>,
    /// As the field.
    pub verified: Option<Verified>,
    /// As the field.
    pub failing: Option<Failing>,
    /// As the field.
    pub handled: Option<String>,
}

impl Draft {
    /// The status that is stored, brought up to date with an edit that changes neither T nor its outcome.
    ///
    /// `endpoint` is the one of T, which is also the one that the outcome was about.
    pub fn kept(
        status: &PartnerIntegrationStatus,
        reason: Reason,
        endpoint: &str,
        seen: &Observed<'_>,
    ) -> PartnerIntegrationStatus {
        let draft = Self {
            reason,
            phase: status.phase,
            detail: said_detail(status, reason),
            endpoint: Some(endpoint.to_owned()),
            verified: status.verified.clone(),
            failing: status.failing.clone(),
            handled: status.last_handled_check_request.clone(),
        };
        draft.finish(seen)
    }

    /// The whole status, with nothing left over from the one before but the times of what did not flip.
    pub fn finish(self, seen: &Observed<'_>) -> PartnerIntegrationStatus {
        let spec = &seen.integration.spec;
        let partner_name = match seen.partner {
            PartnerSeen::Present(facts) => Some(facts.spec.display_name.clone()),
            PartnerSeen::Absent | PartnerSeen::Unreadable => None,
        };
        let names = Names {
            partner: partner_name.as_deref().unwrap_or(&spec.partner),
            region: spec.region.as_deref().unwrap_or_default(),
        };
        let generation = seen.integration.metadata.generation.unwrap_or_default();
        let after = After { reason: self.reason, phase: self.phase, verified: self.verified.as_ref() };
        let binding = judge(seen, after, None, seen.memory);
        let conditions = self.conditions(seen, names, generation, binding.trouble);
        PartnerIntegrationStatus {
            observed_generation: generation,
            phase: self.phase,
            connected: self.phase == Phase::Enabled,
            partner_name,
            endpoint: self.endpoint,
            verified: self.verified,
            failing: self.failing,
            last_handled_check_request: self.handled,
            binding: binding.field,
            conditions,
        }
    }

    fn conditions(
        &self,
        seen: &Observed<'_>,
        names: Names<'_>,
        generation: i64,
        trouble: Option<Reason>,
    ) -> Vec<Condition> {
        let connected = self.phase == Phase::Enabled;
        let (ready, ready_reason) = match (trouble, self.reason) {
            (Some(trouble), _) => (false, trouble),
            (None, Reason::NotConfigured) => (true, Reason::Added),
            (None, reason) => (connected || reason == Reason::Suspended, reason),
        };
        let say = |reason: Reason| {
            let detail = self.detail.as_deref().filter(|_| Some(reason) != trouble);
            sentence(reason, names) + detail.unwrap_or_default()
        };
        let mut conditions = vec![("Ready", ready, ready_reason), ("Connected", connected, self.reason)];
        let why = trouble.unwrap_or(self.reason);
        match why.class() {
            Some(Class::Waiting | Class::Transient) => conditions.push(("Reconciling", true, why)),
            Some(Class::NeedsPerson) => conditions.push(("Stalled", true, why)),
            None => {}
        }
        let before = seen.integration.status.as_ref().map_or(&[][..], |status| &status.conditions);
        conditions
            .into_iter()
            .map(|(kind, is, reason)| condition(before, kind, is, reason.as_str(), say(reason), generation, seen.now))
            .collect()
    }
}

/// A condition whose `lastTransitionTime` moves only when its `status` flips.
pub fn condition(
    before: &[Condition],
    kind: &str,
    is: bool,
    reason: &str,
    message: String,
    generation: i64,
    now: Timestamp,
) -> Condition {
    let status = if is { "True" } else { "False" };
    let since = find(before, kind).filter(|condition| condition.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: Some(generation),
        last_transition_time: since.map_or_else(|| seconds(now), |condition| condition.last_transition_time.clone()),
    }
}

/// Whole seconds, as the API conventions have it: what is written reads back equal.
pub fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}
