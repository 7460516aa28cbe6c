//! The functional core: what is known goes in, what is to be done comes out.
//!
//! No clock, no I/O, no async, no randomness of its own: the time and a random draw are part of what is
//! observed, so every rule can be run by a table, a property or a model checker as it is.
//!
//! In reading order: [`Reason`] and [`Verdict`] (what can be said and what a check gives), [`Tuple`] (what a check
//! is made with), [`Observed`] (everything that is known), [`Situation`](situation::Situation) (first match wins),
//! [`decide()`], and what it is made of: the standing of T, the schedule, the budget, the binding, the status, the
//! Event; and [`Steps`], the order in which a decision is carried out.

mod binding;
mod budget;
mod decide;
mod decision;
mod event;
mod message;
mod observed;
mod outcome;
mod partner;
mod reason;
mod schedule;
mod situation;
mod standing;
mod status;
mod steps;
mod tuple;
mod unwatched;
mod verdict;

#[cfg(test)]
mod tests;

pub use binding::{BindingOrder, BindingSeen, Held, NamedSecret, OwnSecret, Publication, Refusal};
pub use budget::Budget;
pub use decide::decide;
pub use decision::{CheckOrder, Decision, Plan};
pub use event::{Event, EventReason, transition};
pub use observed::{
    Anchor, AnchorKind, CheckSeen, Ended, Memory, Observed, PartnerFacts, PartnerSeen, SecretSeen, check_request,
};
pub use partner::{COUNTS_PACE, Counted, Counts, ObservedPartner, PartnerDecision, decide_partner};
pub use reason::{Class, Reason};
pub use situation::{needs_secret, region_of};
pub use status::{Fingerprint, connected_reason};
pub use steps::{Answer, End, Live, Step, Steps};
pub use tuple::{SecretVersion, Tuple, digest};
pub use unwatched::unchanged_secret;
pub use verdict::{Failure, PartnerFault, Verdict};
