//! What the stored status says of the T that is wanted now.

use super::{AnchorKind, Memory, Reason, Tuple, connected_reason};
use crate::api::{PartnerIntegrationStatus, Phase};

/// What is known of a T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: it is checked at once, and until then the status stays as it is.
    Unknown,
    /// Proved, and no failures are counted.
    Proved,
    /// Its latest check failed, with this many in a row.
    Failing(u32),
    /// Its key could not be read.
    Looked,
}

/// Whether a reason of Failed is what a check gives.
///
/// `EndpointForbidden` is, too, when it was DNS that led there.
fn comes_from_a_check(reason: Reason) -> bool {
    match reason {
        Reason::DnsFailure
        | Reason::ConnectFailed
        | Reason::Timeout
        | Reason::RateLimited
        | Reason::PartnerUnavailable
        | Reason::EndpointForbidden
        | Reason::InvalidCredential
        | Reason::CredentialRejected
        | Reason::RedirectRefused
        | Reason::TlsFailed
        | Reason::UnexpectedResponse => true,
        Reason::Pending
        | Reason::Suspended
        | Reason::Added
        | Reason::NotConfigured
        | Reason::Connected
        | Reason::CheckFailing
        | Reason::PartnerNotFound
        | Reason::SecretNotFound
        | Reason::SecretKeyNotFound
        | Reason::SecretForbidden
        | Reason::PartnerInvalid
        | Reason::RegionNotFound
        | Reason::BindingNotOwned
        | Reason::BindingsDisabled
        | Reason::BindingFailed => false,
    }
}

/// What `status` and `memory` say of `tuple`.
///
/// Failures that are counted of this T but whose reason has since been overwritten (the partner was away, say) make
/// it Unknown: the status could not be put back to what it was without a check. So do failures of another T while
/// this one is proved (a key that was changed and changed back), and a status that does not hold together, which
/// this operator cannot have written: the outcome of a check puts it right.
pub fn standing(status: &PartnerIntegrationStatus, memory: &Memory, tuple: &Tuple) -> Standing {
    let Some(reason) = connected_reason(status) else { return Standing::Unknown };
    let counted = status.failing.as_ref().filter(|failing| tuple.is_failing(failing));
    let failing = counted.map_or(Standing::Unknown, |failing| Standing::Failing(failing.count));
    match (status.phase, reason, &status.verified) {
        (Phase::Enabled, Reason::Connected, Some(verified))
            if status.failing.is_none() && tuple.is_verified(verified) =>
        {
            Standing::Proved
        }
        (Phase::Enabled, Reason::CheckFailing, Some(_)) => failing,
        (Phase::Failed, reason, None) if comes_from_a_check(reason) => failing,
        (Phase::Failed, Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::SecretForbidden, None)
            if was_looked_at(memory, tuple) =>
        {
            Standing::Looked
        }
        _ => Standing::Unknown,
    }
}

/// Whether this process has tried to read the key of this T.
fn was_looked_at(memory: &Memory, tuple: &Tuple) -> bool {
    memory.anchor.as_ref().is_some_and(|anchor| anchor.kind == AnchorKind::Looked && anchor.tuple == *tuple)
}
