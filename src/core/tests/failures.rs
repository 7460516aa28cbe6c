//! Each failure reason in each state that it may meet: Failed at once, or counted.

use super::fixture::{Change, World, failed, version};
use crate::api::Phase;
use crate::core::{Reason, SecretSeen, Verdict};

/// What a failed check can give, and whether it ends a connection at once.
const BY_CHECK: [(Reason, bool); 11] = [
    (Reason::DnsFailure, false),
    (Reason::ConnectFailed, false),
    (Reason::Timeout, false),
    (Reason::RateLimited, false),
    (Reason::PartnerUnavailable, false),
    (Reason::RedirectRefused, false),
    (Reason::TlsFailed, false),
    (Reason::UnexpectedResponse, false),
    (Reason::EndpointForbidden, true),
    (Reason::InvalidCredential, true),
    (Reason::CredentialRejected, true),
];

const NOT_MADE: [Reason; 3] = [Reason::SecretNotFound, Reason::SecretKeyNotFound, Reason::SecretForbidden];

fn after(mut world: World, verdict: Verdict) -> World {
    world.wait_for_check();
    world.end(verdict);
    world
}

fn is_failed(world: &World, reason: Reason, count: Option<u32>, case: &str) {
    let status = world.status();
    assert_eq!((status.phase, world.reason(), world.count()), (Phase::Failed, reason, count), "{reason} {case}");
    assert_eq!(status.verified, None, "{reason} {case}");
}

fn holds(world: &World, reason: Reason, count: u32, case: &str) {
    let status = world.status();
    let found = (status.phase, world.reason(), world.count());
    assert_eq!(found, (Phase::Enabled, Reason::CheckFailing, Some(count)), "{reason} {case}");
    assert!(status.verified.is_some());
}

#[test]
fn every_failure_is_failed_at_once_where_nothing_was_connected() {
    let mut suspended = World::connected();
    suspended.edit(|spec| spec.suspend = true);
    suspended.step();
    suspended.edit(|spec| spec.suspend = false);
    suspended.step();
    let mut failed_before = World::failed(failed(Reason::TlsFailed));
    failed_before.rotate("101");
    failed_before.step();
    let mut new = World::new();
    new.step();
    for (case, from) in [("new", new), ("suspended before", suspended), ("failed before, new key", failed_before)] {
        for (reason, _) in BY_CHECK {
            is_failed(&after(from.clone(), failed(reason)), reason, Some(1), case);
        }
        for reason in NOT_MADE {
            let count = from.count();
            is_failed(&after(from.clone(), Verdict::NotMade(reason)), reason, count, case);
        }
    }
}

#[test]
fn a_connection_outlives_failures_below_the_threshold_but_for_those_that_end_it_at_once() {
    for (reason, at_once) in BY_CHECK {
        let world = after(World::connected(), failed(reason));
        if at_once {
            is_failed(&world, reason, Some(1), "connected");
            continue;
        }
        holds(&world, reason, 1, "connected");
        let world = after(world, failed(reason));
        holds(&world, reason, 2, "connected");
        let proved = World::connected().status().verified.clone();
        assert_eq!(world.status().verified, proved, "what was proved stays");
        is_failed(&after(world, failed(reason)), reason, Some(3), "at the threshold");
    }
    for reason in NOT_MADE {
        is_failed(&after(World::connected(), Verdict::NotMade(reason)), reason, None, "connected");
    }
}

#[test]
fn any_reasons_count_together_and_the_one_at_the_threshold_is_told() {
    let mut world = World::connected();
    for reason in [Reason::Timeout, Reason::UnexpectedResponse, Reason::TlsFailed] {
        world = after(world, failed(reason));
    }
    is_failed(&world, Reason::TlsFailed, Some(3), "mixed");
}

#[test]
fn each_threshold_is_reached_by_as_many_failures() {
    for threshold in 1..=10 {
        let mut world = World::connected();
        world.partner.check.failure_threshold = threshold;
        for count in 1..threshold {
            world = after(world, failed(Reason::Timeout));
            holds(&world, Reason::Timeout, count, "below");
        }
        world = after(world, failed(Reason::Timeout));
        is_failed(&world, Reason::Timeout, Some(threshold), "at");
    }
}

#[test]
fn a_secret_of_another_uid_has_no_connection_to_protect() {
    for (reason, _) in BY_CHECK {
        let mut world = World::connected();
        world.secret = SecretSeen::Present(version("secret-2", "100"));
        is_failed(&after(world, failed(reason)), reason, Some(1), "another Secret uid");
    }
}

#[test]
fn another_endpoint_has_no_connection_to_protect() {
    for (reason, _) in BY_CHECK {
        let mut world = World::connected();
        world.edit(|spec| spec.region = Some("us1".to_owned()));
        is_failed(&after(world, failed(reason)), reason, Some(1), "another region");
        let mut world = World::connected();
        world.partner.regions[0].endpoint = "https://api.datadoghq.eu/v2".to_owned();
        is_failed(&after(world, failed(reason)), reason, Some(1), "the region's address changed");
    }
}

#[test]
fn a_rotated_key_or_another_request_keeps_the_connection_of_what_was_proved() {
    let changes: [(&str, Change); 3] = [
        ("rotated", |world| world.rotate("101")),
        ("another path", |world| world.partner.check.path = "/v2".to_owned()),
        ("another key name", |world| {
            world.edit(|spec| spec.api_key_secret_ref.as_mut().unwrap().key = "second".to_owned());
        }),
    ];
    for (case, change) in changes {
        for (reason, at_once) in BY_CHECK {
            let mut world = World::connected();
            let proved = world.status().verified.clone();
            change(&mut world);
            let world = after(world, failed(reason));
            if at_once {
                is_failed(&world, reason, Some(1), case);
            } else {
                holds(&world, reason, 1, case);
                assert_eq!(world.status().verified, proved, "{case}: verified stays that of the T that was proved");
                assert!(world.tuple().is_failing(world.status().failing.as_ref().unwrap()));
            }
        }
    }
}

#[test]
fn a_changed_t_is_counted_from_one_again() {
    let mut world = after(World::connected(), failed(Reason::Timeout));
    world = after(world, failed(Reason::Timeout));
    assert_eq!(world.count(), Some(2));
    world.rotate("101");
    world.step();
    assert_eq!(world.count(), Some(2), "nothing is said of the new T yet");
    holds(&after(world, failed(Reason::Timeout)), Reason::Timeout, 1, "new T");
}

#[test]
fn the_count_stops_at_ten_and_a_success_ends_it() {
    let mut world = World::failed(failed(Reason::Timeout));
    for count in 2..=12 {
        world = after(world, failed(Reason::Timeout));
        assert_eq!(world.count(), Some(count.min(10)));
    }
    world = after(world, Verdict::Connected);
    assert_eq!((world.count(), world.status().connected), (None, true));
    holds(&after(world, failed(Reason::Timeout)), Reason::Timeout, 1, "after a success");
}

#[test]
fn a_key_that_cannot_be_read_neither_counts_nor_ends_the_count() {
    let mut world = World::failed(failed(Reason::Timeout));
    world = after(world, failed(Reason::Timeout));
    world = after(world, Verdict::NotMade(Reason::SecretKeyNotFound));
    is_failed(&world, Reason::SecretKeyNotFound, Some(2), "not made");
    world = after(world, failed(Reason::InvalidCredential));
    is_failed(&world, Reason::InvalidCredential, Some(3), "the same T goes on counting");
}
