//! What is said of a catalogue entry.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::fixture::{partner, start};
use crate::api::Partner;
use crate::core::{PartnerFault, decide_partner};

const FAULTS: [PartnerFault; 4] = [
    PartnerFault::SuccessExpression,
    PartnerFault::RejectedExpression,
    PartnerFault::TrustBundle,
    PartnerFault::Request,
];

fn entry() -> Partner {
    let mut entry = Partner::new("datadog", partner());
    entry.metadata.generation = Some(3);
    entry
}

#[test]
fn a_valid_entry_is_ready_and_lists_its_regions_sorted() {
    let mut entry = entry();
    entry.spec.regions.reverse();
    let status = decide_partner(&entry, None, start()).unwrap();
    assert_eq!((status.observed_generation, status.region_names.as_deref()), (3, Some("eu1,us1")));
    let [ready] = &status.conditions[..] else { panic!("{status:?}") };
    assert_eq!((ready.type_.as_str(), ready.status.as_str(), ready.reason.as_str()), ("Ready", "True", "Valid"));
    assert_eq!(ready.observed_generation, Some(3));
}

#[test]
fn an_entry_with_an_error_is_not_ready_and_stalled() {
    let reasons = ["InvalidExpression", "InvalidExpression", "InvalidTrustBundle", "InvalidRequest"];
    for (fault, reason) in FAULTS.into_iter().zip(reasons) {
        let status = decide_partner(&entry(), Some(fault), start()).unwrap();
        let said: Vec<_> = status.conditions.iter().map(|each| (&*each.type_, &*each.status, &*each.reason)).collect();
        assert_eq!(said, [("Ready", "False", reason), ("Stalled", "True", reason)]);
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    }
}

#[test]
fn what_is_stored_already_is_not_written_again() {
    for fault in FAULTS.into_iter().map(Some).chain([None]) {
        let mut entry = entry();
        entry.status = decide_partner(&entry, fault, start());
        let later = start().checked_add(Duration::from_secs(1000)).unwrap();
        assert_eq!(decide_partner(&entry, fault, later), None);
        entry.metadata.generation = Some(4);
        let status = decide_partner(&entry, fault, later).unwrap();
        assert_eq!(status.observed_generation, 4);
        assert_eq!(status.conditions[0].last_transition_time, Time(start()), "nothing flipped");
    }
}

#[test]
fn a_mended_entry_is_ready_again_from_that_moment() {
    let mut entry = entry();
    entry.status = decide_partner(&entry, Some(PartnerFault::TrustBundle), start());
    let later = start().checked_add(Duration::from_millis(1500)).unwrap();
    let status = decide_partner(&entry, None, later).unwrap();
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(status.conditions[0].last_transition_time.0, start().checked_add(Duration::from_secs(1)).unwrap());
}

#[test]
fn of_an_entry_that_is_being_deleted_nothing_is_written() {
    let mut entry = entry();
    entry.metadata.deletion_timestamp = Some(Time(start()));
    assert_eq!(decide_partner(&entry, None, start()), None);
}

#[test]
fn what_users_read_of_an_entry() {
    let said: Vec<_> = FAULTS
        .into_iter()
        .map(Some)
        .chain([None])
        .map(|fault| decide_partner(&entry(), fault, start()).unwrap().conditions.remove(0))
        .map(|condition| format!("{}: {}", condition.reason, condition.message))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}
