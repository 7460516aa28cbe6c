//! Where Secrets are not watched: what was read last counts until the next check reads the key.

use std::time::Duration;

use super::fixture::{World, failed, version};
use crate::core::{CheckOrder, Reason, SecretSeen, SecretVersion, Verdict, unchanged_secret};

/// What a process knows that has just started: nothing but the status.
fn restarted(mut world: World) -> World {
    world.secret = world_sees(&world).expect("known from the status");
    world.restart();
    world
}

fn world_sees(world: &World) -> Option<SecretSeen> {
    unchanged_secret(&world.integration).map(SecretSeen::Present)
}

fn known(world: &World) -> Option<SecretVersion> {
    unchanged_secret(&world.integration)
}

#[test]
fn what_is_connected_or_failing_is_neither_read_nor_checked_nor_written_at_a_restart() {
    let mut falters = World::connected();
    falters.wait_for_check();
    falters.end(failed(Reason::Timeout));
    for world in [
        World::connected(),
        World::failed(failed(Reason::CredentialRejected)),
        World::failed(failed(Reason::Timeout)),
        falters.forget_counts(),
    ] {
        let was = world.reason();
        assert_eq!(known(&world), Some(version("secret-1", "100")), "{was}");
        let mut world = world;
        world.draw = 0.9;
        let world = restarted(world);
        assert_eq!((world.checks, world.writes, world.is_open()), (0, 0, false), "{was}");
    }
}

#[test]
fn below_the_threshold_it_is_the_key_that_fails_which_counts_not_the_one_that_was_proved() {
    let mut world = World::connected();
    world.rotate("101");
    world.step();
    world.end(failed(Reason::Timeout));
    assert_eq!(world.reason(), Reason::CheckFailing);
    assert_eq!(known(&world), Some(version("secret-1", "101")));
}

#[test]
fn where_the_secret_is_waited_for_or_nothing_is_known_it_is_looked_at() {
    assert_eq!(known(&World::new()), None, "nobody has looked");
    for reason in [Reason::SecretNotFound, Reason::SecretKeyNotFound, Reason::SecretForbidden] {
        let mut world = World::connected();
        world.wait_for_check();
        world.end(Verdict::NotMade(reason));
        assert_eq!((world.reason(), known(&world)), (reason, None));
    }
    for (seen, reason) in
        [(SecretSeen::Absent, Reason::SecretNotFound), (SecretSeen::Forbidden, Reason::SecretForbidden)]
    {
        let mut world = World::failed(failed(Reason::CredentialRejected));
        world.secret = seen;
        world.step();
        assert!(world.status().failing.is_some(), "of the key that was there");
        assert_eq!((world.reason(), known(&world)), (reason, None));
    }
    let mut world = World::connected();
    world.edit(|spec| spec.suspend = true);
    world.step();
    assert_eq!(known(&world), None, "suspended");
}

#[test]
fn a_key_that_was_changed_meanwhile_is_proved_by_the_next_check_or_the_one_that_is_asked_for() {
    for ask in [false, true] {
        let mut world = restarted(World::connected());
        if ask {
            world.request("now");
            assert!(matches!(world.step().check, CheckOrder::Start(_)), "at once");
        } else {
            assert!(world.wait_for_check() <= Duration::from_secs(600), "within the interval");
        }
        // It reads the key, and finds another version than it was planned for.
        world.read("102");
        world.end(Verdict::Connected);
        let verified = world.status().verified.clone().unwrap();
        assert_eq!((verified.secret_resource_version.as_str(), world.writes), ("102", 1));
        assert_eq!(world.handled(), ask.then_some("now"));
    }
}

#[test]
fn a_secret_of_another_name_is_checked_at_once() {
    let mut world = World::connected();
    world.edit(|spec| spec.api_key_secret_ref.as_mut().unwrap().name = "another".to_owned());
    let world = restarted(world);
    assert!(world.is_open());
}
