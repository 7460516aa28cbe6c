//! What the outcome of a check makes of a status.

use super::message::detail;
use super::schedule::{COUNT_STOPS_AT, next_check};
use super::situation::Target;
use super::standing::Standing;
use super::status::{Draft, said_detail, seconds};
use super::{Anchor, AnchorKind, Ended, Failure, Observed, Reason, Verdict, connected_reason};
use crate::api::{Failing, PartnerIntegrationStatus, Phase, Verified};

/// The status and the anchor that follow from a check that ended with the T that is wanted now.
pub fn conclude(seen: &Observed<'_>, target: &Target<'_>, ended: &Ended) -> (PartnerIntegrationStatus, Anchor) {
    let before = seen.integration.status.clone().unwrap_or_default();
    let handled = ended.request.clone().or(before.last_handled_check_request.clone());
    let anchor = anchor_of(ended, seen.draw);
    match &ended.verdict {
        Verdict::Connected => {
            let draft = Draft {
                reason: Reason::Connected,
                phase: Phase::Enabled,
                detail: None,
                endpoint: Some(target.endpoint.to_owned()),
                verified: Some(verified(&before, target, ended)),
                failing: None,
                handled,
            };
            (draft.finish(seen), anchor)
        }
        Verdict::NotMade(reason) => {
            let draft = Draft {
                reason: *reason,
                phase: Phase::Failed,
                detail: None,
                endpoint: Some(target.endpoint.to_owned()),
                verified: None,
                failing: before.failing,
                handled,
            };
            (draft.finish(seen), anchor)
        }
        Verdict::Failed(failure) => (failed(seen, target, failure, &anchor, before, handled), anchor),
    }
}

/// What the next check is counted from after this one.
pub fn anchor_of(ended: &Ended, draw: f64) -> Anchor {
    let kind = match &ended.verdict {
        Verdict::Connected => AnchorKind::Ended { retry_after: None },
        Verdict::Failed(failure) => AnchorKind::Ended { retry_after: failure.retry_after },
        Verdict::NotMade(_) => AnchorKind::Looked,
    };
    Anchor { tuple: ended.tuple.clone(), at: ended.at, draw, kind }
}

/// Whether a status that is not the one that a check began with says what came of it: most likely it was written,
/// and only the answer to the write was lost.
pub fn says_already(status: &PartnerIntegrationStatus, ended: &Ended) -> bool {
    let Some(said) = connected_reason(status) else { return false };
    match &ended.verdict {
        Verdict::Connected => said == Reason::Connected,
        Verdict::NotMade(reason) => said == *reason,
        Verdict::Failed(failure) => said == Reason::CheckFailing || said == failure.reason,
    }
}

/// The time stays that of the first proof of this T.
fn verified(before: &PartnerIntegrationStatus, target: &Target<'_>, ended: &Ended) -> Verified {
    match &before.verified {
        Some(verified) if target.tuple.is_verified(verified) => verified.clone(),
        _ => Verified {
            digest: target.tuple.digest.clone(),
            secret_uid: target.tuple.secret.uid.clone(),
            secret_resource_version: target.tuple.secret.resource_version.clone(),
            time: seconds(ended.at),
        },
    }
}

fn failed(
    seen: &Observed<'_>,
    target: &Target<'_>,
    failure: &Failure,
    anchor: &Anchor,
    before: PartnerIntegrationStatus,
    handled: Option<String>,
) -> PartnerIntegrationStatus {
    let counted = before.failing.as_ref().filter(|failing| target.tuple.is_failing(failing));
    let count = counted.map_or(1, |failing| (failing.count + 1).min(COUNT_STOPS_AT));
    let holds = is_protected(&before, target)
        && !ends_a_connection_at_once(failure.reason)
        && count < target.check.failure_threshold;
    let (phase, reason) = if holds { (Phase::Enabled, Reason::CheckFailing) } else { (Phase::Failed, failure.reason) };
    // Where the count has stopped, the same reason writes nothing: the code that was said last stays.
    let counts_on =
        counted.is_none_or(|failing| failing.count < COUNT_STOPS_AT) || connected_reason(&before) != Some(reason);
    let draft = Draft {
        reason,
        phase,
        detail: if counts_on { detail(reason, failure) } else { said_detail(&before, reason) },
        endpoint: Some(target.endpoint.to_owned()),
        verified: before.verified.filter(|_| holds),
        failing: Some(Failing {
            count,
            digest: target.tuple.digest.clone(),
            secret_uid: target.tuple.secret.uid.clone(),
            secret_resource_version: target.tuple.secret.resource_version.clone(),
            not_before: seconds(anchor.at),
        }),
        handled,
    };
    let mut status = draft.finish(seen);
    let next = next_check(Standing::Failing(count), anchor, &status, Some(reason), target.check.interval.get());
    if let Some(failing) = &mut status.failing {
        failing.not_before = seconds(next);
    }
    status
}

/// Whether there is a connection that a failure may not end at once: it is connected, and neither the endpoint nor
/// the Secret is another than the one that was proved.
fn is_protected(before: &PartnerIntegrationStatus, target: &Target<'_>) -> bool {
    before.phase == Phase::Enabled
        && before.endpoint.as_deref() == Some(target.endpoint)
        && before.verified.as_ref().is_some_and(|verified| verified.secret_uid == target.tuple.secret.uid)
}

/// What no threshold delays.
fn ends_a_connection_at_once(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CredentialRejected
            | Reason::InvalidCredential
            | Reason::RegionNotFound
            | Reason::EndpointForbidden
            | Reason::PartnerInvalid
            | Reason::PartnerNotFound
            | Reason::SecretNotFound
            | Reason::SecretKeyNotFound
            | Reason::SecretForbidden
    )
}
