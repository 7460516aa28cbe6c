//! What people are told when an integration changes sides: one Event for each transition, and none for anything else.
//!
//! A stable state, a repeated failure and a failure below the threshold are no transitions. A note holds our own
//! sentences only: never what a partner answered besides its status code, never any part of a key.

use super::status::said;
use super::{Reason, connected_reason};
use crate::api::{PartnerIntegrationStatus, Phase, Verified};

/// The API server takes no longer note, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Something to tell about an integration, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub reason: EventReason,
    /// How it came, for people; at most 1024 bytes.
    pub note: String,
    /// Whether somebody should look: `Warning`, else `Normal`.
    pub warning: bool,
}

/// What happened. The names are a contract, as those of the reasons of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventReason {
    /// It was not connected, and is now.
    Connected,
    /// It was connected, and is no longer.
    Disconnected,
    /// It was not connected, and cannot be, for another reason than before.
    ConnectFailed,
    /// It stays connected, with another version of its Secret.
    KeyRotated,
}

impl EventReason {
    /// The word that stands in an Event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Disconnected => "Disconnected",
            Self::ConnectFailed => "ConnectFailed",
            Self::KeyRotated => "KeyRotated",
        }
    }

    /// What the operator was about; events.k8s.io wants that said, too.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Connected | Self::ConnectFailed => "Connect",
            Self::Disconnected => "Disconnect",
            Self::KeyRotated => "Rotate",
        }
    }
}

/// The Event of going from one status to the next, if that is a transition.
#[must_use]
pub fn transition(before: Option<&PartnerIntegrationStatus>, after: &PartnerIntegrationStatus) -> Option<Event> {
    let phase = before.map_or(Phase::Available, |status| status.phase);
    let reason = match (phase, after.phase) {
        (Phase::Enabled, Phase::Enabled) => {
            let rotated = match (before.and_then(|status| status.verified.as_ref()), after.verified.as_ref()) {
                (Some(before), Some(after)) => secret(before) != secret(after),
                // One of them is no status of ours; nothing is claimed.
                _ => false,
            };
            rotated.then_some(EventReason::KeyRotated)
        }
        (_, Phase::Enabled) => Some(EventReason::Connected),
        (Phase::Enabled, _) => Some(EventReason::Disconnected),
        (Phase::Failed, Phase::Failed) => {
            let same = before.and_then(connected_reason) == connected_reason(after);
            (!same).then_some(EventReason::ConnectFailed)
        }
        (_, Phase::Failed) => Some(EventReason::ConnectFailed),
        // Suspended or taken back, or only added and still so: that is what somebody just did.
        (Phase::Available | Phase::Failed, Phase::Available) => None,
    }?;
    Some(Event { reason, note: note(reason, after), warning: after.phase == Phase::Failed })
}

fn secret(verified: &Verified) -> (&str, &str) {
    (&verified.secret_uid, &verified.secret_resource_version)
}

fn note(event: EventReason, after: &PartnerIntegrationStatus) -> String {
    let said = said(after).unwrap_or_default();
    let mut note = match event {
        EventReason::Connected => said.to_owned(),
        EventReason::KeyRotated => format!("The Secret of the key has changed, and its key has been proved. {said}"),
        EventReason::Disconnected | EventReason::ConnectFailed => {
            let reason = connected_reason(after).map_or("", Reason::as_str);
            format!("{reason}: {said}")
        }
    };
    note.truncate(note.floor_char_boundary(LONGEST_NOTE));
    note
}
