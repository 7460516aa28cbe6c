//! What came of a check.

use std::time::Duration;

use super::Reason;

/// What came of one attempt to prove a key. It holds nothing that the partner answered but the status code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is good.
    Connected,
    /// A check failed; it counts.
    Failed(Failure),
    /// No check could be made, and none is counted: `SecretNotFound`, `SecretKeyNotFound` or `SecretForbidden`.
    NotMade(Reason),
}

impl Verdict {
    /// The reason that a check which was made ended with; `None` where none could be made.
    #[must_use]
    pub fn result(&self) -> Option<Reason> {
        match self {
            Self::Connected => Some(Reason::Connected),
            Self::Failed(failure) => Some(failure.reason),
            Self::NotMade(_) => None,
        }
    }
}

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, as the status will give it.
    pub reason: Reason,
    /// The HTTP status code, where there was an answer.
    pub code: Option<u16>,
    /// What a 429 or 503 asked for, clamped to 1 s … 1 h.
    pub retry_after: Option<Duration>,
}

impl From<Reason> for Failure {
    /// A failure without an answer.
    fn from(reason: Reason) -> Self {
        Self { reason, code: None, retry_after: None }
    }
}

/// What only parsing can tell of a catalogue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartnerFault {
    /// `check.success.expression` is no CEL that can be used here.
    SuccessExpression,
    /// `check.rejected.expression` is no CEL that can be used here.
    RejectedExpression,
    /// `trustBundle` holds no certificate, or something that is none.
    TrustBundle,
    /// The request may not be made: a reserved header, say. The CRD refuses that; it was stored before it did.
    Request,
}
