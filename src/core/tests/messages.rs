//! What users read: all sentences, and what is never in them.

use super::fixture::{Catalogue, Change, World, answered, failed};
use super::invariants::condition;
use crate::api::Binding;
use crate::core::{BindingSeen, Class, NamedSecret, PartnerFault, Reason, SecretSeen, Verdict};

/// A world for each reason that a status can give.
fn worlds() -> Vec<World> {
    let mut worlds = vec![World::new(), World::connected()];
    let rows: [Change; 8] = [
        |world| world.edit(|spec| spec.suspend = true),
        |world| world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None)),
        |world| world.catalogue = Catalogue::Absent,
        |world| world.secret = SecretSeen::Absent,
        |world| world.secret = SecretSeen::Forbidden,
        |world| world.fault = Some(PartnerFault::TrustBundle),
        |world| world.edit(|spec| spec.region = Some("mars".to_owned())),
        |world| world.forbidden = true,
    ];
    for make in rows {
        let mut world = World::new();
        make(&mut world);
        world.step();
        worlds.push(world);
    }
    let mut world = World::new();
    world.step();
    world.end(Verdict::NotMade(Reason::SecretKeyNotFound));
    worlds.push(world);
    for (enabled, named) in [(false, NamedSecret::Absent), (true, NamedSecret::Foreign), (true, NamedSecret::Earlier)] {
        let mut world = World::connected();
        world.binding = BindingSeen { enabled, named, ..BindingSeen::default() };
        world.edit(|spec| spec.binding = Some(Binding { secret_name: "binding".to_owned() }));
        world.step();
        worlds.push(world);
    }
    for (reason, code) in OUTCOMES {
        let verdict = code.map_or_else(|| failed(reason), |code| answered(reason, code, None));
        worlds.push(World::failed(verdict.clone()));
        let mut world = World::connected();
        world.wait_for_check();
        world.end(verdict);
        worlds.push(world);
    }
    worlds
}

const OUTCOMES: [(Reason, Option<u16>); 10] = [
    (Reason::DnsFailure, None),
    (Reason::ConnectFailed, None),
    (Reason::Timeout, None),
    (Reason::RateLimited, Some(429)),
    (Reason::PartnerUnavailable, Some(503)),
    (Reason::InvalidCredential, None),
    (Reason::CredentialRejected, Some(401)),
    (Reason::RedirectRefused, Some(302)),
    (Reason::TlsFailed, None),
    (Reason::UnexpectedResponse, Some(404)),
];

fn messages() -> Vec<(Reason, String)> {
    let mut said = Vec::new();
    for world in worlds() {
        for kind in ["Ready", "Connected", "Reconciling", "Stalled"] {
            if let Some(condition) = condition(world.status(), kind) {
                said.push((Reason::parse(&condition.reason).unwrap(), condition.message.clone()));
            }
        }
    }
    said.sort();
    said.dedup();
    said
}

#[test]
fn all_messages_as_users_read_them() {
    let all: Vec<_> = messages().into_iter().map(|(reason, message)| format!("{reason}: {message}")).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn there_is_one_for_every_reason() {
    let told: std::collections::BTreeSet<_> = messages().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(told, Reason::ALL.into_iter().collect());
}

#[test]
fn a_status_code_stands_only_where_a_person_is_needed() {
    for (reason, code) in OUTCOMES {
        let code = code.unwrap_or(599);
        let world = World::failed(answered(reason, code, Some(1234)));
        let mut below = World::connected();
        below.wait_for_check();
        below.end(answered(reason, code, Some(1234)));
        for (world, may) in [(world, reason.class() == Some(Class::NeedsPerson)), (below, false)] {
            let may = may || world.reason().class() == Some(Class::NeedsPerson);
            for condition in &world.status().conditions {
                assert_eq!(condition.message.contains(&code.to_string()), may, "{}", condition.message);
                assert!(!condition.message.contains("1234"), "no Retry-After: {}", condition.message);
            }
        }
    }
}

#[test]
fn the_code_of_a_refused_key_is_told() {
    let world = World::failed(answered(Reason::CredentialRejected, 403, None));
    for condition in &world.status().conditions {
        assert!(condition.message.ends_with(" (HTTP 403)"), "{}", condition.message);
    }
}

#[test]
fn no_message_names_the_secret_or_its_key() {
    for (_, message) in messages() {
        assert!(!message.contains("datadog-key") && !message.contains("api-key"), "{message}");
    }
}

#[test]
fn the_longest_names_fit() {
    for mut world in worlds() {
        world.partner.display_name = "ß".repeat(100);
        world.partner.regions[0].name = "r".repeat(63);
        world.edit(|spec| spec.region = spec.region.as_ref().map(|_| "r".repeat(63)));
        world.step();
        if world.is_open() {
            world.end(answered(Reason::RedirectRefused, 302, None));
        }
        // Judged when it was written; here only that names do appear.
        assert!(world.status().conditions.iter().all(|condition| condition.message.chars().count() <= 1024));
    }
}

#[test]
fn a_partner_that_the_catalogue_lacks_is_called_as_the_spec_does() {
    let mut world = World::new();
    world.catalogue = Catalogue::Absent;
    world.step();
    assert!(condition(world.status(), "Ready").unwrap().message.contains(" datadog;"));
}
