//! The binding Secret: when it is published, written again, withdrawn, and what the status says of it.

use std::time::Duration;

use super::fixture::{Change, World, failed, version};
use super::invariants::condition;
use crate::api::{Binding, Phase};
use crate::core::{
    BindingOrder, BindingSeen, CheckOrder, Held, NamedSecret, Reason, Refusal, SecretSeen, Verdict, decide,
};

const MINUTE: Duration = Duration::from_secs(60);

/// New, asks for a binding, and the operator publishes them.
fn wanting() -> World {
    let mut world = World::new();
    world.integration.spec.binding = Some(Binding { secret_name: "binding".to_owned() });
    world.binding.enabled = true;
    world
}

/// Connected, and its binding is there.
fn bound() -> World {
    let mut world = wanting();
    world.step();
    world.end(Verdict::Connected);
    assert_eq!((bound_to(&world), world.published, world.writes), (Some("binding"), 1, 2));
    world.forget_counts()
}

fn bound_to(world: &World) -> Option<&str> {
    world.status().binding.as_ref().map(|bound| bound.name.as_str())
}

/// Ready, its reason, and which of Reconciling and Stalled there is.
fn ready(world: &World) -> (String, String, Option<&'static str>) {
    let ready = condition(world.status(), "Ready").unwrap();
    let extra = ["Reconciling", "Stalled"].into_iter().find(|kind| condition(world.status(), kind).is_some());
    (ready.status.clone(), ready.reason.clone(), extra)
}

fn says(status: &str, reason: &str, extra: Option<&'static str>) -> (String, String, Option<&'static str>) {
    (status.to_owned(), reason.to_owned(), extra)
}

#[test]
fn a_binding_is_published_after_the_status_and_named_by_a_second_write() {
    let mut world = wanting();
    world.step();
    world.answer_after(Duration::from_millis(80), Verdict::Connected);
    let first = decide(&world.seen());
    let status = first.status.as_deref().unwrap();
    assert_eq!((status.phase, &status.binding), (Phase::Enabled, &None));
    let BindingOrder::Publish(publication) = &first.binding else { panic!("{:?}", first.binding) };
    assert_eq!((publication.name.as_str(), &publication.tuple, &publication.over), ("binding", &world.tuple(), &None));
    world.step();
    assert_eq!((bound_to(&world), world.published, world.writes, world.checks), (Some("binding"), 1, 2, 1));
    for _ in 0..10 {
        world.step();
    }
    assert_eq!((world.published, world.writes, world.checks), (1, 2, 1), "and then it rests");
}

#[test]
fn a_proof_clears_no_binding_that_is_wanted_only_later() {
    let unwanted: Change = |world| world.edit(|spec| spec.binding = None);
    let disabled: Change = |world| world.binding.enabled = false;
    let keyless: Change = |world| world.secret = SecretSeen::Absent;
    for change in [unwanted, disabled, keyless] {
        let mut world = bound();
        world.memory.cleared = Some(world.tuple());
        change(&mut world);
        assert_eq!(decide(&world.seen()).memory.cleared, None);
    }
}

#[test]
fn whatever_ends_a_connection_withdraws_the_binding_before_the_status_says_so() {
    let table: [(&str, Change); 7] = [
        ("suspended", |world| world.edit(|spec| spec.suspend = true)),
        ("only added", |world| world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None))),
        ("no such region", |world| world.edit(|spec| spec.region = Some("mars".to_owned()))),
        ("no such Secret", |world| world.secret = SecretSeen::Absent),
        ("no access", |world| world.secret = SecretSeen::Forbidden),
        ("partner gone", |world| world.catalogue = super::fixture::Catalogue::Absent),
        ("address", |world| world.forbidden = true),
    ];
    for (what, change) in table {
        let mut world = bound();
        change(&mut world);
        let decision = decide(&world.seen());
        assert!(decision.status.as_deref().is_some_and(|status| !status.connected), "{what}");
        assert!(matches!(&decision.binding, BindingOrder::Withdraw(held) if held.len() == 1), "{what}: {decision:?}");
        world.step();
        assert_eq!((world.withdrawn, world.writes, bound_to(&world)), (1, 1, None), "{what}");
    }
    let mut world = bound();
    world.wait_for_check();
    world.end(failed(Reason::CredentialRejected));
    assert_eq!((world.withdrawn, world.status().phase), (1, Phase::Failed), "refused");
}

#[test]
fn below_the_threshold_the_binding_stays() {
    let mut world = bound();
    world.wait_for_check();
    world.end(failed(Reason::Timeout));
    assert_eq!((world.reason(), bound_to(&world), world.withdrawn), (Reason::CheckFailing, Some("binding"), 0));
    for _ in 0..2 {
        world.wait_for_check();
        world.end(failed(Reason::Timeout));
    }
    assert_eq!((world.reason(), bound_to(&world), world.withdrawn), (Reason::Timeout, None, 1));
}

#[test]
fn on_rotation_the_new_key_is_proved_first_and_then_the_secret_is_updated_in_place() {
    let mut world = bound();
    world.rotate("101");
    world.step();
    assert!(world.is_open());
    assert_eq!((world.published, world.withdrawn), (0, 0), "nothing before the proof");
    world.answer_after(Duration::from_millis(80), Verdict::Connected);
    let decision = decide(&world.seen());
    let BindingOrder::Publish(publication) = &decision.binding else { panic!("{decision:?}") };
    assert_eq!(publication.over, Some(version("binding", "1")), "in place");
    assert_eq!(publication.tuple, world.tuple());
    world.step();
    assert_eq!((world.published, world.withdrawn, world.writes, bound_to(&world)), (1, 0, 1, Some("binding")));
}

#[test]
fn a_rotation_that_fails_below_the_threshold_leaves_the_binding_of_the_proved_key() {
    let mut world = bound();
    world.rotate("101");
    world.step();
    world.end(failed(Reason::Timeout));
    assert_eq!((world.reason(), bound_to(&world)), (Reason::CheckFailing, Some("binding")));
    assert_eq!((world.published, world.withdrawn), (0, 0));
}

#[test]
fn one_that_somebody_changed_is_written_again_without_a_check() {
    let mut world = bound();
    let changes: [fn(&mut crate::core::OwnSecret); 3] =
        [|own| own.whole = false, |own| own.made_from = None, |own| own.region = Some("us1".to_owned())];
    for (number, change) in changes.into_iter().enumerate() {
        let NamedSecret::Ours(own) = &mut world.binding.named else { panic!() };
        change(own);
        world.step();
        assert_eq!((world.published, world.writes, world.checks), (number + 1, 0, 0));
    }
}

#[test]
fn one_that_is_changed_while_a_new_key_is_being_proved_is_written_with_that_key_and_not_before() {
    let mut world = bound();
    world.rotate("101");
    world.step();
    let NamedSecret::Ours(own) = &mut world.binding.named else { panic!() };
    own.whole = false;
    world.step();
    assert!(world.is_open());
    assert_eq!((world.published, world.writes), (0, 0), "the old key is gone, and the new one is not proved");
    world.answer_after(Duration::from_millis(80), Verdict::Connected);
    let decision = decide(&world.seen());
    let BindingOrder::Publish(publication) = &decision.binding else { panic!("{decision:?}") };
    assert_eq!(publication.tuple, world.tuple());
}

#[test]
fn one_that_is_gone_is_published_after_one_fresh_successful_check_within_the_budget() {
    let mut world = bound();
    for number in 1..=12 {
        world.binding.named = NamedSecret::Absent;
        world.step();
        if number <= 9 {
            assert!(world.is_open(), "{number}: the tenth of the burst was the first check");
        } else {
            assert!(!world.is_open() && world.published == number - 1, "{number}: beyond the burst it waits");
            assert_eq!((bound_to(&world), world.writes), (Some("binding"), 0));
            assert!(world.wait_for_check() <= MINUTE);
        }
        world.end(Verdict::Connected);
        assert_eq!((world.published, world.checks, world.writes), (number, number, 0));
    }
}

#[test]
fn a_proof_that_a_scheduled_check_gives_anyway_costs_no_budget() {
    let mut world = bound();
    world.binding.named = NamedSecret::Absent;
    let before = world.memory.budget;
    world.now = world.look.unwrap();
    assert!(matches!(world.step().check, CheckOrder::Start(_)));
    assert_eq!(world.memory.budget, before);
}

#[test]
fn one_that_is_gone_while_checks_fail_comes_back_with_the_next_success() {
    let mut world = bound();
    world.binding.named = NamedSecret::Absent;
    world.step();
    world.end(failed(Reason::Timeout));
    assert_eq!((world.reason(), world.published), (Reason::CheckFailing, 0));
    world.wait_for_check();
    world.end(Verdict::Connected);
    assert_eq!((world.published, bound_to(&world)), (1, Some("binding")));
}

#[test]
fn a_binding_that_is_asked_for_later_costs_no_check() {
    let mut world = World::connected();
    world.binding.enabled = true;
    world.edit(|spec| spec.binding = Some(Binding { secret_name: "binding".to_owned() }));
    world.step();
    assert_eq!((world.published, world.checks, bound_to(&world)), (1, 0, Some("binding")));
    assert_eq!(world.writes, 2, "the spec as seen, and the binding");
    world.edit(|spec| spec.binding = None);
    world.binding.strays = vec![Held { name: "binding".to_owned(), version: version("binding", "1") }];
    world.binding.named = NamedSecret::Absent;
    world.step();
    assert_eq!((world.withdrawn, bound_to(&world), world.checks), (1, None, 0));
}

#[test]
fn under_another_name_the_new_one_is_there_before_the_old_one_goes() {
    let mut world = bound();
    world.edit(|spec| spec.binding = Some(Binding { secret_name: "renamed".to_owned() }));
    let old = Held { name: "binding".to_owned(), version: version("binding", "1") };
    world.binding.strays = vec![old.clone()];
    world.binding.named = NamedSecret::Absent;
    let decision = decide(&world.seen());
    assert!(matches!(decision.binding, BindingOrder::Publish(_)), "{decision:?}");
    assert_eq!(decision.status.as_ref().and_then(|status| status.binding.clone()).unwrap().name, "binding");
    world.step();
    assert_eq!((bound_to(&world), world.published, world.withdrawn, world.checks), (Some("renamed"), 1, 1, 0));
}

#[test]
fn under_a_name_that_somebody_else_has_the_old_one_stays() {
    for found in [NamedSecret::Foreign, NamedSecret::Earlier] {
        let mut world = bound();
        world.edit(|spec| spec.binding = Some(Binding { secret_name: "taken".to_owned() }));
        world.binding.strays = vec![Held { name: "binding".to_owned(), version: version("binding", "1") }];
        world.binding.named = found;
        for _ in 0..3 {
            world.step();
        }
        assert_eq!((bound_to(&world), world.published, world.withdrawn), (Some("binding"), 0, 0));
    }
}

#[test]
fn a_secret_of_somebody_else_is_left_alone_and_when_it_goes_one_check_is_made_first() {
    for (found, reason, extra) in
        [(NamedSecret::Foreign, "BindingNotOwned", "Stalled"), (NamedSecret::Earlier, "BindingFailed", "Reconciling")]
    {
        let mut world = wanting();
        world.binding.named = found;
        world.step();
        world.end(Verdict::Connected);
        assert_eq!(ready(&world), says("False", reason, Some(extra)));
        assert_eq!((world.reason(), world.status().connected, bound_to(&world)), (Reason::Connected, true, None));
        assert_eq!((world.published, world.withdrawn), (0, 0));
        let mut world = world.forget_counts();
        assert!(world.look.unwrap() <= world.now.checked_add(10 * MINUTE).unwrap(), "{reason}: looked at again");
        world.step();
        assert_eq!((world.writes, world.checks), (0, 0));
        world.binding.named = NamedSecret::Absent;
        world.step();
        assert_eq!((world.is_open(), world.published, world.writes), (true, 0, 0), "{reason}");
        world.end(Verdict::Connected);
        assert_eq!((world.published, world.checks, bound_to(&world)), (1, 1, Some("binding")), "{reason}");
        assert_eq!(ready(&world), says("True", "Connected", None));
    }
}

#[test]
fn a_write_that_is_refused_is_said_and_tried_again_after_ten_minutes_without_a_check_or_a_write() {
    let mut world = wanting();
    world.partner.check.interval = "24h".parse().unwrap();
    world.step();
    let refuse = |world: &mut World| {
        world.binding.named = NamedSecret::Absent;
        let generation = world.integration.metadata.generation.unwrap();
        world.binding.refused = Some(Refusal { at: world.now, generation, tuple: world.tuple() });
    };
    refuse(&mut world);
    world.end(Verdict::Connected);
    assert_eq!((ready(&world), world.published), (says("False", "BindingFailed", Some("Reconciling")), 0));
    let mut world = world.forget_counts();
    world.step();
    assert_eq!((world.writes, world.published), (0, 0));
    for _ in 0..3 {
        world.advance(10 * MINUTE);
        let decision = decide(&world.seen());
        assert!(matches!(decision.binding, BindingOrder::Publish(_)), "tried again: {decision:?}");
        assert_eq!(decision.status, None, "and nothing is said before it succeeds");
        refuse(&mut world);
    }
    world.edit(|spec| spec.binding = Some(Binding { secret_name: "other".to_owned() }));
    let checks = world.checks;
    world.step();
    assert_eq!((world.published, world.checks), (1, checks), "another spec is another write");
    assert_eq!(ready(&world), says("True", "Connected", None));
}

#[test]
fn without_the_flag_it_is_said_and_nothing_is_written_or_deleted() {
    let mut world = wanting();
    world.binding = BindingSeen::default();
    world.step();
    world.end(Verdict::Connected);
    assert_eq!((ready(&world), bound_to(&world)), (says("False", "BindingsDisabled", Some("Stalled")), None));
    let mut published = bound();
    published.binding = BindingSeen::default();
    published.step();
    assert_eq!(ready(&published), says("False", "BindingsDisabled", Some("Stalled")));
    assert_eq!(bound_to(&published), Some("binding"), "it is still there");
    published.edit(|spec| spec.suspend = true);
    published.step();
    assert_eq!((bound_to(&published), published.withdrawn), (None, 0));
    world.binding.enabled = true;
    world.restart();
    assert_eq!((ready(&world), world.published), (says("True", "Connected", None), 1), "started with it");
}

#[test]
fn a_restart_with_the_binding_in_place_costs_nothing() {
    let mut world = bound();
    world.restart();
    assert_eq!((world.writes, world.checks, world.published), (0, 0, 0));
}

#[test]
fn one_that_a_paused_leader_published_late_is_withdrawn_as_soon_as_it_is_seen() {
    let mut world = bound();
    let late = world.binding.named.clone();
    world.wait_for_check();
    world.end(failed(Reason::CredentialRejected));
    world.binding.named = late;
    let writes = world.writes;
    world.step();
    assert_eq!((world.withdrawn, world.writes), (2, writes), "and the status is as it was");
}

#[test]
fn deletion_leaves_the_binding_to_the_garbage_collector() {
    let mut world = bound();
    world.delete();
    let decision = world.step();
    assert_eq!((decision.binding, decision.status), (BindingOrder::Leave, None));
}
