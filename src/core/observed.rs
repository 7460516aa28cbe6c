//! Everything that a decision depends on.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use super::{BindingSeen, Budget, Fingerprint, PartnerFault, SecretVersion, Tuple, Verdict};
use crate::api::{CHECK_REQUESTED_AT, PartnerIntegration, PartnerSpec};

/// What is known of one integration at one moment.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// A random number in `[0, 1)`, for whatever has to be drawn.
    pub draw: f64,
    /// The integration, at least as new as what was written to it last.
    pub integration: &'a PartnerIntegration,
    /// Its partner.
    pub partner: PartnerSeen<'a>,
    /// The Secret of its key.
    pub secret: SecretSeen,
    /// Its check.
    pub check: CheckSeen<'a>,
    /// What this process remembers of it.
    pub memory: &'a Memory,
    /// Its binding Secrets.
    pub binding: BindingSeen,
}

/// What is known of the partner.
#[derive(Clone, Copy, Debug)]
pub enum PartnerSeen<'a> {
    /// A live `get` answered 404. Never concluded from a cache.
    Absent,
    /// It is in the catalogue.
    Present(PartnerFacts<'a>),
    /// It is there, but stored by another version of the API in a form that cannot be read.
    Unreadable,
}

/// A partner, as far as one integration is concerned.
#[derive(Clone, Copy, Debug)]
pub struct PartnerFacts<'a> {
    /// Its spec.
    pub spec: &'a PartnerSpec,
    /// What does not parse in it.
    pub fault: Option<PartnerFault>,
    /// Whether the endpoint of the integration's region is an IP literal that may not be dialled.
    pub forbidden: bool,
}

/// What is known of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSeen {
    /// A live `get` answered 404; never concluded from a cache. Also where nobody asked, because
    /// [`needs_secret`](super::needs_secret) said that it does not matter.
    Absent,
    /// A live `get` answered 403.
    Forbidden,
    /// It is there, in this version.
    Present(SecretVersion),
}

/// What is known of the integration's check.
#[derive(Clone, Copy, Debug)]
pub enum CheckSeen<'a> {
    /// There is none.
    Idle,
    /// One waits for its place or runs; with the T that it was planned for, or, once the key has been read, made with.
    Open(&'a Tuple),
    /// One has ended, and its outcome has not been taken up.
    Ended(&'a Ended),
}

/// A check that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The T that it was made with; where no key could be read, the one that it was planned for.
    pub tuple: Tuple,
    /// The check request that was read when it was planned.
    pub request: Option<String>,
    /// The status that it began with.
    pub began_with: Fingerprint,
    /// What came of it.
    pub verdict: Verdict,
    /// When it ended.
    pub at: Timestamp,
}

/// What this process remembers of one uid. Losing it costs nothing but the pace of the next check: a new process
/// starts with the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What the next scheduled check is counted from.
    pub anchor: Option<Anchor>,
    /// How many checks at once are left.
    pub budget: Budget,
    /// The T whose binding may be published: a check of it succeeded since the binding was found missing, or the write
    /// has been tried.
    pub cleared: Option<Tuple>,
}

/// The moment that the next scheduled check is counted from.
///
/// It keeps the draw and not the time that follows from it, so that an edit of the interval plans anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// What it is about; of no use for any other T.
    pub tuple: Tuple,
    /// The moment.
    pub at: Timestamp,
    /// Drawn then, in `[0, 1)`.
    pub draw: f64,
    /// What happened.
    pub kind: AnchorKind,
}

/// What happened at an [`Anchor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorKind {
    /// This process saw the T for the first time, already proved or failing: a restart or a takeover.
    Found,
    /// A check ended, with what the partner asked for in Retry-After.
    Ended {
        /// Already clamped.
        retry_after: Option<Duration>,
    },
    /// No check could be made: the key could not be read.
    Looked,
}

/// The value of the annotation that asks for a check, its first 64 characters.
#[must_use]
pub fn check_request(integration: &PartnerIntegration) -> Option<&str> {
    let value = integration.annotations().get(CHECK_REQUESTED_AT)?;
    let end = value.char_indices().nth(64).map_or(value.len(), |(index, _)| index);
    Some(&value[..end])
}
