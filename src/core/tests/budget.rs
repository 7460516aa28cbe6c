//! Checks at once: a burst of ten, then one a minute, and nothing is lost.

use std::time::Duration;

use super::fixture::{World, failed, start};
use crate::core::{Budget, CheckOrder, Reason, SecretSeen, Verdict};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn ten_at_once_and_then_one_a_minute() {
    let (mut budget, mut now) = (Budget::default(), start());
    for _ in 0..10 {
        assert_eq!(budget.earliest(now), now);
        budget = budget.spend(now);
    }
    for _ in 0..5 {
        let next = budget.earliest(now);
        assert_eq!(next, now.checked_add(MINUTE).unwrap());
        now = next;
        budget = budget.spend(now);
    }
}

#[test]
fn what_is_not_spent_comes_back_up_to_ten() {
    let mut budget = Budget::default();
    for _ in 0..10 {
        budget = budget.spend(start());
    }
    for (minutes, tokens) in [(1, 1), (3, 3), (10, 10), (1000, 10)] {
        let now = start().checked_add(MINUTE * minutes).unwrap();
        let mut budget = budget;
        for _ in 0..tokens {
            assert_eq!(budget.earliest(now), now, "{minutes} minutes");
            budget = budget.spend(now);
        }
        assert_eq!(budget.earliest(now), now.checked_add(MINUTE).unwrap(), "{minutes} minutes");
    }
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_for_longer_than_a_minute() {
    let mut budget = Budget::default();
    for _ in 0..10 {
        budget = budget.spend(start());
    }
    let long_ago = start().checked_sub(Duration::from_secs(1_000_000)).unwrap();
    assert_eq!(budget.earliest(long_ago), long_ago.checked_add(MINUTE).unwrap());
    budget = budget.spend(long_ago.checked_add(MINUTE).unwrap());
    assert!(budget.earliest(long_ago) <= long_ago.checked_add(MINUTE).unwrap());
}

#[test]
fn nor_does_it_when_the_next_look_comes_on_that_clock() {
    let mut world = World::connected();
    for round in 0..20 {
        world.rotate(&format!("1{round:02}"));
        world.step();
    }
    world.now = start().checked_sub(Duration::from_secs(1_000_000)).unwrap();
    assert!(world.wait_for_check() <= MINUTE);
}

#[test]
fn keys_that_are_rotated_all_the_time_are_checked_ten_times_and_then_once_a_minute() {
    let mut world = World::connected();
    world.memory.budget = Budget::default();
    for second in 0..300_u32 {
        world.rotate(&format!("1{second:03}"));
        world.step();
        if world.is_open() {
            world.end(failed(Reason::CredentialRejected));
        }
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.checks, 10 + 4, "ten, and at 60, 120, 180 and 240 seconds");
    // Nothing is lost: the last key is checked within a minute.
    let waited = world.wait_for_check();
    assert!(waited <= MINUTE, "{waited:?}");
    world.end(Verdict::Connected);
    assert!(world.status().connected);
    assert_eq!(world.status().verified.as_ref().unwrap().secret_resource_version, "1299");
}

#[test]
fn a_check_of_the_old_t_is_stopped_even_while_the_new_one_has_to_wait() {
    let mut world = World::connected();
    for round in 0..20 {
        world.rotate(&format!("2{round:02}"));
        world.step();
    }
    assert_eq!(world.checks, 9, "the first of the ten was the one that connected it");
    assert!(!world.is_open(), "no key that is not wanted any longer is sent");
    assert_eq!(world.cancelled, 9);
    let look = world.look.unwrap();
    assert_eq!(look, start().checked_add(MINUTE).unwrap());
    assert!(matches!(world.wait().check, CheckOrder::Start(_)));
}

#[test]
fn suspending_and_resuming_is_within_the_budget() {
    let mut world = World::new();
    for _ in 0..30 {
        world.step();
        if world.is_open() {
            world.end(Verdict::Connected);
        }
        world.edit(|spec| spec.suspend = true);
        world.step();
        world.edit(|spec| spec.suspend = false);
    }
    world.step();
    assert_eq!(world.checks, 10);
    assert_eq!(world.look, start().checked_add(MINUTE).ok());
}

#[test]
fn scheduled_checks_and_retries_cost_nothing() {
    for (mut world, verdict) in
        [(World::connected(), Verdict::Connected), (World::failed(failed(Reason::Timeout)), failed(Reason::Timeout))]
    {
        let before = world.memory.budget;
        for _ in 0..20 {
            world.wait_for_check();
            world.end(verdict.clone());
        }
        assert_eq!(world.memory.budget, before);
    }
}

#[test]
fn a_missing_secret_keeps_the_budget() {
    let mut world = World::connected();
    let before = world.memory.budget;
    world.secret = SecretSeen::Absent;
    world.step();
    assert_eq!(world.memory.budget, before);
}
