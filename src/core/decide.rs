//! [`decide`]: from everything that is known to everything that is to be done.

use std::time::Duration;

use jiff::Timestamp;

use super::binding::{After, Judged, RETRY, judge};
use super::outcome::{anchor_of, conclude, says_already};
use super::schedule::{SAFETY_LOOK, next_check, rest};
use super::situation::{Situation, Target, situate};
use super::standing::{Standing, standing};
use super::status::Draft;
use super::{
    Anchor, AnchorKind, BindingOrder, CheckOrder, CheckSeen, Decision, Ended, Fingerprint, Memory, Observed,
    PartnerSeen, Plan, Reason, Tuple, check_request, connected_reason, region_of, transition,
};
use crate::api::{PartnerIntegrationStatus, Phase};

/// Decides what is to be done for one integration.
///
/// It is total: whatever is observed, there is a decision. It is the only place where a status comes from.
#[must_use]
pub fn decide(seen: &Observed<'_>) -> Decision {
    if seen.integration.metadata.deletion_timestamp.is_some() {
        // Counts as deleted: nothing more is sent or written for it.
        let memory = Memory::default();
        let binding = BindingOrder::Leave;
        return Decision { status: None, event: None, binding, check: CheckOrder::Cancel, memory, next_look: None };
    }
    let decision = match situate(seen) {
        Situation::Suspended => without_check(seen, Phase::Available, Reason::Suspended, None),
        Situation::Added => without_check(seen, Phase::Available, Reason::NotConfigured, None),
        Situation::PartnerMissing { configured } => {
            let phase = if configured { Phase::Failed } else { Phase::Available };
            without_check(seen, phase, Reason::PartnerNotFound, Some(SAFETY_LOOK))
        }
        Situation::Blocked(reason) => without_check(seen, Phase::Failed, reason, Some(SAFETY_LOOK)),
        Situation::Checkable(target) => with_check(seen, &target),
    };
    let before = seen.integration.status.as_ref();
    let event = decision.status.as_deref().and_then(|after| transition(before, after));
    Decision { event, ..decision }
}

/// No check can be made: the status follows at once, and a check request is answered with it.
fn without_check(seen: &Observed<'_>, phase: Phase, reason: Reason, next_look: Option<Duration>) -> Decision {
    let before = seen.integration.status.as_ref();
    let suspended = reason == Reason::Suspended;
    let draft = Draft {
        reason,
        phase,
        detail: None,
        endpoint: endpoint(seen).filter(|_| phase == Phase::Failed),
        verified: None,
        // Reasons that are found without a check leave the count alone; suspension drops it.
        failing: before.and_then(|status| status.failing.clone()).filter(|_| !suspended),
        handled: check_request(seen.integration)
            .map(str::to_owned)
            .or_else(|| before.and_then(|status| status.last_handled_check_request.clone())),
    };
    let mut memory = Memory { cleared: None, ..seen.memory.clone() };
    if suspended {
        memory.anchor = None;
    }
    let after = draft.finish(seen);
    let binding = After::of(&after).map(|after| judge(seen, after, None, &memory).order).unwrap_or_default();
    let status = unless_stored(after, before);
    Decision { status, event: None, binding, check: CheckOrder::Cancel, memory, next_look }
}

/// The endpoint of the region that is named, as far as it is known.
fn endpoint(seen: &Observed<'_>) -> Option<String> {
    match seen.partner {
        PartnerSeen::Present(facts) => {
            region_of(seen.integration, &facts.spec.regions).map(|region| region.endpoint.clone())
        }
        PartnerSeen::Absent | PartnerSeen::Unreadable => None,
    }
}

/// A check can be made: takes up an outcome, says what is known of T, and plans the next check.
fn with_check(seen: &Observed<'_>, target: &Target<'_>) -> Decision {
    let before = seen.integration.status.as_ref();
    let outcome = match seen.check {
        CheckSeen::Ended(ended) if belongs(seen, target, ended) => Some(conclude(seen, target, ended)),
        CheckSeen::Ended(_) | CheckSeen::Idle | CheckSeen::Open(_) => None,
    };
    let mut memory = seen.memory.clone();
    if let CheckSeen::Ended(ended) = seen.check
        && ended.tuple == target.tuple
        && before.is_some_and(|status| says_already(status, ended))
    {
        // Also where the status is there and only the answer to its write was lost: the next check is counted from
        // this one, or it would come at once and undercut what the partner asked for.
        memory.anchor = Some(anchor_of(ended, seen.draw));
    }
    let (wanted, standing) = if let Some((status, anchor)) = outcome {
        memory.anchor = Some(anchor);
        memory.cleared = status.verified.as_ref().filter(|_| status.failing.is_none()).map(Tuple::of);
        let standing = standing(&status, &memory, &target.tuple);
        (Some(status), standing)
    } else {
        let stored = before.cloned().unwrap_or_default();
        let standing = standing(&stored, &memory, &target.tuple);
        // Of a T that is not known yet nothing is said: the status stays as it was.
        let reason = connected_reason(&stored).filter(|_| standing != Standing::Unknown);
        (reason.map(|reason| Draft::kept(&stored, reason, target.endpoint, seen)), standing)
    };
    let status = wanted.and_then(|status| unless_stored(status, before));
    plan(seen, target, standing, status, memory)
}

/// Whether an outcome may be taken up: made with the T that is wanted now, and the status is still the one that the
/// check began with. Otherwise somebody else has written, or something has changed, and it is dropped.
fn belongs(seen: &Observed<'_>, target: &Target<'_>, ended: &Ended) -> bool {
    ended.tuple == target.tuple && ended.began_with == Fingerprint::of(seen.integration.status.as_ref())
}

/// What becomes of the check, now that the status is known.
fn plan(
    seen: &Observed<'_>,
    target: &Target<'_>,
    standing: Standing,
    status: Option<Box<PartnerIntegrationStatus>>,
    mut memory: Memory,
) -> Decision {
    let current = status.as_deref().or(seen.integration.status.as_ref());
    let bound = current.and_then(After::of).map(|after| judge(seen, after, Some(&target.tuple), &memory));
    let Judged { trouble, order: binding, wants_proof, ends_clearance, .. } = bound.unwrap_or_default();
    if ends_clearance {
        memory.cleared = None;
    } else if let BindingOrder::Publish(publication) = &binding {
        memory.cleared = Some(publication.tuple.clone());
    }
    let open = match seen.check {
        CheckSeen::Open(tuple) => Some(*tuple == target.tuple),
        CheckSeen::Idle | CheckSeen::Ended(_) => None,
    };
    if open == Some(true) {
        let check = if status.is_some() { CheckOrder::Rebase(Fingerprint::of(current)) } else { CheckOrder::Leave };
        return Decision { status, event: None, binding, check, memory, next_look: Some(SAFETY_LOOK) };
    }
    let mut due = due(seen, target, standing, current, &mut memory);
    let within_budget = memory.budget.earliest(seen.now);
    if wants_proof && within_budget < due.at {
        due = Due { at: within_budget, at_once: true };
    }
    if due.at > seen.now {
        let check = if open.is_some() { CheckOrder::Cancel } else { CheckOrder::Leave };
        let look = until(seen.now, due.at);
        let next_look = Some(if trouble.is_some() { look.min(RETRY) } else { look });
        return Decision { status, event: None, binding, check, memory, next_look };
    }
    if due.at_once {
        memory.budget = memory.budget.spend(seen.now);
    }
    let plan = Plan {
        tuple: target.tuple.clone(),
        proved: current
            .and_then(|status| status.verified.as_ref())
            .is_some_and(|verified| target.tuple.is_verified(verified)),
        request: unhandled_request(seen, current).map(str::to_owned),
        began_with: Fingerprint::of(current),
    };
    let check = CheckOrder::Start(plan);
    Decision { status, event: None, binding, check, memory, next_look: Some(SAFETY_LOOK) }
}

/// When the next check is due, and whether it counts against the budget.
struct Due {
    at: Timestamp,
    at_once: bool,
}

fn due(
    seen: &Observed<'_>,
    target: &Target<'_>,
    standing: Standing,
    current: Option<&PartnerIntegrationStatus>,
    memory: &mut Memory,
) -> Due {
    memory.budget = memory.budget.seen_at(seen.now);
    let within_budget = memory.budget.earliest(seen.now);
    let (Some(current), true) = (current, standing != Standing::Unknown) else {
        return Due { at: within_budget, at_once: true };
    };
    let anchor = anchored(seen, target, memory);
    let reason = connected_reason(current);
    let scheduled = next_check(standing, &anchor, current, reason, target.check.interval.get());
    if unhandled_request(seen, Some(current)).is_some() {
        let asked = rest(&anchor, current, reason).map_or(within_budget, |rest| rest.max(within_budget));
        if asked < scheduled {
            return Due { at: asked, at_once: true };
        }
    }
    Due { at: scheduled, at_once: false }
}

/// The anchor of the T that is wanted, dropped now if there is none: a T that is found proved or failing.
///
/// One that lies ahead comes from a clock that was set back; from now on is as good.
fn anchored(seen: &Observed<'_>, target: &Target<'_>, memory: &mut Memory) -> Anchor {
    let mut anchor = match memory.anchor.take() {
        Some(anchor) if anchor.tuple == target.tuple => anchor,
        _ => Anchor { tuple: target.tuple.clone(), at: seen.now, draw: seen.draw, kind: AnchorKind::Found },
    };
    anchor.at = anchor.at.min(seen.now);
    memory.anchor = Some(anchor.clone());
    anchor
}

fn unhandled_request<'a>(seen: &Observed<'a>, current: Option<&PartnerIntegrationStatus>) -> Option<&'a str> {
    let handled = current.and_then(|status| status.last_handled_check_request.as_deref());
    check_request(seen.integration).filter(|request| Some(*request) != handled)
}

/// `status`, unless what is stored says the same. `notBefore` alone is no reason to write.
fn unless_stored(
    mut status: PartnerIntegrationStatus,
    stored: Option<&PartnerIntegrationStatus>,
) -> Option<Box<PartnerIntegrationStatus>> {
    let Some(stored) = stored else { return Some(Box::new(status)) };
    let planned = status.failing.as_ref().map(|failing| failing.not_before.clone());
    if let (Some(failing), Some(before)) = (&mut status.failing, &stored.failing) {
        failing.not_before = before.not_before.clone();
    }
    if status == *stored {
        return None;
    }
    if let (Some(failing), Some(planned)) = (&mut status.failing, planned) {
        failing.not_before = planned;
    }
    Some(Box::new(status))
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
