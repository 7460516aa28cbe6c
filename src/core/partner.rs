//! What the operator says of a catalogue entry.

use std::time::Duration;

use jiff::Timestamp;

use super::PartnerFault;
use super::status::condition;
use crate::api::{Partner, PartnerStatus};

/// So long after a write of a Partner's status what only counts or names is no reason for another one.
pub const COUNTS_PACE: Duration = Duration::from_secs(10);

/// What is known of one catalogue entry at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ObservedPartner<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// The entry, at least as new as what was written to it last.
    pub partner: &'a Partner,
    /// What does not parse in it.
    pub fault: Option<PartnerFault>,
    /// The integrations that name it.
    pub counted: Counted,
    /// How long ago this process wrote its status; `None` where that is longer ago than [`COUNTS_PACE`], or never was.
    pub since_write: Option<Duration>,
}

/// What is known of the integrations that name a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// They have been counted.
    Yes(Counts),
    /// They have not been listed yet: what is stored stays.
    NotYet,
    /// This process does not see all of them. The fields are left out: a count that nobody keeps would be believed, and
    /// keep a Partner from being deleted.
    Never,
}

/// The integrations that name a partner; those that are being deleted count as deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many there are.
    pub integrations: u32,
    /// How many of them are connected.
    pub connected: u32,
}

/// What is to be done for one catalogue entry.
#[derive(Clone, Debug, PartialEq)]
pub struct PartnerDecision {
    /// The whole status to write; `None` when the stored one says it already, or will do for now.
    pub status: Option<PartnerStatus>,
    /// When to look again, if nothing changes before.
    pub next_look: Option<Duration>,
}

/// The status of a partner. Conditions and the generation are written at once; region names and counts that change
/// alone at most once in [`COUNTS_PACE`], and along with whatever is written anyway.
#[must_use]
pub fn decide_partner(seen: &ObservedPartner<'_>) -> PartnerDecision {
    let ObservedPartner { now, partner, fault, counted, since_write } = *seen;
    let nothing = PartnerDecision { status: None, next_look: None };
    if partner.metadata.deletion_timestamp.is_some() {
        return nothing;
    }
    let generation = partner.metadata.generation.unwrap_or_default();
    let stored = partner.status.as_ref();
    let before = stored.map_or(&[][..], |status| &status.conditions);
    let (reason, message) = explain(fault);
    let say = |kind, is| condition(before, kind, is, reason, message.to_owned(), generation, now);
    let mut conditions = vec![say("Ready", fault.is_none())];
    if fault.is_some() {
        conditions.push(say("Stalled", true));
    }
    let mut names: Vec<_> = partner.spec.regions.iter().map(|region| region.name.as_str()).collect();
    names.sort_unstable();
    let (integrations, connected) = match counted {
        Counted::Yes(counts) => (Some(counts.integrations), Some(counts.connected)),
        Counted::NotYet => stored.map_or((None, None), |status| (status.integrations, status.connected)),
        Counted::Never => (None, None),
    };
    let status = PartnerStatus {
        observed_generation: generation,
        region_names: Some(names.join(",")),
        integrations,
        connected,
        conditions,
    };
    if stored == Some(&status) {
        return nothing;
    }
    let at_once = stored.is_none_or(|stored| {
        (stored.observed_generation, &stored.conditions) != (status.observed_generation, &status.conditions)
    });
    match since_write.map(|since| COUNTS_PACE.saturating_sub(since)) {
        Some(rest) if !at_once && !rest.is_zero() => PartnerDecision { status: None, next_look: Some(rest) },
        _ => PartnerDecision { status: Some(status), next_look: None },
    }
}

fn explain(fault: Option<PartnerFault>) -> (&'static str, &'static str) {
    match fault {
        None => ("Valid", "Integrations can be made with it."),
        Some(PartnerFault::SuccessExpression) => (
            "InvalidExpression",
            "spec.check.success.expression cannot be used: write CEL over status and body as docs/partners.md says.",
        ),
        Some(PartnerFault::RejectedExpression) => (
            "InvalidExpression",
            "spec.check.rejected.expression cannot be used: write CEL over status and body as docs/partners.md says.",
        ),
        Some(PartnerFault::TrustBundle) => {
            ("InvalidTrustBundle", "spec.trustBundle is not a list of PEM certificates: give it at least one root.")
        }
        Some(PartnerFault::Request) => (
            "InvalidRequest",
            "spec.check or spec.authentication was stored before it was refused: apply the Partner again, and correct what the message names.",
        ),
    }
}
