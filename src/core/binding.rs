//! The binding Secret: when it is published, written again or withdrawn, and what the status says of it.
//!
//! Promise S2: it exists only while its integration is connected, and holds only a key that was proved. So it is
//! published after the status that says Connected, and withdrawn before the one that does not. Promise S4: what this
//! integration's uid does not own is neither written nor deleted.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule::SAFETY_LOOK;
use super::status::ready_reason;
use super::{Memory, Observed, Reason, SecretVersion, Tuple};
use crate::api::{Bound, PartnerIntegrationStatus, Phase, Verified};

/// After how long a write that the API server refused is tried again, if nothing changes before.
pub const RETRY: Duration = SAFETY_LOOK;

/// What is known of the binding Secrets of one integration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindingSeen {
    /// Whether this process publishes bindings (`--bindings`). Without it the rest is not looked at.
    pub enabled: bool,
    /// The Secret of the name that `spec.binding` gives.
    pub named: NamedSecret,
    /// Those of ours under other names.
    pub strays: Vec<Held>,
    /// The latest write that the API server refused.
    pub refused: Option<Refusal>,
}

/// The Secret of the name that `spec.binding` gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamedSecret {
    /// None that anybody has seen. Where one was published, a live `get` answered 404.
    #[default]
    Absent,
    /// One that no integration of this name owns.
    Foreign,
    /// One that an earlier integration of this name owns, which is not collected yet.
    Earlier,
    /// One that this integration's uid owns.
    Ours(OwnSecret),
}

/// A Secret that the integration owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSecret {
    /// Its version.
    pub version: SecretVersion,
    /// The T that its annotation names, as [`Tuple::stamp`] writes it.
    pub made_from: Option<String>,
    /// The region that its annotation names; T does not cover its name.
    pub region: Option<String>,
    /// Whether label, owner and data are still as the operator wrote them.
    pub whole: bool,
}

/// A Secret to be deleted, in the version that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// Its version; another one is left alone.
    pub version: SecretVersion,
}

/// A write of the binding that the API server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// Of which generation of the integration; another spec is another write.
    pub generation: i64,
    /// With the key of which T.
    pub tuple: Tuple,
}

/// What becomes of the binding Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BindingOrder {
    /// They stay as they are.
    #[default]
    Leave,
    /// These are deleted before the status is written.
    Withdraw(Vec<Held>),
    /// One is written after the status.
    Publish(Publication),
    /// These are deleted after the status: the one that is wanted is there, and the status names it.
    Tidy(Vec<Held>),
}

/// A binding Secret to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// Whose key: that of a T that is proved. A Secret of the key that is in another version meanwhile is not published.
    pub tuple: Tuple,
    /// The version that is written over; `None`: it is created, and one that is there already is left alone.
    pub over: Option<SecretVersion>,
}

/// What a status says that the binding depends on.
#[derive(Clone, Copy, Debug)]
pub struct After<'a> {
    /// The reason of Connected.
    pub reason: Reason,
    /// As the field.
    pub phase: Phase,
    /// As the field.
    pub verified: Option<&'a Verified>,
}

/// What follows for the binding.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// `status.binding`
    pub field: Option<Bound>,
    /// Why Ready is not True although it is connected.
    pub trouble: Option<Reason>,
    /// What is to be done.
    pub order: BindingOrder,
    /// It is to be published, but only after one fresh successful check.
    pub wants_proof: bool,
    /// A success so far clears nothing that comes later: it is in place, none is wanted, or its name is taken.
    pub ends_clearance: bool,
}

/// Judges the binding under the status `after`. `tuple` is the T that is wanted now, where one can be told.
pub fn judge(seen: &Observed<'_>, after: After<'_>, tuple: Option<&Tuple>, memory: &Memory) -> Judged {
    let binding = &seen.binding;
    let wanted = seen.integration.spec.binding.as_ref().map(|binding| binding.secret_name.as_str());
    let Some(name) = wanted.filter(|_| after.phase == Phase::Enabled) else {
        let order = if binding.enabled { withdraw(binding, wanted) } else { BindingOrder::Leave };
        return Judged { order, ends_clearance: true, ..Judged::default() };
    };
    let before = seen.integration.status.as_ref();
    let published = before.and_then(|status| status.binding.clone());
    let says_connected = after.reason == Reason::Connected;
    if !binding.enabled {
        let trouble = says_connected.then_some(Reason::BindingsDisabled);
        return Judged { field: published, trouble, ends_clearance: true, ..Judged::default() };
    }
    let in_place = is_in_place(seen, after.verified);
    let is_named = published.as_ref().is_some_and(|bound| bound.name == name);
    let trouble_before = before.and_then(ready_reason).filter(|reason| is_about_bindings(*reason));
    let refused = is_refused(seen, after.verified);
    let trouble = match &binding.named {
        _ if !says_connected || in_place => None,
        NamedSecret::Foreign => Some(Reason::BindingNotOwned),
        NamedSecret::Earlier => Some(Reason::BindingFailed),
        NamedSecret::Absent | NamedSecret::Ours(_) if refused => Some(Reason::BindingFailed),
        // Until it is there, what was said last stays: neither a retry nor the proof before it is news.
        NamedSecret::Absent | NamedSecret::Ours(_) => trouble_before,
    };
    let current = tuple.filter(|tuple| after.verified.is_some_and(|verified| tuple.is_verified(verified)));
    let was_occupied = matches!(trouble_before, Some(Reason::BindingNotOwned | Reason::BindingFailed));
    let is_new = !is_named && !was_occupied;
    let cleared = is_new || memory.cleared.as_ref() == current;
    let free = says_connected && !refused && binding.named == NamedSecret::Absent;
    let over = match &binding.named {
        NamedSecret::Ours(own) if !in_place && !refused => Some(own.version.clone()),
        _ => None,
    };
    let order = match current {
        Some(tuple) if over.is_some() || (free && cleared) => {
            BindingOrder::Publish(Publication { name: name.to_owned(), tuple: tuple.clone(), over })
        }
        _ if in_place && !binding.strays.is_empty() => BindingOrder::Tidy(binding.strays.clone()),
        _ => BindingOrder::Leave,
    };
    let wants_proof = current.is_some() && free && !cleared;
    let field = if in_place { Some(Bound { name: name.to_owned() }) } else { published };
    let is_taken = matches!(binding.named, NamedSecret::Foreign | NamedSecret::Earlier);
    Judged { field, trouble, order, wants_proof, ends_clearance: in_place || is_taken }
}

/// None is wanted: all of ours go.
fn withdraw(binding: &BindingSeen, named: Option<&str>) -> BindingOrder {
    let mut all = binding.strays.clone();
    if let (NamedSecret::Ours(own), Some(name)) = (&binding.named, named) {
        all.push(Held { name: name.to_owned(), version: own.version.clone() });
    }
    if all.is_empty() { BindingOrder::Leave } else { BindingOrder::Withdraw(all) }
}

/// Whether the Secret is there as it was made from the T that `verified` names.
fn is_in_place(seen: &Observed<'_>, verified: Option<&Verified>) -> bool {
    let (NamedSecret::Ours(own), Some(verified)) = (&seen.binding.named, verified) else { return false };
    own.whole && own.region == seen.integration.spec.region && own.made_from == Some(Tuple::of(verified).stamp())
}

/// Whether the write that would be made now was refused lately.
fn is_refused(seen: &Observed<'_>, verified: Option<&Verified>) -> bool {
    let (Some(refusal), Some(verified)) = (&seen.binding.refused, verified) else { return false };
    let over = refusal.at.checked_add(RETRY).is_ok_and(|over| over <= seen.now);
    // A clock that was set back must not make it last.
    let fresh = !over && refusal.at <= seen.now;
    fresh && Some(refusal.generation) == seen.integration.metadata.generation && refusal.tuple.is_verified(verified)
}

/// Reasons that only Ready gives.
pub fn is_about_bindings(reason: Reason) -> bool {
    matches!(reason, Reason::BindingNotOwned | Reason::BindingsDisabled | Reason::BindingFailed)
}

impl<'a> After<'a> {
    /// Of a status; `None` where its reason is none of ours.
    pub fn of(status: &'a PartnerIntegrationStatus) -> Option<Self> {
        let reason = super::connected_reason(status)?;
        Some(Self { reason, phase: status.phase, verified: status.verified.as_ref() })
    }
}
