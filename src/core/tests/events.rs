//! Events: on transitions only, from every status to every other.

use std::time::Duration;

use super::fixture::{Catalogue, World, answered, default_status, failed};
use crate::api::PartnerIntegrationStatus;
use crate::core::{Event, EventReason, Reason, SecretSeen, Verdict, transition};

/// The statuses of the table, in its order; the first one is none at all.
fn statuses() -> Vec<Option<PartnerIntegrationStatus>> {
    let of = |world: World| Some(world.status().clone());
    let stepped = |change: fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        world.step();
        of(world)
    };
    let added = |world: &mut World| {
        world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None));
    };
    let absent = |world: &mut World| {
        world.catalogue = Catalogue::Absent;
        world.edit(|spec| (spec.region, spec.api_key_secret_ref) = (None, None));
    };
    let mut failing = World::connected();
    failing.wait_for_check();
    failing.end(failed(Reason::Timeout));
    assert_eq!(failing.reason(), Reason::CheckFailing);
    let mut rotated = World::connected();
    rotated.rotate("101");
    rotated.step();
    rotated.end(Verdict::Connected);
    vec![
        None,
        Some(default_status()),
        stepped(|world| world.edit(|spec| spec.suspend = true)),
        stepped(added),
        stepped(absent),
        of(World::connected()),
        of(failing),
        of(rotated),
        of(World::failed(failed(Reason::Timeout))),
        of(World::failed(answered(Reason::CredentialRejected, 401, None))),
        stepped(|world| world.secret = SecretSeen::Absent),
    ]
}

/// From the row's status to the column's: `C`onnected, `D`isconnected, connect failed (`F`), `K`ey rotated, or nothing.
///
/// The order: none, `Pending`, `Suspended`, `NotConfigured`, `PartnerNotFound` (only added), then `Connected`,
/// `CheckFailing`, `Connected` with another key, then `Timeout`, `CredentialRejected`, `SecretNotFound`.
const TABLE: [&str; 11] = [
    ".....CCCFFF",
    ".....CCCFFF",
    ".....CCCFFF",
    ".....CCCFFF",
    ".....CCCFFF",
    "DDDDD..KDDD",
    "DDDDD..KDDD",
    "DDDDDKK.DDD",
    ".....CCC.FF",
    ".....CCCF.F",
    ".....CCCFF.",
];

fn letter(event: Option<&Event>) -> char {
    match event.map(|event| event.reason) {
        None => '.',
        Some(EventReason::Connected) => 'C',
        Some(EventReason::Disconnected) => 'D',
        Some(EventReason::ConnectFailed) => 'F',
        Some(EventReason::KeyRotated) => 'K',
    }
}

#[test]
fn there_is_an_event_for_each_transition_and_for_nothing_else() {
    let statuses = statuses();
    for (before, row) in statuses.iter().zip(TABLE) {
        let to = |after: &Option<PartnerIntegrationStatus>| {
            // Nothing is never written; what stands in its column is what the default would give.
            let default = default_status();
            letter(transition(before.as_ref(), after.as_ref().unwrap_or(&default)).as_ref())
        };
        assert_eq!(statuses.iter().map(to).collect::<String>(), row, "from {before:#?}");
    }
}

#[test]
fn only_what_ends_as_failed_is_a_warning() {
    let statuses = statuses();
    for before in &statuses {
        for after in statuses.iter().flatten() {
            if let Some(event) = transition(before.as_ref(), after) {
                assert_eq!(event.warning, after.phase == crate::api::Phase::Failed, "{event:?}");
            }
        }
    }
}

#[test]
fn each_has_its_word_and_says_what_the_operator_was_about() {
    let table = [
        (EventReason::Connected, "Connected", "Connect"),
        (EventReason::ConnectFailed, "ConnectFailed", "Connect"),
        (EventReason::Disconnected, "Disconnected", "Disconnect"),
        (EventReason::KeyRotated, "KeyRotated", "Rotate"),
    ];
    for (reason, word, action) in table {
        assert_eq!((reason.as_str(), reason.action()), (word, action));
    }
}

#[test]
fn the_notes_are_our_own_sentences_with_the_reason_first() {
    let mut notes = Vec::new();
    let statuses = statuses();
    for before in [&statuses[1], &statuses[5]] {
        for after in statuses.iter().flatten() {
            let event = transition(before.as_ref(), after);
            notes.extend(event.map(|event| format!("{}: {}", event.reason.as_str(), event.note)));
        }
    }
    notes.sort();
    notes.dedup();
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn a_note_is_never_longer_than_the_api_server_takes() {
    let mut after = World::failed(failed(Reason::Timeout)).status().clone();
    after.conditions[1].message = "ä".repeat(1024);
    let event = transition(None, &after).unwrap();
    assert!(event.note.len() <= 1024 && event.note.starts_with("Timeout: ä"), "{}", event.note.len());
}

#[test]
fn a_story_tells_each_turn_once() {
    let mut world = World::new();
    let told = |event: Option<&Event>| event.map(|event| event.reason.as_str());
    assert_eq!(told(world.step().event.as_ref()), None, "nothing is known yet");
    assert_eq!(told(world.end(Verdict::Connected).event.as_ref()), Some("Connected"));
    for _ in 0..5 {
        world.wait_for_check();
        assert_eq!(world.end(Verdict::Connected).event, None, "still connected");
    }
    for wanted in [None, None, Some("Disconnected"), None, None] {
        world.wait_for_check();
        assert_eq!(told(world.end(failed(Reason::Timeout)).event.as_ref()), wanted);
    }
    world.wait_for_check();
    let refused = world.end(answered(Reason::CredentialRejected, 401, None)).event;
    assert_eq!(told(refused.as_ref()), Some("ConnectFailed"), "another reason");
    world.advance(Duration::from_secs(1));
    world.rotate("101");
    world.step();
    assert_eq!(told(world.end(Verdict::Connected).event.as_ref()), Some("Connected"));
    world.rotate("102");
    assert_eq!(world.step().event, None, "the outcome is not known yet");
    assert_eq!(told(world.end(Verdict::Connected).event.as_ref()), Some("KeyRotated"));
    world.edit(|spec| spec.suspend = true);
    let suspended = world.step().event.unwrap();
    assert_eq!((suspended.reason, suspended.warning), (EventReason::Disconnected, false));
    world.delete();
    assert_eq!(world.step().event, None);
}
