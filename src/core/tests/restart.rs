//! After a restart or a takeover: the new process knows nothing but what the status says.

use std::time::Duration;

use super::fixture::{World, answered, failed, version};
use crate::core::{AnchorKind, CheckOrder, Reason, SecretSeen, Verdict};

const DRAWS: [f64; 3] = [0.0, 0.5, 0.999];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_connected_integration_is_checked_between_a_minute_or_a_tenth_of_its_interval_and_its_interval() {
    for (interval, soonest) in [("30s", 3), ("10m", 60), ("11m", 60), ("5m", 30), ("24h", 60)] {
        for draw in DRAWS {
            let mut world = World::connected();
            world.partner.check.interval = interval.parse().unwrap();
            world.draw = draw;
            let decision = world.restart();
            let longest = world.partner.check.interval.get();
            let soonest = secs(soonest);
            assert_eq!(decision.next_look, Some(soonest + (longest - soonest).mul_f64(draw)), "{interval} {draw}");
            assert_eq!((decision.check, decision.status), (CheckOrder::Leave, None));
            assert_eq!(world.memory.anchor.as_ref().unwrap().kind, AnchorKind::Found);
        }
    }
}

#[test]
fn each_process_draws_anew_but_only_once() {
    let mut world = World::connected();
    world.draw = 0.25;
    world.restart();
    let planned = world.look;
    world.draw = 0.75;
    world.step();
    assert_eq!(world.look, planned, "the same process does not draw again");
    world.restart();
    assert_ne!(world.look, planned, "another one does");
}

#[test]
fn a_t_that_equals_failing_is_checked_at_not_before_while_that_lies_ahead() {
    for draw in DRAWS {
        let mut world = World::failed(failed(Reason::CredentialRejected));
        let not_before = world.status().failing.as_ref().unwrap().not_before.0;
        world.advance(secs(100));
        world.draw = draw;
        assert_eq!(world.restart().check, CheckOrder::Leave);
        assert_eq!(world.look, Some(not_before));
        // However often somebody takes over.
        world.advance(secs(499));
        world.restart();
        assert_eq!(world.look, Some(not_before));
        assert!(matches!(world.wait().check, CheckOrder::Start(_)));
    }
}

#[test]
fn once_not_before_has_passed_the_time_is_drawn_up_to_the_full_delay() {
    for (reason, full) in [(Reason::CredentialRejected, 600.0), (Reason::Timeout, 1.0)] {
        for draw in DRAWS {
            let mut world = World::failed(failed(reason));
            world.advance(secs(5000));
            world.draw = draw;
            let decision = world.restart();
            let drawn = Duration::from_secs_f64(full).mul_f64(draw);
            if draw == 0.0 {
                assert!(matches!(decision.check, CheckOrder::Start(_)));
            } else {
                assert_eq!(decision.next_look, Some(drawn), "{reason} {draw}");
            }
            assert_eq!(world.memory.budget, crate::core::Budget::default(), "a scheduled check costs no budget");
        }
    }
}

#[test]
fn not_before_itself_is_in_the_past_at_that_moment() {
    // Exactly at notBefore it does not lie ahead any more.
    let mut world = World::failed(failed(Reason::CredentialRejected));
    world.now = world.status().failing.as_ref().unwrap().not_before.0;
    assert_eq!(world.restart().next_look, Some(secs(300)));
}

#[test]
fn below_the_threshold_the_same_rows_hold() {
    let mut world = World::connected();
    world.partner.check.failure_threshold = 10;
    world.partner.check.interval = "24h".parse().unwrap();
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    world.integration.status.as_mut().unwrap().failing.as_mut().unwrap().count = 9;
    // The longest that was drawn when it was written: 2560 s and a fifth of it.
    let longest = secs(3072);
    world.integration.status.as_mut().unwrap().failing.as_mut().unwrap().not_before.0 =
        world.now.checked_add(longest).unwrap();
    assert_eq!(world.restart().next_look, Some(longest));
    world.advance(longest);
    assert_eq!(world.restart().next_look, Some(secs(1280)));
}

#[test]
fn the_longest_delay_below_the_threshold_is_kept_over_a_restart() {
    // Ten failures were counted under a threshold that has been raised since.
    let mut world = World::connected();
    world.partner.check.failure_threshold = 10;
    world.partner.check.interval = "24h".parse().unwrap();
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    let failing = world.integration.status.as_mut().unwrap().failing.as_mut().unwrap();
    failing.count = 10;
    failing.not_before.0 = world.now.checked_add(secs(6144)).unwrap();
    assert_eq!(world.restart().next_look, Some(secs(6144)));
}

#[test]
fn a_not_before_that_no_delay_can_reach_is_brought_back() {
    for reason in [Reason::CredentialRejected, Reason::Timeout] {
        let mut world = World::failed(failed(reason));
        world.integration.status.as_mut().unwrap().failing.as_mut().unwrap().not_before.0 =
            world.now.checked_add(secs(1_000_000)).unwrap();
        assert_eq!(world.restart().next_look, Some(secs(3600)), "{reason}");
    }
}

#[test]
fn a_t_that_differs_is_checked_at_once() {
    for from in [World::connected(), World::failed(failed(Reason::CredentialRejected))] {
        for (uid, resource_version) in [("secret-1", "101"), ("secret-2", "100")] {
            let mut world = from.clone();
            world.secret = SecretSeen::Present(version(uid, resource_version));
            assert!(matches!(world.restart().check, CheckOrder::Start(_)));
        }
        let mut world = from.clone();
        world.partner.check.path = "/v2".to_owned();
        assert!(matches!(world.restart().check, CheckOrder::Start(_)));
    }
}

#[test]
fn failures_of_another_t_than_the_proved_one_are_checked_at_once() {
    let mut world = World::connected();
    world.rotate("101");
    world.step();
    world.end(failed(Reason::Timeout));
    assert_eq!(world.reason(), Reason::CheckFailing);
    world.rotate("100");
    assert!(matches!(world.restart().check, CheckOrder::Start(_)));
    world.end(Verdict::Connected);
    assert_eq!((world.reason(), world.count()), (Reason::Connected, None));
}

#[test]
fn what_nobody_has_looked_at_and_what_was_suspended_is_checked_at_once() {
    assert!(matches!(World::new().restart().check, CheckOrder::Start(_)));
    let mut world = World::connected();
    world.edit(|spec| spec.suspend = true);
    world.step();
    world.edit(|spec| spec.suspend = false);
    assert!(matches!(world.restart().check, CheckOrder::Start(_)));
}

#[test]
fn a_thousand_restarts_write_nothing_and_check_nothing_of_what_is_known() {
    for mut world in [
        World::connected(),
        World::failed(failed(Reason::CredentialRejected)),
        World::failed(answered(Reason::RateLimited, 429, Some(60))),
    ] {
        for step in 0..1000 {
            world.draw = 0.001 * f64::from(step);
            world.restart();
        }
        assert_eq!((world.writes, world.checks), (0, 0));
    }
}
