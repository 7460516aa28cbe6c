//! When a check is made again, by class and count, with the bounds of every draw.

use std::time::Duration;

use jiff::Timestamp;

use super::fixture::{Change, World, answered, failed};
use crate::api::Phase;
use crate::core::binding::is_about_bindings;
use crate::core::{AnchorKind, CheckOrder, Class, Reason, Verdict};

const DRAWS: [f64; 3] = [0.0, 0.5, 0.999];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The outcome of a check that makes the count `count`, with this draw; time since the check's end until the next.
fn delay_after(world: &World, count: u32, verdict: &Verdict, draw: f64) -> (World, Duration) {
    let mut world = world.clone();
    if count > 1 {
        let failing = world.integration.status.as_mut().unwrap().failing.as_mut().unwrap();
        failing.count = (count - 1).min(10);
        failing.not_before.0 = world.now;
    }
    if !world.is_open() {
        world.restart();
        world.wait_for_check();
    }
    world.draw = draw;
    // Not on a whole second, so that rounding shows.
    world.now = Timestamp::from_second(world.now.as_second() + 1).unwrap();
    world.answer_after(Duration::from_millis(300), verdict.clone());
    let ended = world.now;
    world.step();
    assert_eq!(world.count().unwrap_or_default(), if verdict == &Verdict::Connected { 0 } else { count.min(10) });
    let next = world.look.unwrap();
    world.now = next.checked_sub(Duration::from_nanos(1)).unwrap();
    assert_eq!(world.step().check, CheckOrder::Leave, "not before it is due");
    world.now = next;
    assert!(matches!(world.step().check, CheckOrder::Start(_)), "when it is due");
    (world, Duration::try_from(next.duration_since(ended)).unwrap())
}

/// The delay that is meant, counted from 300 ms after a whole second and then rounded up to one.
fn rounded_up(delay: Duration) -> Duration {
    let whole = (delay + Duration::from_millis(300)).as_nanos().div_ceil(1_000_000_000);
    secs(u64::try_from(whole).unwrap()).checked_sub(Duration::from_millis(300)).unwrap_or_default()
}

#[test]
fn a_connected_integration_is_proved_again_after_its_interval_and_ten_percent_either_way() {
    for interval in ["30s", "10m", "1h", "24h"] {
        for draw in DRAWS {
            let mut world = World::new();
            world.partner.check.interval = interval.parse().unwrap();
            world.step();
            let (_, delay) = delay_after(&world, 1, &Verdict::Connected, draw);
            let interval = world.partner.check.interval.get();
            assert_eq!(delay, interval.mul_f64(0.9 + 0.2 * draw));
            assert!(delay >= interval.mul_f64(0.9) && delay <= interval.mul_f64(1.1));
        }
    }
}

/// first × 2^(count − 1), at most the last, written out.
const TRANSIENT: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
const NEEDS_PERSON: [u64; 11] = [600, 1200, 2400, 3600, 3600, 3600, 3600, 3600, 3600, 3600, 3600];
const BELOW_THRESHOLD: [u64; 9] = [10, 20, 40, 80, 160, 320, 640, 1280, 2560];

fn of_class(class: Class) -> impl Iterator<Item = Reason> {
    let by_check = |reason: &Reason| {
        !matches!(reason, Reason::PartnerInvalid | Reason::RegionNotFound) && !is_about_bindings(*reason)
    };
    Reason::ALL.into_iter().filter(move |reason| reason.class() == Some(class)).filter(by_check)
}

#[test]
fn a_transient_failure_is_tried_again_from_one_second_to_five_minutes_with_full_jitter() {
    for reason in of_class(Class::Transient) {
        let world = World::failed(failed(reason));
        for (count, full) in (1..).zip(TRANSIENT) {
            for draw in DRAWS {
                let world = if count == 1 { opened() } else { world.clone() };
                let (_, delay) = delay_after(&world, count, &failed(reason), draw);
                assert_eq!(delay, rounded_up(secs(full).mul_f64(draw)), "{reason} {count} {draw}");
            }
        }
    }
}

fn opened() -> World {
    let mut world = World::new();
    world.step();
    world
}

#[test]
fn what_needs_a_person_is_tried_again_from_ten_minutes_to_an_hour_whatever_the_draw() {
    for reason in of_class(Class::NeedsPerson) {
        let world = World::failed(failed(reason));
        for (count, full) in (1..).zip(NEEDS_PERSON) {
            for draw in DRAWS {
                let world = if count == 1 { opened() } else { world.clone() };
                let (_, delay) = delay_after(&world, count, &failed(reason), draw);
                assert_eq!(delay, rounded_up(secs(full)), "{reason} {count}");
            }
        }
    }
}

#[test]
fn below_the_threshold_it_is_ten_seconds_doubling_and_twenty_percent_either_way_within_the_interval() {
    for (interval, cap) in [("30s", 30), ("10m", 600), ("24h", 86400)] {
        let mut world = World::connected();
        world.partner.check.failure_threshold = 10;
        world.partner.check.interval = interval.parse().unwrap();
        world.wait_for_check();
        let first = world.clone();
        world.end(failed(Reason::Timeout));
        for (count, full) in (1..).zip(BELOW_THRESHOLD) {
            for draw in DRAWS {
                let world = if count == 1 { &first } else { &world };
                let (after, delay) = delay_after(world, count, &failed(Reason::TlsFailed), draw);
                let meant = secs(full.min(cap)).mul_f64(0.8 + 0.4 * draw).min(secs(cap));
                assert_eq!(delay, rounded_up(meant), "{interval} {count} {draw}");
                assert_eq!((after.status().phase, after.reason()), (Phase::Enabled, Reason::CheckFailing));
            }
        }
    }
}

#[test]
fn the_delay_goes_by_the_count_whatever_classes_were_counted() {
    let mut world = World::failed(failed(Reason::Timeout));
    for (reason, delay) in
        [(Reason::DnsFailure, 1), (Reason::CredentialRejected, 2400), (Reason::Timeout, 4), (Reason::TlsFailed, 3600)]
    {
        world.wait_for_check();
        world.draw = 0.5;
        let ended = world.now;
        world.end(failed(reason));
        assert_eq!(world.look.unwrap().duration_since(ended).as_secs(), delay, "{reason}");
    }
}

#[test]
fn where_a_check_failed_the_longer_of_delay_and_retry_after_counts() {
    for (reason, code) in [(Reason::RateLimited, 429), (Reason::PartnerUnavailable, 503)] {
        for (asked, full, count) in [(1, 1, 1), (7, 1, 1), (3600, 300, 11), (2, 300, 10)] {
            for draw in DRAWS {
                let world = if count == 1 { opened() } else { World::failed(failed(reason)) };
                let (_, delay) = delay_after(&world, count, &answered(reason, code, Some(asked)), draw);
                let meant = secs(full).mul_f64(draw).max(secs(asked));
                assert_eq!(delay, rounded_up(meant), "{reason} {asked} {full} {draw}");
            }
        }
    }
}

#[test]
fn below_the_threshold_retry_after_counts_too_even_beyond_the_interval() {
    let mut world = World::connected();
    world.partner.check.interval = "30s".parse().unwrap();
    world.wait_for_check();
    let (world, delay) = delay_after(&world, 1, &answered(Reason::RateLimited, 429, Some(100)), 0.5);
    assert_eq!(delay, rounded_up(secs(100)));
    assert_eq!(world.reason(), Reason::CheckFailing);
}

#[test]
fn not_before_is_the_moment_of_the_next_check_rounded_up_to_the_second() {
    for (nanos, seconds) in [(0, 0), (1, 1), (300_000_000, 1), (999_999_999, 1)] {
        let mut world = opened();
        world.now = world.now.checked_add(Duration::from_nanos(nanos)).unwrap();
        world.end(failed(Reason::CredentialRejected));
        let not_before = world.status().failing.as_ref().unwrap().not_before.0;
        assert_eq!(not_before, super::fixture::start().checked_add(secs(600 + seconds)).unwrap());
        assert_eq!(world.look.unwrap(), not_before);
    }
}

#[test]
fn what_waits_for_a_watched_object_is_looked_at_every_ten_minutes() {
    let waits: [Change; 5] = [
        |world| world.catalogue = super::fixture::Catalogue::Absent,
        |world| world.secret = crate::core::SecretSeen::Absent,
        |world| world.secret = crate::core::SecretSeen::Forbidden,
        |world| world.edit(|spec| spec.region = Some("mars".to_owned())),
        |world| {
            world.step();
            world.end(Verdict::NotMade(Reason::SecretKeyNotFound));
        },
    ];
    for make in waits {
        let mut world = World::new();
        make(&mut world);
        let began = world.now;
        if world.writes == 0 {
            world.step();
        }
        assert_eq!(world.look, began.checked_add(secs(600)).ok());
        let (writes, status) = (world.writes, world.status().clone());
        world.wait();
        if world.is_open() {
            world.end(Verdict::NotMade(Reason::SecretKeyNotFound));
        }
        assert_eq!((world.writes, world.status()), (writes, &status), "looking again changes nothing");
    }
}

#[test]
fn what_needs_no_look_has_none() {
    let rest: [Change; 3] = [
        |world| world.edit(|spec| spec.suspend = true),
        |world| world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None)),
        World::delete,
    ];
    for make in rest {
        let mut world = World::new();
        make(&mut world);
        world.step();
        assert_eq!((world.look, world.checks), (None, 0));
    }
}

#[test]
fn another_interval_is_planned_anew_without_a_check() {
    let mut world = World::connected();
    world.partner.check.interval = "1h".parse().unwrap();
    assert_eq!(world.step().next_look, Some(secs(3600)));
    world.advance(secs(300));
    world.partner.check.interval = "10m".parse().unwrap();
    assert_eq!(world.step().next_look, Some(secs(300)), "counted from the check that there was");
    world.partner.check.interval = "30s".parse().unwrap();
    assert!(matches!(world.step().check, CheckOrder::Start(_)));
    assert_eq!(world.memory.budget, World::connected().memory.budget, "a scheduled check costs no budget");
    assert_eq!(world.writes, 0);
}

#[test]
fn the_time_of_another_ts_check_is_not_counted_from() {
    let mut world = World::connected();
    let mut anchor = world.memory.anchor.clone().unwrap();
    anchor.tuple.secret.resource_version = "99".to_owned();
    world.memory.anchor = Some(anchor);
    world.advance(secs(3600));
    assert_eq!(world.step().check, CheckOrder::Leave, "by that one it would have been due for long");
    let anchor = world.memory.anchor.unwrap();
    assert_eq!((anchor.tuple, anchor.at, anchor.kind), (World::connected().tuple(), world.now, AnchorKind::Found));
}

#[test]
fn edits_that_t_does_not_depend_on_cause_no_check() {
    let edits: [fn(&mut World); 4] = [
        |world| world.partner.check.timeout = "7s".parse().unwrap(),
        |world| world.partner.check.failure_threshold = 7,
        |world| world.partner.check.max_per_second = Some(3),
        |world| world.partner.description = Some("other".to_owned()),
    ];
    for edit in edits {
        let mut world = World::connected();
        edit(&mut world);
        world.step();
        assert_eq!((world.checks, world.writes), (0, 0));
    }
}
