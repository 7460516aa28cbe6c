//! The annotation that asks for a check now.

use std::time::Duration;

use super::fixture::{Catalogue, Change, World, answered, failed};
use crate::core::{CheckOrder, Reason, SecretSeen, Verdict, check_request};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_request_is_checked_at_once_and_handled_with_its_outcome() {
    for mut world in [World::connected(), World::failed(failed(Reason::CredentialRejected))] {
        world.request("now");
        let CheckOrder::Start(plan) = world.step().check else { panic!("no check") };
        assert_eq!(plan.request.as_deref(), Some("now"));
        assert_eq!((world.writes, world.handled()), (0, None), "not before the outcome");
        world.end(Verdict::Connected);
        assert_eq!((world.writes, world.handled()), (1, Some("now")));
        world.step();
        assert_eq!((world.writes, world.checks), (1, 1), "once");
    }
}

#[test]
fn every_outcome_handles_it() {
    let verdicts = [
        Verdict::Connected,
        failed(Reason::Timeout),
        failed(Reason::InvalidCredential),
        Verdict::NotMade(Reason::SecretKeyNotFound),
    ];
    for verdict in verdicts {
        let mut world = World::connected();
        world.request("now");
        world.step();
        world.end(verdict.clone());
        assert_eq!(world.handled(), Some("now"), "{verdict:?}");
    }
}

#[test]
fn handled_is_the_value_that_was_read_when_the_check_was_planned() {
    let mut world = World::connected();
    world.request("a");
    world.step();
    world.request("b");
    world.step();
    assert_eq!((world.checks, world.cancelled), (1, 0), "the same T: it goes on");
    world.end(Verdict::Connected);
    assert_eq!(world.handled(), Some("a"));
    assert_eq!(world.checks, 2, "and b has one of its own");
    world.end(Verdict::Connected);
    assert_eq!((world.handled(), world.is_open()), (Some("b"), false));
}

#[test]
fn a_newer_value_takes_the_place_of_an_unhandled_older_one() {
    let mut world = World::connected();
    for value in 0..30 {
        world.request(&value.to_string());
        world.step();
        if world.is_open() {
            world.end(Verdict::Connected);
        }
    }
    assert_eq!((world.checks, world.handled()), (9, Some("8")), "the budget is used up");
    world.wait_for_check();
    world.end(Verdict::Connected);
    assert_eq!((world.checks, world.handled()), (10, Some("29")), "those between have had their place taken");
}

#[test]
fn only_the_first_64_characters_count() {
    let (long, same) = ("ä".repeat(70), format!("{}other end", "ä".repeat(64)));
    let mut world = World::connected();
    world.request(&long);
    assert_eq!(check_request(&world.integration).unwrap().chars().count(), 64);
    world.step();
    world.end(Verdict::Connected);
    assert_eq!(world.handled(), Some("ä".repeat(64).as_str()));
    world.request(&same);
    world.step();
    assert_eq!(world.checks, 1, "the difference lies behind them");
    for (value, kept) in [("", 0), ("x", 1), (&"x".repeat(64), 64), (&"x".repeat(65), 64)] {
        world.request(value);
        assert_eq!(check_request(&world.integration).unwrap().len(), kept);
    }
}

#[test]
fn a_request_that_is_withdrawn_is_none_and_the_handled_one_stays() {
    let mut world = World::connected();
    world.request("a");
    world.step();
    world.end(Verdict::Connected);
    world.integration.metadata.annotations = None;
    world.step();
    assert_eq!((world.checks, world.writes, world.handled()), (1, 1, Some("a")));
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    assert_eq!(world.handled(), Some("a"));
    world.secret = SecretSeen::Absent;
    world.step();
    assert_eq!(world.handled(), Some("a"));
}

#[test]
fn where_nothing_can_be_sent_it_is_handled_with_that_status() {
    let rows: [Change; 7] = [
        |world| world.edit(|spec| spec.suspend = true),
        |world| world.catalogue = Catalogue::Absent,
        |world| world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None)),
        |world| world.catalogue = Catalogue::Unreadable,
        |world| world.edit(|spec| spec.region = Some("mars".to_owned())),
        |world| world.forbidden = true,
        |world| world.secret = SecretSeen::Absent,
    ];
    for make in rows {
        let mut world = World::new();
        make(&mut world);
        world.request("a");
        world.step();
        assert_eq!((world.writes, world.checks, world.handled()), (1, 0, Some("a")));
        world.request("b");
        world.step();
        assert_eq!((world.writes, world.checks, world.handled()), (2, 0, Some("b")));
    }
}

#[test]
fn it_is_not_checked_twice_when_what_stood_in_the_way_has_gone() {
    let mut world = World::connected();
    world.secret = SecretSeen::Absent;
    world.request("a");
    world.step();
    world.secret = SecretSeen::Present(super::fixture::version("secret-1", "101"));
    world.step();
    world.end(Verdict::Connected);
    world.step();
    assert_eq!((world.checks, world.is_open()), (1, false));
}

#[test]
fn a_request_never_undercuts_a_retry_after() {
    for (reason, code) in [(Reason::RateLimited, 429), (Reason::PartnerUnavailable, 503)] {
        let mut world = World::failed(answered(reason, code, Some(1000)));
        for second in 0..100 {
            world.request(&second.to_string());
            assert_eq!(world.step().check, CheckOrder::Leave, "{reason}");
            world.advance(secs(1));
        }
        let waited = world.wait_for_check();
        assert_eq!(waited, secs(900), "{reason}");
        world.end(Verdict::Connected);
        assert_eq!((world.checks, world.handled()), (1, Some("99")), "{reason}: and it is not lost");
    }
}

#[test]
fn a_request_undercuts_what_the_operator_adds_to_a_retry_after() {
    let mut world = World::failed(answered(Reason::RateLimited, 429, Some(1)));
    world.integration.status.as_mut().unwrap().failing.as_mut().unwrap().count = 9;
    world.wait_for_check();
    world.draw = 0.999;
    world.end(answered(Reason::RateLimited, 429, Some(10)));
    world.request("now");
    assert_eq!(world.step().next_look, Some(secs(10)), "not five minutes, and not now");
}

#[test]
fn nor_does_it_below_the_threshold() {
    let mut world = World::connected();
    world.wait_for_check();
    world.end(answered(Reason::RateLimited, 429, Some(1000)));
    assert_eq!(world.reason(), Reason::CheckFailing);
    world.request("now");
    assert_eq!(world.step().next_look, Some(secs(1000)));
    world.restart();
    assert_eq!(world.look.unwrap().duration_since(world.now).as_secs(), 1000, "also after a restart");
}

#[test]
fn nor_after_a_restart() {
    for (reason, code) in [(Reason::RateLimited, 429), (Reason::PartnerUnavailable, 503)] {
        let mut world = World::failed(answered(reason, code, Some(1000)));
        world.request("now");
        world.advance(secs(10));
        for draw in [0.0, 0.999] {
            world.draw = draw;
            world.restart();
            assert_eq!(world.look.unwrap().duration_since(world.now).as_secs(), 990, "{reason}");
        }
        assert!(matches!(world.wait().check, CheckOrder::Start(_)));
    }
}

#[test]
fn what_did_not_ask_for_rest_is_checked_at_once_also_after_a_restart() {
    for reason in [Reason::Timeout, Reason::CredentialRejected, Reason::DnsFailure, Reason::InvalidCredential] {
        let mut world = World::failed(failed(reason));
        world.draw = 0.999;
        world.request("now");
        assert!(matches!(world.restart().check, CheckOrder::Start(_)), "{reason}");
    }
    let mut world = World::connected();
    world.request("now");
    assert!(matches!(world.restart().check, CheckOrder::Start(_)));
}

#[test]
fn a_key_that_could_not_be_read_is_looked_for_at_once() {
    let mut world = World::new();
    world.step();
    world.end(Verdict::NotMade(Reason::SecretKeyNotFound));
    world.request("now");
    assert!(matches!(world.step().check, CheckOrder::Start(_)));
    world.end(Verdict::NotMade(Reason::SecretKeyNotFound));
    assert_eq!(world.handled(), Some("now"));
}

#[test]
fn one_that_is_due_anyway_costs_no_budget() {
    let mut world = World::connected();
    let before = world.memory.budget;
    world.now = world.look.unwrap();
    world.request("now");
    let CheckOrder::Start(plan) = world.step().check else { panic!("no check") };
    assert_eq!((plan.request.as_deref(), world.memory.budget), (Some("now"), before));
}
