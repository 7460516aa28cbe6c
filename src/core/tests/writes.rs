//! When the status is written, and what moves in it.

use std::time::Duration;

use super::fixture::{Catalogue, Change, World, answered, failed, start};
use super::invariants::condition;
use crate::core::{CheckOrder, Reason, SecretSeen, Verdict};
use jiff::Timestamp;

fn since(world: &World, kind: &str) -> Option<Timestamp> {
    condition(world.status(), kind).map(|condition| condition.last_transition_time.0)
}

#[test]
fn a_new_integration_costs_one_write_and_one_check() {
    let mut world = World::new();
    world.step();
    world.step();
    world.answer_after(Duration::from_millis(80), Verdict::Connected);
    for _ in 0..10 {
        world.step();
    }
    assert_eq!((world.writes, world.checks), (1, 1));
}

#[test]
fn a_transition_time_moves_only_when_the_status_flips() {
    let mut world = World::connected();
    let connected_since = since(&world, "Connected");
    assert_eq!(connected_since, Some(start()), "Unknown has turned to True");
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    assert_eq!(world.reason(), Reason::CheckFailing);
    assert_eq!(since(&world, "Connected"), connected_since, "another reason, the same status");
    assert_eq!(since(&world, "Ready"), connected_since);
    for _ in 0..2 {
        world.wait_for_check();
        world.end(failed(Reason::Timeout));
    }
    let flipped = since(&world, "Connected");
    assert_eq!(flipped, Timestamp::from_second(world.now.as_second()).ok());
    assert_eq!((since(&world, "Ready"), since(&world, "Reconciling")), (flipped, flipped));
    world.wait_for_check();
    world.end(failed(Reason::DnsFailure));
    assert_eq!((since(&world, "Ready"), since(&world, "Reconciling")), (flipped, flipped), "still the same");
    world.wait_for_check();
    let now = Timestamp::from_second(world.now.as_second()).ok();
    world.end(failed(Reason::TlsFailed));
    assert_ne!(now, flipped);
    assert_eq!((since(&world, "Ready"), since(&world, "Reconciling"), since(&world, "Stalled")), (flipped, None, now));
}

#[test]
fn ready_and_connected_flip_each_by_itself() {
    let mut world = World::connected();
    world.advance(Duration::from_secs(5));
    world.edit(|spec| spec.suspend = true);
    world.step();
    assert_eq!(since(&world, "Ready"), Some(start()), "still True");
    assert_eq!(since(&world, "Connected"), start().checked_add(Duration::from_secs(5)).ok());
}

#[test]
fn the_same_failure_at_a_count_of_ten_writes_nothing() {
    for verdict in [failed(Reason::Timeout), answered(Reason::CredentialRejected, 401, None)] {
        let mut world = World::failed(verdict.clone());
        for expected in [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9] {
            world.wait_for_check();
            world.end(verdict.clone());
            assert_eq!(world.writes, expected, "{verdict:?}");
        }
        world.wait_for_check();
        world.end(failed(Reason::DnsFailure));
        assert_eq!(world.writes, 10, "another reason is told");
        let status = world.status().failing.clone().unwrap();
        assert_eq!(Some(status.not_before.0), world.look, "and notBefore goes with it");
    }
}

#[test]
fn until_a_count_of_ten_another_code_of_the_same_reason_is_told_and_then_what_was_said_last_stays() {
    let mut world = World::failed(answered(Reason::UnexpectedResponse, 500, None));
    let mut told = |code| {
        world.wait_for_check();
        world.end(answered(Reason::UnexpectedResponse, code, None));
        let failing = world.status().failing.as_ref().unwrap().count;
        (failing, condition(world.status(), "Connected").unwrap().message.contains(&code.to_string()))
    };
    for count in 2..=10 {
        assert_eq!(told(500 + u16::try_from(count).unwrap()), (count, true));
    }
    assert_eq!(told(500), (10, false));
}

#[test]
fn not_before_alone_is_no_reason_to_write() {
    let mut world = World::failed(failed(Reason::CredentialRejected));
    let before = world.status().clone();
    world.integration.status.as_mut().unwrap().failing.as_mut().unwrap().count = 10;
    world.wait_for_check();
    world.end(failed(Reason::CredentialRejected));
    let after = world.status();
    assert_eq!(world.writes, 0);
    assert_eq!(after.failing.as_ref().unwrap().not_before, before.failing.unwrap().not_before);
    assert_eq!(world.look.unwrap().duration_since(world.now).as_secs(), 3600, "but it is planned anew");
    // A check request that is answered is a change, so the new time goes along.
    world.request("now");
    world.step();
    world.end(failed(Reason::CredentialRejected));
    assert_eq!(world.writes, 1);
    assert_eq!(Some(world.status().failing.as_ref().unwrap().not_before.0), world.look);
}

#[test]
fn while_t_is_not_known_nothing_is_written() {
    let mut world = World::connected();
    world.rotate("101");
    world.edit(|spec| spec.region = Some("us1".to_owned()));
    world.partner.display_name = "Another name".to_owned();
    for _ in 0..5 {
        world.step();
    }
    assert_eq!((world.writes, world.checks), (0, 1));
}

#[test]
fn the_same_situation_again_writes_nothing() {
    let rows: [Change; 6] = [
        |world| world.edit(|spec| spec.suspend = true),
        |world| world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None)),
        |world| world.catalogue = Catalogue::Absent,
        |world| world.secret = SecretSeen::Absent,
        |world| world.secret = SecretSeen::Forbidden,
        |world| world.forbidden = true,
    ];
    for make in rows {
        let mut world = World::connected();
        make(&mut world);
        for _ in 0..3 {
            world.step();
            world.advance(Duration::from_secs(1000));
        }
        world.restart();
        assert_eq!(world.writes, 1);
    }
}

#[test]
fn an_edit_that_does_not_change_t_is_written_once_and_checks_nothing() {
    for mut world in [World::connected(), World::failed(answered(Reason::CredentialRejected, 401, None))] {
        let before = world.status().clone();
        world.edit(|spec| spec.suspend = true);
        world.edit(|spec| spec.suspend = false);
        world.step();
        world.step();
        assert_eq!((world.writes, world.checks), (1, 0));
        let after = world.status();
        assert_eq!(after.observed_generation, 3);
        assert!(after.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
        let plain = |status: &crate::api::PartnerIntegrationStatus| {
            let mut status = status.clone();
            status.observed_generation = 0;
            status.conditions.iter_mut().for_each(|condition| condition.observed_generation = None);
            status
        };
        assert_eq!(plain(after), plain(&before));
    }
}

#[test]
fn another_display_name_is_told_without_a_check_and_the_detail_stays() {
    for mut world in [World::connected(), World::failed(answered(Reason::UnexpectedResponse, 404, None))] {
        let before = world.status().clone();
        world.partner.display_name = "Dog of data (EU)".to_owned();
        world.step();
        let said = condition(world.status(), "Connected").unwrap().message.clone();
        assert!(said.starts_with("Dog of data (EU) "), "{said}");
        assert_eq!(said.ends_with(" (HTTP 404)"), !world.status().connected, "{said}");
        world.partner.display_name = "Datadog".to_owned();
        world.step();
        assert_eq!((world.status(), world.writes, world.checks), (&before, 2, 0), "there and back");
    }
    let mut world = World::connected();
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    world.partner.display_name = "Dog".to_owned();
    world.step();
    assert!(condition(world.status(), "Ready").unwrap().message.ends_with(" (Timeout)"));
}

#[test]
fn a_detail_that_somebody_else_wrote_is_not_kept() {
    let mut failing = World::connected();
    failing.wait_for_check();
    failing.end(failed(Reason::Timeout));
    let worlds = [
        (World::connected(), "in region eu1."),
        (failing, "threshold is reached."),
        (World::failed(failed(Reason::Timeout)), "in time."),
        (World::failed(answered(Reason::UnexpectedResponse, 404, None)), "correct the check."),
    ];
    for (mut world, ending) in worlds {
        for foreign in ["(the key is 123)", "(HTTP abc)", "(HTTP 12345)", "(Connected)", "(HTTP 404", "(x) HTTP 404)"] {
            for condition in &mut world.integration.status.as_mut().unwrap().conditions {
                condition.message = format!("Datadog. {foreign}");
            }
            world.step();
            let said = &condition(world.status(), "Connected").unwrap().message;
            assert!(said.ends_with(ending), "{said}");
        }
    }
}

#[test]
fn what_somebody_else_changed_in_the_status_is_put_right() {
    type Break = fn(&mut crate::api::PartnerIntegrationStatus);
    let breaks: [Break; 9] = [
        |status| status.failing = World::failed(failed(Reason::Timeout)).status().failing.clone(),
        |status| status.conditions.clear(),
        |status| status.conditions.truncate(1),
        |status| status.conditions[1].reason = "Whatever".to_owned(),
        |status| status.conditions[1].reason = "Suspended".to_owned(),
        |status| status.conditions[0].status = "False".to_owned(),
        |status| status.verified = None,
        |status| status.endpoint = None,
        |status| status.partner_name = Some("Else".to_owned()),
    ];
    for break_it in breaks {
        let mut world = World::connected();
        let (before, draw) = (world.status().clone(), world.draw);
        break_it(world.integration.status.as_mut().unwrap());
        world.step();
        if world.is_open() {
            world.end(Verdict::Connected);
        }
        assert_eq!((world.status(), world.draw), (&before, draw));
    }
}

#[test]
fn a_status_that_is_wholly_absent_is_made_anew() {
    let mut world = World::connected();
    let before = world.status().clone();
    world.integration.status = None;
    assert!(matches!(world.step().check, CheckOrder::Start(_)));
    world.end(Verdict::Connected);
    assert_eq!(*world.status(), before);
}

#[test]
fn at_the_end_of_the_count_the_same_reason_writes_nothing_whatever_the_code() {
    let mut world = World::failed(answered(Reason::UnexpectedResponse, 404, None));
    for _ in 0..9 {
        world.wait_for_check();
        world.end(answered(Reason::UnexpectedResponse, 400, None));
    }
    let (count, writes) = (world.count(), world.writes);
    assert_eq!(count, Some(10));
    for code in [404, 418, 400] {
        world.wait_for_check();
        world.end(answered(Reason::UnexpectedResponse, code, None));
        assert_eq!(world.writes, writes, "HTTP {code}");
    }
    world.wait_for_check();
    world.end(answered(Reason::CredentialRejected, 403, None));
    assert_eq!(world.writes, writes + 1, "another reason is said");
}
