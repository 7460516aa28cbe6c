//! Whatever the way, the same end: edits, outcomes, restarts and clocks in any order, and then the same world again.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::arbitrary::verdicts;
use super::fixture::{Catalogue, Change, Slot, World, answered, failed, version};
use crate::api::PartnerIntegrationStatus;
use crate::core::{PartnerFault, Reason, SecretSeen, Verdict};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Suspend(bool),
    Region(Option<&'static str>),
    Key(&'static str),
    Rotate(&'static str),
    Secret(SecretSeen),
    Catalogue(Catalogue),
    Fault(bool),
    Forbidden(bool),
    Path(&'static str),
    Endpoint(&'static str),
    Name(&'static str),
    Threshold(u32),
    Interval(&'static str),
    Request(&'static str),
    Answer(Verdict),
    Restart,
    Pass(u64),
    Look,
    SetBack(u64),
}

fn events() -> impl Strategy<Value = Event> {
    let secrets = vec![
        SecretSeen::Absent,
        SecretSeen::Forbidden,
        SecretSeen::Present(version("secret-1", "100")),
        SecretSeen::Present(version("secret-2", "100")),
    ];
    prop_oneof![
        1 => any::<bool>().prop_map(Event::Suspend),
        1 => select(vec![None, Some("eu1"), Some("us1"), Some("mars")]).prop_map(Event::Region),
        1 => select(vec!["api-key", "other"]).prop_map(Event::Key),
        1 => select(vec!["100", "101", "102"]).prop_map(Event::Rotate),
        1 => select(secrets).prop_map(Event::Secret),
        1 => select(vec![Catalogue::Absent, Catalogue::Unreadable, Catalogue::Present, Catalogue::Present])
            .prop_map(Event::Catalogue),
        1 => any::<bool>().prop_map(Event::Fault),
        1 => any::<bool>().prop_map(Event::Forbidden),
        1 => select(vec!["/api/v1/validate", "/v2"]).prop_map(Event::Path),
        1 => select(vec!["https://api.datadoghq.eu", "https://else.example"]).prop_map(Event::Endpoint),
        1 => select(vec!["Datadog", "Dog"]).prop_map(Event::Name),
        1 => (1_u32..=10).prop_map(Event::Threshold),
        1 => select(vec!["30s", "10m", "24h"]).prop_map(Event::Interval),
        1 => select(vec!["a", "b", "c"]).prop_map(Event::Request),
        4 => verdicts().prop_map(Event::Answer),
        1 => Just(Event::Restart),
        1 => (0_u64..5000).prop_map(Event::Pass),
        2 => Just(Event::Look),
        1 => (0_u64..5000).prop_map(Event::SetBack),
    ]
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Suspend(suspend) => world.edit(|spec| spec.suspend = suspend),
        Event::Region(region) => world.edit(|spec| {
            spec.region = region.map(str::to_owned);
            let key = super::fixture::integration().spec.api_key_secret_ref;
            spec.api_key_secret_ref = if region.is_some() { spec.api_key_secret_ref.take().or(key) } else { None };
        }),
        Event::Key(key) => world.edit(|spec| {
            if let Some(secret) = &mut spec.api_key_secret_ref {
                secret.key = key.to_owned();
            }
        }),
        Event::Rotate(resource_version) => {
            if let SecretSeen::Present(secret) = &mut world.secret {
                secret.resource_version = resource_version.to_owned();
            }
        }
        Event::Secret(secret) => world.secret = secret,
        Event::Catalogue(catalogue) => world.catalogue = catalogue,
        Event::Fault(fault) => world.fault = fault.then_some(PartnerFault::SuccessExpression),
        Event::Forbidden(forbidden) => world.forbidden = forbidden,
        Event::Path(path) => world.partner.check.path = path.to_owned(),
        Event::Endpoint(endpoint) => world.partner.regions[0].endpoint = endpoint.to_owned(),
        Event::Name(name) => world.partner.display_name = name.to_owned(),
        Event::Threshold(threshold) => world.partner.check.failure_threshold = threshold,
        Event::Interval(interval) => world.partner.check.interval = interval.parse().unwrap(),
        Event::Request(value) => world.request(value),
        Event::Answer(verdict) => {
            if world.is_open() {
                world.answer_after(Duration::from_millis(50), verdict);
            }
        }
        Event::Restart => {
            (world.memory, world.slot) = (crate::core::Memory::default(), Slot::Idle);
        }
        Event::Pass(seconds) => world.advance(Duration::from_secs(seconds)),
        Event::Look => {
            if let (Some(look), Slot::Idle) = (world.look, &world.slot) {
                world.now = look.max(world.now);
            }
        }
        Event::SetBack(seconds) => world.now = world.now.checked_sub(Duration::from_secs(seconds)).unwrap(),
    }
    world.step();
}

/// What was at the start, and then nothing but the schedule.
fn return_to(world: &mut World, start: &World, verdict: &Verdict) {
    world.edit(|spec| *spec = start.integration.spec.clone());
    (world.partner, world.secret) = (start.partner.clone(), start.secret.clone());
    (world.catalogue, world.fault, world.forbidden) = (start.catalogue, start.fault, start.forbidden);
    world.step();
    world.settle(verdict);
}

/// The status without times and generations. What is counted is left out where the last word is not a check's.
fn modulo_times(world: &World, verdict: &Verdict) -> PartnerIntegrationStatus {
    let mut status = world.status().clone();
    assert_eq!(Some(status.observed_generation), world.integration.metadata.generation);
    status.observed_generation = 0;
    status.last_handled_check_request = None;
    for condition in &mut status.conditions {
        condition.observed_generation = None;
        condition.last_transition_time.0 = super::fixture::start();
    }
    if let Some(verified) = &mut status.verified {
        verified.time.0 = super::fixture::start();
    }
    let checked = matches!(verdict, Verdict::Failed(failure) if failure.reason == world.reason());
    status.failing = status.failing.filter(|_| checked).map(|mut failing| {
        failing.not_before.0 = super::fixture::start();
        failing
    });
    status
}

fn starts() -> impl Strategy<Value = World> {
    let make: Vec<Change> = vec![
        |_| {},
        |_| {},
        |_| {},
        |world| world.integration.spec.suspend = true,
        |world| (world.integration.spec.region, world.integration.spec.api_key_secret_ref) = (None, None),
        |world| world.catalogue = Catalogue::Absent,
    ];
    select(make).prop_map(|make| {
        let mut world = World::new();
        make(&mut world);
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_the_way_the_same_world_has_the_same_status(
        start in starts(),
        events in prop::collection::vec(events(), 0..40),
        verdict in select(vec![
            Verdict::Connected,
            Verdict::Connected,
            failed(Reason::Timeout),
            answered(Reason::CredentialRejected, 401, None),
            answered(Reason::RateLimited, 429, Some(60)),
            Verdict::NotMade(Reason::SecretKeyNotFound),
        ]),
    ) {
        let mut straight = start.clone();
        return_to(&mut straight, &start, &verdict);
        let mut around = start.clone();
        for event in events {
            happen(&mut around, event);
        }
        return_to(&mut around, &start, &verdict);
        prop_assert_eq!(modulo_times(&around, &verdict), modulo_times(&straight, &verdict));
        // The last check request is answered, or there was none.
        prop_assert_eq!(around.handled(), crate::core::check_request(&around.integration));
    }

    /// `step` judges S1 and S5 at every write on the way.
    #[test]
    fn a_check_is_open_only_of_what_is_wanted(events in prop::collection::vec(events(), 0..60)) {
        let mut world = World::new();
        for event in events {
            happen(&mut world, event);
            if let Slot::Open { tuple, .. } = &world.slot {
                prop_assert!(!world.integration.spec.suspend);
                prop_assert_eq!((tuple, world.catalogue), (&world.tuple(), Catalogue::Present));
            }
            prop_assert!(!matches!(world.slot, Slot::Ended(_)), "an outcome is taken up or dropped");
        }
    }
}
