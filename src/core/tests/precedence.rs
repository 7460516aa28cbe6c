//! First match wins: of two rows that both hold, the earlier one speaks.

use super::fixture::{Catalogue, Change, Slot, World, failed};
use crate::core::{PartnerFault, Reason, SecretSeen, Verdict};

/// The situations in the order of the design, each as the change that brings it about.
const ROWS: [(Reason, Change); 9] = [
    (Reason::Suspended, |world| world.edit(|spec| spec.suspend = true)),
    (Reason::PartnerNotFound, |world| world.catalogue = Catalogue::Absent),
    (Reason::NotConfigured, |world| world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None))),
    (Reason::PartnerInvalid, |world| world.fault = Some(PartnerFault::TrustBundle)),
    (Reason::RegionNotFound, |world| world.partner.regions.retain(|region| region.name != "eu1")),
    (Reason::EndpointForbidden, |world| world.forbidden = true),
    (Reason::SecretNotFound, |world| world.secret = SecretSeen::Absent),
    (Reason::InvalidCredential, |world| end(world, failed(Reason::InvalidCredential))),
    (Reason::Timeout, |world| end(world, failed(Reason::Timeout))),
];

fn end(world: &mut World, verdict: Verdict) {
    let end = |world: &mut World| {
        world.step();
        if world.is_open() {
            world.end(verdict);
        }
    };
    end(world);
}

/// A region that is away has no address to judge, so these two cannot hold at once.
fn exclude_each_other(one: Reason, other: Reason) -> bool {
    (one, other) == (Reason::RegionNotFound, Reason::EndpointForbidden)
}

#[test]
fn of_any_two_rows_that_hold_the_earlier_one_speaks() {
    for (at, (earlier, make_earlier)) in ROWS.iter().enumerate() {
        for (later, make_later) in &ROWS[at + 1..] {
            for swapped in [false, true] {
                let mut world = World::new();
                let (first, second) = if swapped { (make_later, make_earlier) } else { (make_earlier, make_later) };
                first(&mut world);
                second(&mut world);
                world.step();
                let both_are_outcomes = *earlier == Reason::InvalidCredential;
                if !both_are_outcomes && !exclude_each_other(*earlier, *later) {
                    assert_eq!(world.reason(), *earlier, "{earlier} before {later}");
                }
                if at < 7 {
                    assert_eq!(world.slot, Slot::Idle, "{earlier} before {later}: nothing is sent");
                }
            }
        }
    }
}

#[test]
fn an_unreadable_partner_stands_where_an_invalid_one_does() {
    let mut world = World::new();
    world.catalogue = Catalogue::Unreadable;
    world.secret = SecretSeen::Absent;
    world.step();
    assert_eq!(world.reason(), Reason::PartnerInvalid);
    world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None));
    world.step();
    assert_eq!(world.reason(), Reason::NotConfigured);
}

#[test]
fn the_secret_is_asked_for_only_where_no_earlier_row_decides() {
    for (reason, make) in ROWS {
        let mut world = World::new();
        make(&mut world);
        let seen = world.seen();
        let needed = crate::core::needs_secret(seen.integration, seen.partner);
        let decided_before = ROWS[..6].iter().any(|(earlier, _)| *earlier == reason);
        assert_eq!(needed, (!decided_before).then_some("datadog-key"), "{reason}");
    }
}

#[test]
fn the_row_that_remains_speaks_when_the_earlier_ones_have_gone() {
    // All at once, then mended from the front.
    let mut world = World::new();
    world.edit(|spec| spec.suspend = true);
    world.catalogue = Catalogue::Absent;
    world.fault = Some(PartnerFault::TrustBundle);
    world.forbidden = true;
    world.secret = SecretSeen::Forbidden;
    let mut said = Vec::new();
    let mends: [Change; 6] = [
        |_| {},
        |world| world.edit(|spec| spec.suspend = false),
        |world| world.catalogue = Catalogue::Present,
        |world| world.fault = None,
        |world| world.forbidden = false,
        |world| world.secret = SecretSeen::Present(super::fixture::version("secret-1", "100")),
    ];
    for mend in mends {
        mend(&mut world);
        world.step();
        if world.is_open() {
            world.end(Verdict::Connected);
        }
        said.push(world.reason().as_str());
    }
    let expected =
        ["Suspended", "PartnerNotFound", "PartnerInvalid", "EndpointForbidden", "SecretForbidden", "Connected"];
    assert_eq!(said, expected);
}
