//! What holds of every status that is ever written, whatever led to it.

use crate::api::{PartnerIntegrationStatus, Phase};
use crate::core::binding::is_about_bindings;
use crate::core::{Class, Reason, connected_reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub fn condition<'a>(status: &'a PartnerIntegrationStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Panics where a status contradicts itself or the design.
pub fn assert_invariants(status: &PartnerIntegrationStatus) {
    let problem = broken(status);
    assert!(problem.is_none(), "{}: {status:#?}", problem.unwrap_or_default());
}

/// The first thing that is wrong with it.
pub fn broken(status: &PartnerIntegrationStatus) -> Option<&'static str> {
    let (Some(reason), Some(ready), Some(connected)) =
        (connected_reason(status), condition(status, "Ready"), condition(status, "Connected"))
    else {
        return Some("Ready and Connected with reasons of ours");
    };
    let trouble = Reason::parse(&ready.reason).filter(|reason| is_about_bindings(*reason));
    let why = trouble.unwrap_or(reason);
    let rules = [
        (status.connected == (status.phase == Phase::Enabled), "connected is Enabled"),
        (status.verified.is_some() == status.connected, "verified exactly while connected"),
        (of_phase(status.phase, reason), "the reason belongs to the phase"),
        (connected.status == word(status.connected), "Connected says the same as connected"),
        (
            ready.status == word(is_ready(status.phase, reason) && trouble.is_none()),
            "Ready follows from phase, reason and binding",
        ),
        (trouble.is_none() || reason == Reason::Connected, "a binding is in trouble only while connected"),
        (Reason::parse(&ready.reason).is_some(), "Ready's reason is one of ours"),
        (
            ready.reason == if reason == Reason::NotConfigured { "Added" } else { why.as_str() },
            "Ready gives the reason of Connected, or Added, or the binding's",
        ),
        (kinds(status) == expected_kinds(why), "Reconciling or Stalled by the class of the reason, never both"),
        (status.conditions[2..].iter().all(|extra| extra.status == "True"), "Reconciling and Stalled only when True"),
        (status.conditions[2..].iter().all(|extra| extra.reason == why.as_str()), "the reason of Ready"),
        (status.binding.is_none() || status.connected, "a binding only while connected"),
        (status.observed_generation >= 0, "somebody has looked"),
        (
            status.conditions.iter().all(|each| each.observed_generation == Some(status.observed_generation)),
            "observedGeneration at the top and in each condition",
        ),
        (
            status.conditions.iter().all(|each| !each.message.is_empty() && each.message.chars().count() <= 1024),
            "a message of 1 to 1024 characters",
        ),
        (status.failing.as_ref().is_none_or(|failing| (1..=10).contains(&failing.count)), "a count of 1 to 10"),
        (
            !matches!(reason, Reason::Connected | Reason::Suspended) || status.failing.is_none(),
            "success and suspension drop failing",
        ),
        (!comes_from_a_count(reason) || status.failing.is_some(), "a failed check is counted"),
        (status.connected <= status.endpoint.is_some(), "connected to an endpoint"),
        (status.phase != Phase::Available || status.endpoint.is_none(), "no endpoint while there is no connection"),
        (
            status.last_handled_check_request.as_ref().is_none_or(|value| value.chars().count() <= 64),
            "a check request of at most 64 characters",
        ),
        (times(status).all(|time| time.0.subsec_nanosecond() == 0), "times in whole seconds"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
}

fn word(is: bool) -> &'static str {
    if is { "True" } else { "False" }
}

fn is_ready(phase: Phase, reason: Reason) -> bool {
    phase == Phase::Enabled || matches!(reason, Reason::Suspended | Reason::NotConfigured)
}

/// The rows of the table: which reasons Connected may give in which phase.
fn of_phase(phase: Phase, reason: Reason) -> bool {
    match phase {
        Phase::Available => matches!(reason, Reason::Suspended | Reason::NotConfigured | Reason::PartnerNotFound),
        Phase::Enabled => matches!(reason, Reason::Connected | Reason::CheckFailing),
        Phase::Failed => reason.class().is_some(),
    }
}

fn kinds(status: &PartnerIntegrationStatus) -> Vec<&str> {
    status.conditions.iter().map(|condition| condition.type_.as_str()).collect()
}

fn expected_kinds(reason: Reason) -> Vec<&'static str> {
    let mut kinds = vec!["Ready", "Connected"];
    match reason.class() {
        Some(Class::Waiting | Class::Transient) => kinds.push("Reconciling"),
        Some(Class::NeedsPerson) => kinds.push("Stalled"),
        None => {}
    }
    kinds
}

/// Reasons that nothing but a check that failed gives.
fn comes_from_a_count(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CheckFailing
            | Reason::DnsFailure
            | Reason::ConnectFailed
            | Reason::Timeout
            | Reason::RateLimited
            | Reason::PartnerUnavailable
            | Reason::InvalidCredential
            | Reason::CredentialRejected
            | Reason::RedirectRefused
            | Reason::TlsFailed
            | Reason::UnexpectedResponse
    )
}

fn times(status: &PartnerIntegrationStatus) -> impl Iterator<Item = &Time> {
    let conditions = status.conditions.iter().map(|condition| &condition.last_transition_time);
    conditions
        .chain(status.verified.iter().map(|verified| &verified.time))
        .chain(status.failing.iter().map(|failing| &failing.not_before))
}
