//! Anything that can be observed, also what this operator would never have stored. The names come from small pools,
//! so that what has to match often does.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::fixture::{Catalogue, Slot, World, start, version};
use crate::api::{ApiKeySecretRef, Binding, Bound, Failing, PartnerIntegrationStatus, Phase, Verified};
use crate::core::binding::is_about_bindings;
use crate::core::{
    Anchor, AnchorKind, Budget, Ended, Failure, Fingerprint, Held, NamedSecret, OwnSecret, PartnerFault, Reason,
    Refusal, SecretSeen, Tuple, Verdict, digest, region_of,
};

/// What a check can give.
pub fn verdicts() -> impl Strategy<Value = Verdict> {
    let by_check: Vec<_> = Reason::ALL
        .into_iter()
        .filter(|reason| reason.class().is_some())
        .filter(|reason| !matches!(reason, Reason::PartnerNotFound | Reason::PartnerInvalid | Reason::RegionNotFound))
        .filter(|reason| !is_about_bindings(*reason))
        .collect();
    let failures =
        (select(by_check), option::of(100_u16..600), option::of(1_u64..=3600)).prop_map(|(reason, code, asked)| {
            match reason {
                Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::SecretForbidden => {
                    Verdict::NotMade(reason)
                }
                reason => Verdict::Failed(Failure { reason, code, retry_after: asked.map(Duration::from_secs) }),
            }
        });
    prop_oneof![1 => Just(Verdict::Connected), 2 => failures]
}

fn secrets() -> impl Strategy<Value = SecretSeen> {
    prop_oneof![
        1 => Just(SecretSeen::Absent),
        1 => Just(SecretSeen::Forbidden),
        6 => (select(vec!["secret-1", "secret-2"]), select(vec!["100", "101"]))
            .prop_map(|(uid, resource_version)| SecretSeen::Present(version(uid, resource_version))),
    ]
}

/// A moment within two hours of the start, also before it.
fn moments() -> impl Strategy<Value = Timestamp> {
    (-7200_i64..7200, select(vec![0, 1, 500_000_000, 999_999_999]))
        .prop_map(|(seconds, nanos)| Timestamp::new(start().as_second() + seconds, nanos).unwrap())
}

fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap())
}

/// Which T: 0 to 2 the one that is wanted, else one with another Secret or digest.
type WhichTuple = u8;

fn tuple(world: &World, which: WhichTuple) -> Tuple {
    let wanted = wanted(world);
    match which {
        0..=2 => wanted,
        3 => Tuple { secret: version("secret-1", "101"), ..wanted },
        4 => Tuple { secret: version("secret-2", "100"), ..wanted },
        _ => Tuple { digest: "v1:other".to_owned(), ..wanted },
    }
}

/// Where no T can be told it is that of eu1.
fn wanted(world: &World) -> Tuple {
    let region = region_of(&world.integration, &world.partner.regions).unwrap_or(&world.partner.regions[0]);
    let key = world.integration.spec.api_key_secret_ref.clone();
    let key = key.unwrap_or(ApiKeySecretRef { name: "datadog-key".to_owned(), key: "api-key".to_owned() });
    let secret = match &world.secret {
        SecretSeen::Present(version) => version.clone(),
        SecretSeen::Absent | SecretSeen::Forbidden => version("secret-1", "100"),
    };
    Tuple { digest: digest("uid-1", &world.partner, &region.endpoint, &key), secret }
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let words: Vec<_> = Reason::ALL.into_iter().map(Reason::as_str).chain(["Foreign"]).collect();
    let messages = vec!["", "said", "Datadog in region eu1 did not answer in time.", "x. (Timeout)", "x. (HTTP 404)"];
    let one = (select(words), select(vec!["True", "False", "Unknown"]), select(messages), moments());
    let each = option::weighted(0.8, one);
    let common = option::of(select(vec!["Connected", "CheckFailing", "Timeout", "SecretKeyNotFound", "TLSFailed"]));
    (prop::array::uniform4(each), common).prop_map(|(each, common)| {
        let kinds = ["Ready", "Connected", "Reconciling", "Stalled"];
        let found = kinds.into_iter().zip(each).filter_map(|(kind, one)| one.map(|one| (kind, one)));
        let make = |(kind, (reason, status, message, at)): (&str, (&str, &str, &str, _))| Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: common.unwrap_or(reason).to_owned(),
            message: message.to_owned(),
            observed_generation: None,
            last_transition_time: whole(at),
        };
        found.map(make).collect()
    })
}

/// A status that the schema lets through.
#[derive(Clone, Debug)]
struct StatusSeed {
    phase: Phase,
    endpoint: Option<&'static str>,
    handled: Option<&'static str>,
    verified: Option<(WhichTuple, Timestamp)>,
    failing: Option<(WhichTuple, u32, Timestamp)>,
    conditions: Vec<Condition>,
    binding: Option<&'static str>,
    behind: i64,
}

fn statuses() -> impl Strategy<Value = StatusSeed> {
    let phases = select(vec![Phase::Available, Phase::Enabled, Phase::Enabled, Phase::Failed, Phase::Failed]);
    let endpoints = option::of(select(vec!["https://api.datadoghq.eu", "https://api.datadoghq.com", "https://x"]));
    let handled = option::of(select(vec!["", "a", "b"]));
    let verified = option::of((0_u8..6, moments()));
    let failing = option::of((0_u8..6, 1_u32..=10, moments()));
    let bindings = option::of(select(vec!["binding", "earlier"]));
    (phases, endpoints, handled, verified, failing, conditions(), bindings, 0_i64..3).prop_map(
        |(phase, endpoint, handled, verified, failing, conditions, binding, behind)| StatusSeed {
            phase,
            endpoint,
            handled,
            verified,
            failing,
            conditions,
            binding,
            behind,
        },
    )
}

impl StatusSeed {
    fn build(self, world: &World) -> PartnerIntegrationStatus {
        PartnerIntegrationStatus {
            observed_generation: world.integration.metadata.generation.unwrap() - self.behind,
            phase: self.phase,
            connected: self.phase == Phase::Enabled,
            partner_name: Some("Datadog".to_owned()),
            endpoint: self.endpoint.map(str::to_owned),
            verified: self.verified.map(|(which, at)| {
                let Tuple { digest, secret } = tuple(world, which);
                let (secret_uid, secret_resource_version) = (secret.uid, secret.resource_version);
                Verified { digest, secret_uid, secret_resource_version, time: whole(at) }
            }),
            failing: self.failing.map(|(which, count, at)| {
                let Tuple { digest, secret } = tuple(world, which);
                let (secret_uid, secret_resource_version) = (secret.uid, secret.resource_version);
                Failing { count, digest, secret_uid, secret_resource_version, not_before: whole(at) }
            }),
            last_handled_check_request: self.handled.map(str::to_owned),
            binding: self.binding.map(|name| Bound { name: name.to_owned() }),
            conditions: self.conditions,
        }
    }
}

/// The spec and the catalogue.
fn objects() -> impl Strategy<Value = World> {
    let regions = select(vec![None, Some("eu1"), Some("eu1"), Some("us1"), Some("mars")]);
    let requests = option::of(select(vec!["", "a", "b"]));
    let catalogue = select(vec![Catalogue::Present, Catalogue::Present, Catalogue::Absent, Catalogue::Unreadable]);
    let faults = option::weighted(0.1, Just(PartnerFault::TrustBundle));
    let rare = || proptest::bool::weighted(0.1);
    let intervals = select(vec!["30s", "10m", "24h"]);
    (regions, requests, catalogue, faults, (rare(), rare(), rare()), secrets(), 1_u32..=10, intervals, 2_i64..5)
        .prop_map(|(region, request, catalogue, fault, rare, secret, threshold, interval, generation)| {
            let mut world = World::new();
            let (suspend, deleted, forbidden) = rare;
            world.integration.spec.region = region.map(str::to_owned);
            world.integration.spec.suspend = suspend;
            if region.is_none() {
                world.integration.spec.api_key_secret_ref = None;
            }
            world.integration.metadata.generation = Some(generation);
            if deleted {
                world.delete();
            }
            if let Some(request) = request {
                world.request(request);
            }
            (world.catalogue, world.fault, world.forbidden, world.secret) = (catalogue, fault, forbidden, secret);
            world.partner.check.failure_threshold = threshold;
            world.partner.check.interval = interval.parse().unwrap();
            world
        })
}

fn anchors() -> impl Strategy<Value = Option<(WhichTuple, Timestamp, f64, AnchorKind)>> {
    let retry_after = option::of((1_u64..=3600).prop_map(Duration::from_secs));
    let kinds = prop_oneof![
        Just(AnchorKind::Found),
        Just(AnchorKind::Looked),
        retry_after.prop_map(|retry_after| AnchorKind::Ended { retry_after }),
    ];
    option::of((0_u8..6, moments(), 0.0..1.0, kinds))
}

/// 0: no check; 1: one is open; 2: one has ended.
fn checks() -> impl Strategy<Value = (u8, WhichTuple, bool, Option<&'static str>, Verdict, Timestamp)> {
    let requests = option::of(select(vec!["", "a", "b"]));
    (0_u8..3, 0_u8..6, proptest::bool::weighted(0.8), requests, verdicts(), moments())
}

/// Which of absent, foreign, earlier and ours; of ours: made from which T, and whether it is whole.
fn named() -> impl Strategy<Value = (u8, WhichTuple, bool)> {
    (0_u8..6, 0_u8..6, proptest::bool::weighted(0.8))
}

/// Started with --bindings, wanted, the named one, a stray, refused, cleared.
type BindingSeed = (bool, bool, (u8, WhichTuple, bool), bool, Option<(WhichTuple, Timestamp)>, Option<WhichTuple>);

fn bindings() -> impl Strategy<Value = BindingSeed> {
    let often = || proptest::bool::weighted(0.8);
    (often(), often(), named(), any::<bool>(), option::of((0_u8..6, moments())), option::of(0_u8..6))
}

fn add_binding(world: &mut World, (enabled, wanted, named, stray, refused, cleared): BindingSeed) {
    world.memory.cleared = cleared.map(|which| tuple(world, which));
    world.integration.spec.binding = wanted.then(|| Binding { secret_name: "binding".to_owned() });
    world.binding.enabled = enabled;
    if !enabled {
        return;
    }
    let (kind, which, whole) = named;
    world.binding.named = match kind {
        _ if !wanted => NamedSecret::Absent,
        0 | 1 => NamedSecret::Absent,
        2 => NamedSecret::Foreign,
        3 => NamedSecret::Earlier,
        _ => NamedSecret::Ours(OwnSecret {
            version: version("binding", "0"),
            made_from: Some(tuple(world, which).stamp()),
            region: Some("eu1".to_owned()),
            whole,
        }),
    };
    if stray {
        world.binding.strays = vec![Held { name: "earlier".to_owned(), version: version("stray", "0") }];
    }
    let generation = world.integration.metadata.generation.unwrap();
    world.binding.refused = refused.map(|(which, at)| Refusal { at, generation, tuple: tuple(world, which) });
}

/// Everything at once.
pub fn worlds() -> impl Strategy<Value = World> {
    let spent = prop::collection::vec(moments(), 0..15);
    let status = option::weighted(0.9, statuses());
    (objects(), moments(), 0.0..1.0, status, anchors(), spent, checks(), bindings()).prop_map(
        |(mut world, now, draw, status, anchor, spent, check, binding)| {
            (world.now, world.draw) = (now, draw);
            world.integration.status = status.map(|status| status.build(&world));
            world.memory.anchor = anchor.map(|(which, at, draw, kind)| {
                let tuple = tuple(&world, which);
                Anchor { tuple, at, draw, kind }
            });
            add_binding(&mut world, binding);
            world.memory.budget = spent.into_iter().fold(Budget::default(), Budget::spend);
            let (slot, which, same, request, verdict, at) = check;
            let (tuple, request) = (tuple(&world, which), request.map(str::to_owned));
            let began_with = if same { world.integration.status.as_ref() } else { None };
            let began_with = Fingerprint::of(began_with);
            world.slot = match slot {
                0 => Slot::Idle,
                1 => Slot::Open { tuple, request, began_with },
                _ => Slot::Ended(Ended { tuple, request, began_with, verdict, at }),
            };
            world
        },
    )
}
