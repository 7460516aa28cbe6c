//! What is said of a catalogue entry.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::fixture::{partner, start};
use crate::api::{Partner, PartnerStatus};
use crate::core::{COUNTS_PACE, Counted, Counts, ObservedPartner, PartnerDecision, PartnerFault, decide_partner};
use jiff::Timestamp;

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

const TWELVE: Counted = Counted::Yes(Counts { integrations: 12, connected: 11 });

fn seen(partner: &Partner, counted: Counted, since_write: Option<Duration>) -> ObservedPartner<'_> {
    ObservedPartner { now: start(), partner, fault: None, counted, since_write }
}

/// What is written while nothing has been written lately.
fn decided(partner: &Partner, fault: Option<PartnerFault>, now: Timestamp) -> Option<PartnerStatus> {
    let decision = decide_partner(&ObservedPartner { now, fault, ..seen(partner, TWELVE, None) });
    assert_eq!(decision.next_look, None);
    decision.status
}

#[test]
fn a_valid_entry_is_ready_and_lists_its_regions_sorted() {
    let mut entry = entry();
    entry.spec.regions.reverse();
    let status = decided(&entry, None, start()).unwrap();
    assert_eq!((status.observed_generation, status.region_names.as_deref()), (3, Some("eu1,us1")));
    let [ready] = &status.conditions[..] else { panic!("{status:?}") };
    assert_eq!((ready.type_.as_str(), ready.status.as_str(), ready.reason.as_str()), ("Ready", "True", "Valid"));
    assert_eq!(ready.observed_generation, Some(3));
}

#[test]
fn an_entry_with_an_error_is_not_ready_and_stalled() {
    let reasons = ["InvalidExpression", "InvalidExpression", "InvalidTrustBundle", "InvalidRequest"];
    for (fault, reason) in FAULTS.into_iter().zip(reasons) {
        let status = decided(&entry(), Some(fault), start()).unwrap();
        let said: Vec<_> = status.conditions.iter().map(|each| (&*each.type_, &*each.status, &*each.reason)).collect();
        assert_eq!(said, [("Ready", "False", reason), ("Stalled", "True", reason)]);
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    }
}

#[test]
fn what_is_stored_already_is_not_written_again() {
    for fault in FAULTS.into_iter().map(Some).chain([None]) {
        let mut entry = entry();
        entry.status = decided(&entry, fault, start());
        let later = start().checked_add(Duration::from_secs(1000)).unwrap();
        assert_eq!(decided(&entry, fault, later), None);
        entry.metadata.generation = Some(4);
        let status = decided(&entry, fault, later).unwrap();
        assert_eq!(status.observed_generation, 4);
        assert_eq!(status.conditions[0].last_transition_time, Time(start()), "nothing flipped");
    }
}

#[test]
fn a_mended_entry_is_ready_again_from_that_moment() {
    let mut entry = entry();
    entry.status = decided(&entry, Some(PartnerFault::TrustBundle), start());
    let later = start().checked_add(Duration::from_millis(1500)).unwrap();
    let status = decided(&entry, None, later).unwrap();
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(status.conditions[0].last_transition_time.0, start().checked_add(Duration::from_secs(1)).unwrap());
}

#[test]
fn of_an_entry_that_is_being_deleted_nothing_is_written() {
    let mut entry = entry();
    entry.metadata.deletion_timestamp = Some(Time(start()));
    assert_eq!(decided(&entry, None, start()), None);
}

/// One whose status says these counts.
fn stored(counted: Counted) -> Partner {
    let mut entry = entry();
    entry.status = decide_partner(&seen(&entry, counted, None)).status;
    entry
}

fn counts(status: Option<&PartnerStatus>) -> (Option<u32>, Option<u32>) {
    status.map_or((None, None), |status| (status.integrations, status.connected))
}

#[test]
fn counts_are_what_was_counted_what_is_stored_until_then_and_absent_where_nobody_counts() {
    let (yes, none) = ((Some(12), Some(11)), (None, None));
    for (before, counted, after) in [
        (Counted::NotYet, TWELVE, yes),
        (TWELVE, Counted::NotYet, yes),
        (Counted::NotYet, Counted::NotYet, none),
        (TWELVE, Counted::Never, none),
    ] {
        let mut entry = stored(before);
        if let Some(status) = decide_partner(&seen(&entry, counted, None)).status {
            entry.status = Some(status);
        }
        assert_eq!(counts(entry.status.as_ref()), after, "{before:?} {counted:?}");
        let nothing = PartnerDecision { status: None, next_look: None };
        assert_eq!(decide_partner(&seen(&entry, counted, None)), nothing, "{before:?} {counted:?}");
    }
}

#[test]
fn counts_and_names_that_change_alone_wait_until_ten_seconds_after_the_last_write() {
    let zero = Counted::Yes(Counts::default());
    let named_otherwise = || {
        let mut entry = stored(TWELVE);
        entry.status.as_mut().unwrap().region_names = Some("mars".to_owned());
        entry
    };
    for (entry, counted) in
        [(stored(zero), TWELVE), (stored(TWELVE), zero), (stored(TWELVE), Counted::Never), (named_otherwise(), TWELVE)]
    {
        for (since, wait) in [(0, 10), (4, 6), (9, 1)] {
            let decision = decide_partner(&seen(&entry, counted, Some(Duration::from_secs(since))));
            let wait = PartnerDecision { status: None, next_look: Some(Duration::from_secs(wait)) };
            assert_eq!(decision, wait, "{since} s after a write");
        }
        for since in [None, Some(COUNTS_PACE), Some(COUNTS_PACE * 2)] {
            let decision = decide_partner(&seen(&entry, counted, since));
            assert!(decision.status.is_some() && decision.next_look.is_none(), "{since:?}");
        }
    }
}

#[test]
fn conditions_and_a_new_generation_are_written_at_once_with_the_counts_of_that_moment() {
    let just_now = Some(Duration::from_millis(1));
    let zero = Counted::Yes(Counts::default());
    let before = stored(zero);
    let broken = ObservedPartner { fault: Some(PartnerFault::TrustBundle), ..seen(&before, TWELVE, just_now) };
    let mut edited = stored(zero);
    edited.metadata.generation = Some(4);
    for decision in [
        decide_partner(&broken),
        decide_partner(&seen(&edited, TWELVE, just_now)),
        decide_partner(&seen(&entry(), TWELVE, just_now)),
    ] {
        assert_eq!(counts(decision.status.as_ref()), (Some(12), Some(11)));
    }
}

#[test]
fn what_users_read_of_an_entry() {
    let said: Vec<_> = FAULTS
        .into_iter()
        .map(Some)
        .chain([None])
        .map(|fault| decided(&entry(), fault, start()).unwrap().conditions.remove(0))
        .map(|condition| format!("{}: {}", condition.reason, condition.message))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}
