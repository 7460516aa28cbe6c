//! What the operator says of a catalogue entry.

use jiff::Timestamp;

use super::PartnerFault;
use super::status::condition;
use crate::api::{Partner, PartnerStatus};

/// The status of a partner; `None` when what is stored says it already.
#[must_use]
pub fn decide_partner(partner: &Partner, fault: Option<PartnerFault>, now: Timestamp) -> Option<PartnerStatus> {
    if partner.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let generation = partner.metadata.generation.unwrap_or_default();
    let before = partner.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let (reason, message) = explain(fault);
    let say = |kind, is| condition(before, kind, is, reason, message.to_owned(), generation, now);
    let mut conditions = vec![say("Ready", fault.is_none())];
    if fault.is_some() {
        conditions.push(say("Stalled", true));
    }
    let mut names: Vec<_> = partner.spec.regions.iter().map(|region| region.name.as_str()).collect();
    names.sort_unstable();
    let status = PartnerStatus { observed_generation: generation, region_names: Some(names.join(",")), conditions };
    (partner.status.as_ref() != Some(&status)).then_some(status)
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
