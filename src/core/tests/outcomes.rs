//! An outcome belongs to its T and to the status that it began with; and what it does to what was proved.

use std::time::Duration;

use super::fixture::{Catalogue, Change, Slot, World, answered, failed, start, version};
use crate::api::Phase;
use crate::core::outcome::says_already;
use crate::core::{CheckOrder, Ended, Reason, SecretSeen, Verdict};

#[test]
fn a_status_says_an_outcome_already_where_it_gives_its_reason_or_that_checks_fail() {
    for said in Reason::ALL {
        let mut status = World::connected().status().clone();
        let connected = status.conditions.iter_mut().find(|condition| condition.type_ == "Connected").unwrap();
        connected.reason = said.as_str().to_owned();
        let says = |verdict| says_already(&status, &Ended { verdict, ..ended() });
        assert_eq!(says(Verdict::Connected), said == Reason::Connected, "{said}");
        assert_eq!(says(Verdict::NotMade(Reason::SecretNotFound)), said == Reason::SecretNotFound, "{said}");
        let failing = matches!(said, Reason::Timeout | Reason::CheckFailing);
        assert_eq!(says(failed(Reason::Timeout)), failing, "{said}");
    }
}

/// A check that has ended.
fn ended() -> Ended {
    let mut world = World::new();
    world.step();
    world.answer_after(Duration::ZERO, Verdict::Connected);
    let Slot::Ended(ended) = world.slot else { panic!("no check has ended") };
    ended
}

#[test]
fn only_a_check_that_was_made_has_a_result() {
    assert_eq!(Verdict::Connected.result(), Some(Reason::Connected));
    assert_eq!(failed(Reason::Timeout).result(), Some(Reason::Timeout));
    assert_eq!(Verdict::NotMade(Reason::SecretNotFound).result(), None);
}

#[test]
fn an_outcome_of_another_t_is_dropped() {
    let changes: [fn(&mut World); 4] = [
        |world| world.rotate("101"),
        |world| world.secret = SecretSeen::Present(version("secret-2", "100")),
        |world| world.partner.check.path = "/v2".to_owned(),
        |world| world.edit(|spec| spec.region = Some("us1".to_owned())),
    ];
    for change in changes {
        for verdict in [Verdict::Connected, failed(Reason::CredentialRejected)] {
            let mut world = World::new();
            world.step();
            world.answer_after(Duration::ZERO, verdict);
            change(&mut world);
            world.step();
            assert_eq!((world.writes, world.reason()), (0, Reason::Pending));
            let tuple = world.tuple();
            assert!(matches!(&world.slot, Slot::Open { tuple: open, .. } if *open == tuple), "the new T is checked");
        }
    }
}

#[test]
fn an_outcome_is_dropped_when_somebody_has_written_the_status_meanwhile() {
    let mut world = World::connected();
    world.wait_for_check();
    world.answer_after(Duration::ZERO, failed(Reason::CredentialRejected));
    world.integration.status.as_mut().unwrap().last_handled_check_request = Some("by another leader".to_owned());
    world.step();
    assert_eq!((world.writes, world.reason()), (0, Reason::Connected));
    assert!(world.is_open(), "it is not lost either: the check is made again, and not only after an interval");
    world.end(failed(Reason::CredentialRejected));
    assert_eq!(world.reason(), Reason::CredentialRejected);
}

#[test]
fn an_outcome_is_dropped_where_no_check_is_wanted_any_longer() {
    let stops: [(Reason, Change); 4] = [
        (Reason::Suspended, |world| world.edit(|spec| spec.suspend = true)),
        (Reason::PartnerNotFound, |world| world.catalogue = Catalogue::Absent),
        (Reason::SecretNotFound, |world| world.secret = SecretSeen::Absent),
        (Reason::EndpointForbidden, |world| world.forbidden = true),
    ];
    for (reason, stop) in stops {
        let mut world = World::new();
        world.step();
        world.answer_after(Duration::ZERO, Verdict::Connected);
        stop(&mut world);
        world.step();
        assert_eq!((world.reason(), world.status().connected, &world.slot), (reason, false, &Slot::Idle));
    }
}

#[test]
fn an_outcome_outlives_the_operators_own_status_write() {
    let mut world = World::connected();
    world.wait_for_check();
    // While it runs the spec changes in a way that T does not depend on, and that is written.
    world.edit(|spec| spec.suspend = true);
    world.edit(|spec| spec.suspend = false);
    let decision = world.step();
    assert!(matches!(decision.check, CheckOrder::Rebase(_)));
    assert_eq!(world.writes, 1);
    world.end(failed(Reason::CredentialRejected));
    assert_eq!((world.reason(), world.checks), (Reason::CredentialRejected, 1), "without a second check");
}

#[test]
fn the_same_outcome_is_concluded_over_a_fresh_object_after_a_conflict() {
    let mut world = World::new();
    world.step();
    world.answer_after(Duration::ZERO, Verdict::Connected);
    let refused = crate::core::decide(&world.seen());
    assert!(refused.status.is_some());
    // The write meets a 409: somebody has annotated it. Nothing of the decision was applied but a cancel.
    world.request("now");
    world.step();
    assert_eq!((world.reason(), world.writes), (Reason::Connected, 1));
    assert_eq!(world.handled(), None, "the request came after the check was planned");
}

#[test]
fn a_write_whose_answer_was_lost_causes_neither_a_second_check_nor_a_second_write() {
    let limited = answered(Reason::RateLimited, 429, Some(1000));
    for (mut world, verdict) in [
        (World::new(), Verdict::Connected),
        (World::new(), limited.clone()),
        (World::failed(limited.clone()), limited),
        (World::failed(failed(Reason::Timeout)), failed(Reason::CredentialRejected)),
        (World::failed(failed(Reason::CredentialRejected)), Verdict::Connected),
        (World::connected(), failed(Reason::Timeout)),
    ] {
        world.wait_for_check();
        world.answer_after(Duration::from_millis(100), verdict.clone());
        let mut told = world.clone();
        let looks = told.step().next_look;
        // The status is stored, but the operator has heard of nothing: it remembers nothing, and the outcome is there.
        world.integration = told.integration.clone();
        let decision = world.step();
        assert_eq!((decision.status, decision.check), (None, CheckOrder::Leave), "{verdict:?}");
        assert_eq!(decision.next_look, looks, "{verdict:?}");
    }
}

#[test]
fn a_check_of_the_t_that_is_wanted_goes_on_undisturbed() {
    let mut world = World::new();
    world.step();
    for step in 0..50 {
        world.partner.check.failure_threshold = 1 + step % 10;
        world.advance(Duration::from_millis(20));
        assert_eq!(world.step().check, CheckOrder::Leave);
    }
    assert_eq!((world.checks, world.cancelled, world.writes), (1, 0, 0));
}

#[test]
fn a_check_of_the_old_t_is_replaced_and_one_that_is_not_wanted_cancelled() {
    let mut world = World::connected();
    world.rotate("101");
    world.step();
    world.rotate("102");
    assert!(matches!(world.step().check, CheckOrder::Start(plan) if plan.tuple.secret.resource_version == "102"));
    assert_eq!(world.cancelled, 1);
    // Back to what was proved: no check is needed, and the one of the other T stops.
    world.rotate("100");
    assert_eq!(world.step().check, CheckOrder::Cancel);
    assert_eq!((world.cancelled, world.writes, world.is_open()), (2, 0, false));
    for stop in [
        (|world| world.edit(|spec| spec.suspend = true)) as Change,
        |world| world.secret = SecretSeen::Absent,
        World::delete,
    ] {
        let mut world = World::new();
        world.step();
        stop(&mut world);
        assert_eq!(world.step().check, CheckOrder::Cancel);
        assert!(!world.is_open());
    }
}

#[test]
fn what_is_proved_goes_after_what_is_not() {
    let proved = |world: &mut World| {
        world.wait_for_check();
        let decision = crate::core::decide(&{
            world.slot = Slot::Idle;
            world.seen()
        });
        let CheckOrder::Start(plan) = decision.check else { panic!("no check") };
        plan.proved
    };
    assert!(proved(&mut World::connected()));
    assert!(!proved(&mut World::new()));
    assert!(!proved(&mut World::failed(failed(Reason::Timeout))));
    let mut rotated = World::connected();
    rotated.rotate("101");
    assert!(!proved(&mut rotated));
}

#[test]
fn deletion_stops_everything_and_nothing_is_written() {
    let mut deleted: Vec<World> = vec![World::new(), World::connected(), World::failed(failed(Reason::Timeout))];
    let mut running = World::connected();
    running.wait_for_check();
    deleted.push(running.clone());
    running.answer_after(Duration::ZERO, failed(Reason::CredentialRejected));
    deleted.push(running);
    for mut world in deleted.into_iter().map(World::forget_counts) {
        let before = world.status().clone();
        world.delete();
        world.request("now");
        world.edit(|spec| spec.suspend = true);
        let decision = world.step();
        assert_eq!((decision.status, decision.check, decision.next_look), (None, CheckOrder::Cancel, None));
        assert_eq!((&world.slot, world.status(), world.writes, world.checks), (&Slot::Idle, &before, 0, 0));
    }
}

#[test]
fn the_time_of_the_first_proof_stays_as_long_as_the_connection() {
    let time = |world: &World| world.status().verified.as_ref().unwrap().time.0;
    let mut world = World::connected();
    world.wait_for_check();
    world.end(Verdict::Connected);
    assert_eq!((time(&world), world.writes), (start(), 0), "proved again: nothing to write");
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    assert_eq!(time(&world), start());
    world.wait_for_check();
    world.end(Verdict::Connected);
    assert_eq!(time(&world), start(), "failures below the threshold do not end it");
    world.advance(Duration::from_millis(1500));
    world.rotate("101");
    world.step();
    world.end(Verdict::Connected);
    assert_eq!(time(&world).as_second(), world.now.as_second(), "another T, another proof");
    assert_eq!(time(&world).subsec_nanosecond(), 0);
}

#[test]
fn suspension_drops_what_was_counted_and_proved_and_resuming_checks_at_once() {
    for mut world in [World::connected(), World::failed(failed(Reason::CredentialRejected))] {
        world.edit(|spec| spec.suspend = true);
        world.step();
        let status = world.status();
        assert_eq!((status.phase, &status.failing, &status.verified), (Phase::Available, &None, &None));
        assert_eq!(world.memory.anchor, None);
        world.edit(|spec| spec.suspend = false);
        assert!(matches!(world.step().check, CheckOrder::Start(_)));
        assert_eq!(world.reason(), Reason::Suspended, "until the outcome is known");
        world.end(failed(Reason::Timeout));
        assert_eq!(world.count(), Some(1));
    }
}

#[test]
fn reasons_that_are_found_without_a_check_leave_the_count_alone() {
    let rows: [fn(&mut World); 5] = [
        |world| world.catalogue = Catalogue::Absent,
        |world| world.catalogue = Catalogue::Unreadable,
        |world| world.edit(|spec| spec.region = Some("mars".to_owned())),
        |world| world.secret = SecretSeen::Absent,
        |world| world.secret = SecretSeen::Forbidden,
    ];
    for make in rows {
        let mut world = World::failed(failed(Reason::Timeout));
        world.wait_for_check();
        world.end(failed(Reason::Timeout));
        let before = world.status().failing.clone();
        assert_eq!(before.as_ref().unwrap().count, 2);
        let mended = world.clone();
        make(&mut world);
        world.step();
        assert_eq!(world.status().failing, before);
        // Mended, the same T goes on where it was, and is checked at once: what was said of it is gone.
        world.catalogue = Catalogue::Present;
        world.secret = mended.secret;
        world.edit(|spec| spec.region = Some("eu1".to_owned()));
        assert!(matches!(world.step().check, CheckOrder::Start(_)));
        world.end(failed(Reason::Timeout));
        assert_eq!(world.count(), Some(3));
    }
}
