//! Every row of the status table, with every reason.

use super::fixture::{Catalogue, Change, World, answered, failed};
use super::invariants::condition;
use crate::api::Phase::{self, Available, Enabled, Failed};
use crate::core::{PartnerFault, Reason, SecretSeen, Verdict};

/// What a row says: phase, Ready with its reason, Connected with its reason, what else stands there, and which of
/// partnerName and endpoint are given.
type Row = (Phase, (&'static str, &'static str), (&'static str, &'static str), Option<&'static str>, (bool, bool));

fn row_of(world: &World) -> Row {
    let status = world.status();
    let of = |kind: &str| {
        let found = condition(status, kind).unwrap();
        let reason = Reason::parse(&found.reason).unwrap().as_str();
        (["True", "False", "Unknown"].into_iter().find(|known| *known == found.status).unwrap(), reason)
    };
    let extra = ["Reconciling", "Stalled"].into_iter().find(|kind| condition(status, kind).is_some());
    (status.phase, of("Ready"), of("Connected"), extra, (status.partner_name.is_some(), status.endpoint.is_some()))
}

fn after(prepare: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    prepare(&mut world);
    world.step();
    assert_eq!(world.slot, super::fixture::Slot::Idle, "nothing can be sent");
    world
}

fn ended(verdict: Verdict) -> World {
    let mut world = World::new();
    world.step();
    world.end(verdict);
    world
}

fn not_configured(world: &mut World) {
    world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None));
}

#[test]
fn a_new_object_says_pending_until_somebody_has_looked() {
    let world = World::new();
    let pending = ("Unknown", "Pending");
    assert_eq!(row_of(&world), (Available, pending, pending, None, (false, false)));
    assert_eq!(world.status().observed_generation, -1);
}

#[test]
fn the_rows_that_need_no_check() {
    let no = |reason| ("False", reason);
    let (named, both) = ((true, false), (true, true));
    let rows: [(Change, Row); 12] = [
        (
            |world| world.edit(|spec| spec.suspend = true),
            (Available, ("True", "Suspended"), no("Suspended"), None, named),
        ),
        (
            |world| {
                not_configured(world);
                world.catalogue = Catalogue::Absent;
            },
            (Available, no("PartnerNotFound"), no("PartnerNotFound"), Some("Reconciling"), (false, false)),
        ),
        (not_configured, (Available, ("True", "Added"), no("NotConfigured"), None, named)),
        (
            |world| world.catalogue = Catalogue::Absent,
            (Failed, no("PartnerNotFound"), no("PartnerNotFound"), Some("Reconciling"), (false, false)),
        ),
        (
            |world| world.secret = SecretSeen::Absent,
            (Failed, no("SecretNotFound"), no("SecretNotFound"), Some("Reconciling"), both),
        ),
        (
            |world| world.secret = SecretSeen::Forbidden,
            (Failed, no("SecretForbidden"), no("SecretForbidden"), Some("Reconciling"), both),
        ),
        (
            |world| world.catalogue = Catalogue::Unreadable,
            (Failed, no("PartnerInvalid"), no("PartnerInvalid"), Some("Stalled"), (false, false)),
        ),
        (
            |world| world.fault = Some(PartnerFault::SuccessExpression),
            (Failed, no("PartnerInvalid"), no("PartnerInvalid"), Some("Stalled"), both),
        ),
        (
            |world| world.fault = Some(PartnerFault::RejectedExpression),
            (Failed, no("PartnerInvalid"), no("PartnerInvalid"), Some("Stalled"), both),
        ),
        (
            |world| world.fault = Some(PartnerFault::TrustBundle),
            (Failed, no("PartnerInvalid"), no("PartnerInvalid"), Some("Stalled"), both),
        ),
        (
            |world| world.edit(|spec| spec.region = Some("mars".to_owned())),
            (Failed, no("RegionNotFound"), no("RegionNotFound"), Some("Stalled"), named),
        ),
        (
            |world| world.forbidden = true,
            (Failed, no("EndpointForbidden"), no("EndpointForbidden"), Some("Stalled"), both),
        ),
    ];
    for (prepare, row) in rows {
        let world = after(prepare);
        assert_eq!(row_of(&world), row);
        let status = world.status();
        assert_eq!((&status.verified, &status.failing, world.writes), (&None, &None, 1), "{row:?}");
        assert_eq!(Some(status.observed_generation), world.integration.metadata.generation, "{row:?}");
    }
}

#[test]
fn the_rows_that_a_check_leads_to() {
    let both = (true, true);
    let no = |reason| (Failed, ("False", reason), ("False", reason), both);
    let stalled = ["InvalidCredential", "CredentialRejected", "RedirectRefused", "TLSFailed", "UnexpectedResponse"];
    let transient = ["DNSFailure", "ConnectFailed", "Timeout", "RateLimited", "PartnerUnavailable"];
    let each = stalled.iter().chain(&["EndpointForbidden"]).map(|reason| (*reason, "Stalled"));
    for (reason, extra) in each.chain(transient.iter().map(|reason| (*reason, "Reconciling"))) {
        let world = ended(failed(Reason::parse(reason).unwrap()));
        let (phase, ready, connected, given) = no(reason);
        assert_eq!(row_of(&world), (phase, ready, connected, Some(extra), given));
        assert_eq!(world.count(), Some(1), "{reason}");
    }
    for reason in ["SecretNotFound", "SecretKeyNotFound", "SecretForbidden"] {
        let world = ended(Verdict::NotMade(Reason::parse(reason).unwrap()));
        let (phase, ready, connected, given) = no(reason);
        assert_eq!(row_of(&world), (phase, ready, connected, Some("Reconciling"), given));
        assert_eq!(world.count(), None, "{reason}: no check was made");
    }
}

#[test]
fn the_rows_of_a_connection() {
    let world = World::connected();
    assert_eq!(row_of(&world), (Enabled, ("True", "Connected"), ("True", "Connected"), None, (true, true)));
    let status = world.status();
    assert!(world.tuple().is_verified(status.verified.as_ref().unwrap()));
    assert_eq!(status.endpoint.as_deref(), Some("https://api.datadoghq.eu"));
    assert_eq!(status.partner_name.as_deref(), Some("Datadog"));

    let mut world = world;
    world.wait_for_check();
    world.end(answered(Reason::PartnerUnavailable, 502, None));
    let failing = ("True", "CheckFailing");
    assert_eq!(row_of(&world), (Enabled, failing, failing, None, (true, true)));
    assert!(world.tuple().is_verified(world.status().verified.as_ref().unwrap()));
    assert!(world.tuple().is_failing(world.status().failing.as_ref().unwrap()));
}

#[test]
fn the_generation_stands_at_the_top_and_in_each_condition_also_on_failure() {
    let mut world = World::failed(failed(Reason::CredentialRejected));
    world.edit(|spec| spec.region = Some("mars".to_owned()));
    world.step();
    let status = world.status();
    assert_eq!(status.observed_generation, 2);
    assert_eq!(status.conditions.len(), 3);
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(2)));
}

#[test]
fn until_the_outcome_of_a_changed_t_is_known_all_stays_as_it_was() {
    let changes: [fn(&mut World); 5] = [
        |world| world.edit(|spec| spec.region = Some("us1".to_owned())),
        |world| world.edit(|spec| spec.api_key_secret_ref.as_mut().unwrap().key = "other".to_owned()),
        |world| world.rotate("101"),
        |world| world.secret = SecretSeen::Present(super::fixture::version("secret-2", "100")),
        |world| world.partner.check.path = "/v2".to_owned(),
    ];
    for from in [World::connected(), World::failed(failed(Reason::Timeout))] {
        for change in changes {
            let mut world = from.clone();
            let before = world.status().clone();
            change(&mut world);
            world.step();
            assert_eq!(*world.status(), before);
            assert_eq!((world.writes, world.checks), (0, 1));
            world.end(Verdict::Connected);
            assert!(world.status().connected);
            assert_eq!(Some(world.status().observed_generation), world.integration.metadata.generation);
            assert!(world.tuple().is_verified(world.status().verified.as_ref().unwrap()));
        }
    }
}

#[test]
fn no_path_leaves_a_stale_field_behind() {
    // Whatever stood there before, the row alone says what stands there after.
    let mut world = World::connected();
    world.edit(|spec| spec.suspend = true);
    world.step();
    let status = world.status();
    assert_eq!((&status.endpoint, &status.verified, &status.failing), (&None, &None, &None));
    let mut world = World::failed(failed(Reason::Timeout));
    not_configured(&mut world);
    world.step();
    assert_eq!(world.status().endpoint, None);
    assert!(condition(world.status(), "Reconciling").is_none());
    world.catalogue = Catalogue::Absent;
    world.step();
    assert_eq!(world.status().partner_name, None);
}
