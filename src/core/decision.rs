//! What is to be done.

use std::time::Duration;

use super::{BindingOrder, Event, Fingerprint, Memory, Tuple};
use crate::api::PartnerIntegrationStatus;

/// What is to be done for one integration. Applied in this order: a cancel at once, bindings that are withdrawn, the
/// status, and only when that has been written the memory, the rest of the order for the check, the rest of the bindings,
/// and the next look. Where a binding was written or deleted, it is decided again.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The whole status to write; `None` when the stored one says it already.
    pub status: Option<Box<PartnerIntegrationStatus>>,
    /// What to tell once the status has been written; never without one.
    pub event: Option<Event>,
    /// What becomes of the binding Secrets.
    pub binding: BindingOrder,
    /// What becomes of the check. An outcome that was seen is taken up or dropped by every decision.
    pub check: CheckOrder,
    /// What to remember.
    pub memory: Memory,
    /// When to look again, if nothing changes before.
    pub next_look: Option<Duration>,
}

/// What becomes of the check.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckOrder {
    /// Whatever there is goes on.
    Leave,
    /// It goes on, and the status that this decision writes counts as the one that it began with.
    Rebase(Fingerprint),
    /// A new one; it takes the place of whatever there is.
    Start(Plan),
    /// Whatever waits or runs is stopped.
    Cancel,
}

/// A check to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it is for. The Secret part is what the watch said; the check itself is made with what it reads.
    pub tuple: Tuple,
    /// Whether this T is already proved: others go before it.
    pub proved: bool,
    /// The check request that it answers.
    pub request: Option<String>,
    /// The status that it begins with.
    pub began_with: Fingerprint,
}
