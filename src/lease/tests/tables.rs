//! What each situation leads to.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

use crate::lease::candidate::{Action, Candidate, Observed, step};
use crate::lease::record::LeaseRecord;
use crate::lease::{Leading, SettingsError};

const LEASE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Held by `holder` for `duration` seconds, renewed at the wall clock's second 0.
fn held(holder: &str, duration: u64) -> LeaseRecord {
    LeaseRecord {
        holder: Some(holder.to_owned()).filter(|holder| !holder.is_empty()),
        duration: Some(seconds(duration)).filter(|duration| !duration.is_zero()),
        acquired: Some(wall(-60)),
        renewed: Some(wall(0)),
        transitions: 4,
    }
}

#[derive(Debug, PartialEq)]
enum Does {
    Creates,
    Acquires,
    Renews,
    Waits(u64),
}

/// What "me" does `age` seconds after it first saw the record.
fn does(record: Option<&LeaseRecord>, exists: bool, age: u64, wall: Timestamp) -> Does {
    let observed_at = Instant::now();
    let now = observed_at + seconds(age);
    let observed = Observed { record, exists, observed_at, now, wall, identity: "me", lease_duration: LEASE };
    match step(&observed) {
        Action::Create(_) => Does::Creates,
        Action::Acquire(_) => Does::Acquires,
        Action::Renew(_) => Does::Renews,
        Action::Wait(left) => Does::Waits(left.as_secs()),
    }
}

#[test]
fn what_is_done_follows_from_the_holder_and_the_time_since_the_record_changed() {
    use Does::{Acquires, Creates, Renews, Waits};
    let table = [
        ("no lease was ever seen", None, false, 0, Creates),
        ("another's is fresh", Some(held("other", 15)), true, 0, Waits(15)),
        ("another's is nearly over", Some(held("other", 15)), true, 14, Waits(1)),
        ("another's is over", Some(held("other", 15)), true, 15, Acquires),
        ("the holder's duration counts, not one's own", Some(held("other", 40)), true, 20, Waits(20)),
        ("also when it is shorter", Some(held("other", 3)), true, 3, Acquires),
        ("without a duration one's own counts", Some(held("other", 0)), true, 14, Waits(1)),
        ("and is over", Some(held("other", 0)), true, 15, Acquires),
        ("released", Some(held("", 1)), true, 0, Acquires),
        ("mine is fresh", Some(held("me", 15)), true, 2, Renews),
        ("mine is long over and nobody took it", Some(held("me", 15)), true, 900, Renews),
        ("another's was deleted", Some(held("other", 15)), false, 5, Waits(10)),
        ("another's was deleted and is over", Some(held("other", 15)), false, 15, Creates),
        ("an absurd one was deleted", Some(held("other", 1_000_000)), false, 15, Creates),
        ("mine was deleted", Some(held("me", 15)), false, 0, Creates),
        ("a released one was deleted", Some(held("", 1)), false, 0, Creates),
    ];
    for (situation, record, exists, age, expected) in table {
        // Whatever the wall clock says: it is compared with nothing.
        for wall in [wall(0), wall(-1_000_000), wall(1_000_000)] {
            assert_eq!(does(record.as_ref(), exists, age, wall), expected, "{situation}");
        }
    }
}

#[test]
fn each_taking_is_a_transition_and_a_renewal_is_none() {
    let first = LeaseRecord::taken(None, "me", LEASE, wall(0));
    assert_eq!((first.transitions, first.acquired, first.renewed), (0, Some(wall(0)), Some(wall(0))));
    let renewed = first.renewed(LEASE, wall(2));
    assert_eq!((renewed.transitions, renewed.acquired, renewed.renewed), (0, Some(wall(0)), Some(wall(2))));
    let released = renewed.released(wall(3));
    assert_eq!((released.holder.as_deref(), released.transitions), (None, 0));
    let second = LeaseRecord::taken(Some(&released), "other", LEASE, wall(4));
    assert_eq!((second.transitions, second.acquired), (1, Some(wall(4))));
    let most = LeaseRecord { transitions: i32::MAX, ..second };
    assert_eq!(LeaseRecord::taken(Some(&most), "me", LEASE, wall(5)).transitions, i32::MAX);
}

#[test]
fn a_renewal_is_a_change_even_when_the_wall_clock_stands_or_goes_back() {
    let mut record = held("me", 15);
    let mut seen = vec![record.clone()];
    for at in [wall(0), wall(0), wall(-3600), wall(0)] {
        record = record.renewed(LEASE, at);
        assert!(!seen.contains(&record), "{record:?} at {at}");
        seen.push(record.clone());
    }
}

#[test]
fn a_duration_is_written_in_whole_seconds_rounded_up() {
    for (duration, written) in [(1_000, 1), (1_001, 2), (2_500, 3), (15_000, 15)] {
        let mut spec = LeaseSpec::default();
        LeaseRecord::taken(None, "me", Duration::from_millis(duration), wall(0)).write_into(&mut spec);
        assert_eq!(spec.lease_duration_seconds, Some(written));
    }
}

#[test]
fn what_is_written_reads_back_the_same_and_other_fields_stay() {
    let precise = Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap();
    let record = LeaseRecord::taken(Some(&held("other", 3)), "me", LEASE, precise);
    let mut spec = LeaseSpec { strategy: Some("OldestEmulationVersion".to_owned()), ..LeaseSpec::default() };
    record.clone().write_into(&mut spec);
    let text = serde_json::to_string(&spec).unwrap();
    assert!(text.contains(r#""acquireTime":"2027-01-15T08:00:00.123456Z""#), "{text}");
    let spec: LeaseSpec = serde_json::from_str(&text).unwrap();
    assert_eq!(LeaseRecord::from(&spec), record);
    assert_eq!(spec.strategy.as_deref(), Some("OldestEmulationVersion"));
    let mut released = LeaseSpec::default();
    record.released(precise).write_into(&mut released);
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(LeaseRecord::from(&released).holder, None);
}

#[test]
fn a_lease_that_says_nothing_sensible_is_read_as_held_by_nobody() {
    let spec = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(-7),
        lease_transitions: Some(i32::MIN),
        ..LeaseSpec::default()
    };
    let record = LeaseRecord::from(&spec);
    assert_eq!((&record.holder, record.duration), (&None, None));
    assert_eq!(LeaseRecord::taken(Some(&record), "me", LEASE, wall(0)).transitions, 0);
}

fn candidate(now: Instant) -> Candidate {
    Candidate::new("me".to_owned(), LEASE, DEADLINE, now)
}

#[test]
fn the_deadline_counts_from_before_the_write_was_sent() {
    let sent = Instant::now();
    let mut me = candidate(sent);
    me.wrote(held("me", 15), sent, sent + seconds(4));
    assert_eq!(me.leading(), Leading::Leader { term: 1, until: sent + DEADLINE });
    assert!(me.leading().is_leader_at(sent + Duration::from_millis(9_999)));
    assert!(!me.leading().is_leader_at(sent + DEADLINE));
}

#[test]
fn a_term_lasts_over_renewals_and_the_next_one_has_another_number() {
    let now = Instant::now();
    let mut me = candidate(now);
    let term = |me: &Candidate| match me.leading() {
        Leading::Leader { term, .. } => Some(term),
        Leading::Standby => None,
    };
    me.wrote(held("me", 15), now, now);
    me.wrote(held("me", 15), now + seconds(2), now + seconds(2));
    assert_eq!(term(&me), Some(1));
    me.stand_by();
    assert_eq!(term(&me), None);
    me.wrote(held("me", 15), now + seconds(4), now + seconds(4));
    assert_eq!(term(&me), Some(2));
    me.saw(Some(held("other", 15)), now + seconds(5));
    me.wrote(held("me", 15), now + seconds(6), now + seconds(6));
    assert_eq!(term(&me), Some(3));
}

#[test]
fn an_answer_that_comes_after_the_deadline_makes_no_leader() {
    let sent = Instant::now();
    let mut me = candidate(sent);
    me.wrote(held("me", 15), sent, sent + seconds(11));
    assert!(!me.leading().is_leader_at(sent + seconds(11)));
}

#[test]
fn anothers_name_in_the_lease_ends_leading_at_once_and_an_empty_one_too() {
    for other in ["other", ""] {
        let now = Instant::now();
        let mut me = candidate(now);
        me.wrote(held("me", 15), now, now);
        me.saw(Some(held(other, 15)), now);
        assert_eq!(me.leading(), Leading::Standby);
    }
}

#[test]
fn a_lease_deleted_under_the_leader_is_created_again_by_it_while_it_leads_on() {
    let now = Instant::now();
    let mut me = candidate(now);
    me.wrote(held("me", 15), now, now);
    me.saw(None, now + seconds(2));
    assert!(me.leading().is_leader_at(now + seconds(2)));
    assert_eq!(me.own_record(), None, "there is nothing to release");
    assert!(matches!(me.next(now + seconds(2), wall(2)), Action::Create(_)));
}

#[test]
fn an_edit_of_labels_does_not_prolong_a_dead_leaders_lease() {
    // Labels are not part of the record: the same record is seen again.
    let now = Instant::now();
    let mut me = candidate(now);
    for second in 0..15 {
        me.saw(Some(held("other", 15)), now + seconds(second));
        assert!(matches!(me.next(now + seconds(second), wall(0)), Action::Wait(_)), "{second}");
    }
    assert!(matches!(me.next(now + seconds(15), wall(0)), Action::Acquire(_)));
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_what_to_do() {
    let table = [
        ((15_000, 10_000, 2_000), None),
        ((15_000, 15_000, 2_000), Some("--lease-duration longer")),
        ((15_000, 20_000, 2_000), Some("--renew-deadline shorter")),
        ((15_000, 2_400, 2_000), Some("--retry-period shorter")),
        ((15_000, 2_401, 2_000), None),
        ((15_000, 10_000, 0), Some("longer than zero")),
        ((0, 0, 0), Some("longer than zero")),
        ((3_000, 2_000, 500), None),
        (((1 << 31) * 1000, 10_000, 2_000), Some("68 years")),
    ];
    for ((lease, renew, retry), words) in table {
        let found = settings(lease, renew, retry).check().err().map(|error| error.to_string());
        match (&found, words) {
            (None, None) => {}
            (Some(found), Some(words)) if found.contains(words) => {}
            _ => panic!("{lease} {renew} {retry}: {found:?}, not {words:?}"),
        }
    }
    let nameless = crate::lease::Settings { identity: String::new(), ..settings(15_000, 10_000, 2_000) };
    assert_eq!(nameless.check(), Err(SettingsError::Empty("the identity")));
}

fn settings(lease: u64, renew: u64, retry: u64) -> crate::lease::Settings {
    crate::lease::Settings {
        name: "a".to_owned(),
        namespace: "b".to_owned(),
        identity: "c".to_owned(),
        lease_duration: Duration::from_millis(lease),
        renew_deadline: Duration::from_millis(renew),
        retry_period: Duration::from_millis(retry),
    }
}
