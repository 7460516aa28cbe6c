//! Between the small values of a state and the real objects: builds what `decide` observes, runs it as it is, and keeps every
//! answer by its input, which is fair since it is pure.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use partner_integration_operator::api::{
    ApiKeySecretRef, PartnerIntegration, PartnerIntegrationStatus, PartnerSpec, Phase,
};
use partner_integration_operator::core::{
    BindingOrder, BindingSeen, Budget, CheckOrder, CheckSeen, Decision, Ended, Failure, Fingerprint, Held, Live,
    Memory, NamedSecret, Observed, OwnSecret, PartnerFacts, PartnerSeen, Reason, SecretSeen, SecretVersion, Tuple,
    Verdict, connected_reason, decide, digest,
};
use serde_json::json;

use super::state::{Came, Fact, Read, Status, T};

/// The two names that a binding may have.
pub const BINDINGS: [&str; 2] = ["binding-a", "binding-b"];
const KEY: &str = "key";
const REGIONS: [&str; 2] = ["eu1", "us1"];

/// What `spec` of an integration may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// `None`: only added.
    pub region: Option<u8>,
    pub suspend: bool,
    pub binding: Option<u8>,
}

/// What a catalogue entry may be: the endpoint of each region, and the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    pub endpoints: [Option<u8>; 2],
    pub threshold: u32,
}

/// The input of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    pub read: Read,
    pub partner: Option<u8>,
    pub key: Option<(u8, u8)>,
    pub check: CheckIn,
    pub memory: u16,
    pub facts: [Option<Fact>; 2],
}

/// A check as a decision sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckIn {
    Idle,
    Open(T),
    Ended { t: T, began: Status, request: u8, came: Came },
}

/// A decision, and what of it a state holds.
pub struct Decided {
    pub decision: Decision,
    pub status: Option<Status>,
    pub memory: u16,
    /// The T and the request of a check to start, and the status that it begins with.
    pub start: Option<(T, u8, Status)>,
    /// The bindings to delete.
    pub held: Vec<usize>,
    /// The binding to write, from which T, and whether over another one.
    pub publish: Option<(usize, T, bool)>,
}

/// What a status says, as far as properties ask.
#[derive(Clone, Debug)]
pub struct Said {
    pub observed: i64,
    pub phase: Phase,
    pub connected: bool,
    pub reason: Option<Reason>,
    pub ready: String,
    pub verified: Option<T>,
    pub binding: Option<usize>,
}

#[derive(Default)]
struct Kept {
    statuses: Vec<(PartnerIntegrationStatus, Arc<Said>)>,
    by_fingerprint: HashMap<Fingerprint, Status>,
    memories: Vec<Memory>,
    decided: Vec<Arc<Decided>>,
    by_input: HashMap<Input, u32>,
}

/// See the module.
pub struct Tables {
    wanted: Vec<Wanted>,
    offers: Vec<(Offer, PartnerSpec)>,
    /// The digest of each uid and endpoint, in this order.
    digests: Vec<String>,
    kept: RwLock<Kept>,
}

/// No uid has a number beyond.
const BORN: u8 = 4;
/// No endpoint has.
const ENDPOINTS: u8 = 4;

impl Tables {
    pub fn new(wanted: &[Wanted], offers: &[Offer]) -> Self {
        let offers: Vec<_> = offers.iter().map(|offer| (*offer, partner(offer))).collect();
        let mut digests = Vec::new();
        for born in 0..BORN {
            for at in 0..ENDPOINTS {
                digests.push(digest(&uid(born), &offers[0].1, &endpoint(at), &key_ref()));
            }
        }
        let tables = Self { wanted: wanted.to_vec(), offers, digests, kept: RwLock::default() };
        let pending: PartnerIntegrationStatus = serde_json::from_value(json!({
            "observedGeneration": -1, "phase": "Available", "connected": false,
            "conditions": [
                {"type": "Ready", "status": "Unknown", "reason": "Pending", "message": "waiting for the operator",
                 "lastTransitionTime": "1970-01-01T00:00:00Z"},
                {"type": "Connected", "status": "Unknown", "reason": "Pending", "message": "waiting for the operator",
                 "lastTransitionTime": "1970-01-01T00:00:00Z"},
            ],
        }))
        .expect("the default of the CRD");
        let mut kept = Kept::default();
        tables.status_id(&mut kept, &pending);
        kept.memories.push(Memory::default());
        *tables.kept.write().unwrap_or_else(PoisonError::into_inner) = kept;
        tables
    }

    pub fn wanted(&self, spec: u8) -> Wanted {
        self.wanted[usize::from(spec)]
    }

    pub fn offer(&self, partner: u8) -> Offer {
        self.offers[usize::from(partner)].0
    }

    /// The endpoint of an integration's region, where its partner offers it.
    pub fn endpoint(&self, spec: u8, partner: u8) -> Option<u8> {
        self.offer(partner).endpoints[usize::from(self.wanted(spec).region?)]
    }

    /// The digest of an integration's T.
    pub fn digest(&self, born: u8, endpoint: u8) -> u8 {
        born * ENDPOINTS + endpoint
    }

    /// The uid and the endpoint that a digest is of.
    pub fn of_digest(digest: u8) -> (u8, u8) {
        (digest / ENDPOINTS, digest % ENDPOINTS)
    }

    pub fn said(&self, status: Status) -> Arc<Said> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).statuses[usize::from(status)].1.clone()
    }

    pub fn decided(&self, number: u32) -> Arc<Decided> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).decided[number as usize].clone()
    }

    /// A status as it is, to be shown.
    pub fn status(&self, status: Status) -> PartnerIntegrationStatus {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).statuses[usize::from(status)].0.clone()
    }

    /// How many different inputs there were, and statuses.
    pub fn sizes(&self) -> (usize, usize) {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        (kept.decided.len(), kept.statuses.len())
    }

    /// The memory when everything that was planned has come due.
    pub fn aged(&self, memory: u16) -> u16 {
        let mut aged = self.kept.read().unwrap_or_else(PoisonError::into_inner).memories[usize::from(memory)].clone();
        match &mut aged.anchor {
            Some(anchor) if anchor.at != long_ago() => anchor.at = long_ago(),
            _ => return memory,
        }
        memory_id(&mut self.kept.write().unwrap_or_else(PoisonError::into_inner), aged)
    }

    /// The production's decision.
    pub fn decide(&self, mut input: Input) -> u32 {
        // A decision copies versions and compares none.
        input.read.version = 0;
        for fact in input.facts.iter_mut().flatten() {
            fact.version = 0;
        }
        if let Some(number) = self.kept.read().unwrap_or_else(PoisonError::into_inner).by_input.get(&input) {
            return *number;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = kept.by_input.get(&input) {
            return *number;
        }
        let decided = self.decide_anew(&mut kept, &input);
        let number = u32::try_from(kept.decided.len()).expect("few enough");
        kept.decided.push(Arc::new(decided));
        kept.by_input.insert(input, number);
        number
    }

    /// The production's judgement of a live read.
    pub fn live(&self, read: &Read, status: Option<&PartnerIntegrationStatus>, fresh: &Read) -> Live {
        let [read, fresh] = [read, fresh].map(|it| self.integration(it, self.status(it.status)));
        Live::of(&read, status, &fresh)
    }

    fn decide_anew(&self, kept: &mut Kept, input: &Input) -> Decided {
        let status = |kept: &Kept, status: Status| kept.statuses[usize::from(status)].0.clone();
        let integration = self.integration(&input.read, status(kept, input.read.status));
        let open = match input.check {
            CheckIn::Open(t) => Some(self.tuple(t)),
            CheckIn::Idle | CheckIn::Ended { .. } => None,
        };
        let ended = match input.check {
            CheckIn::Ended { t, began, request, came } => Some(Ended {
                tuple: self.tuple(t),
                request: (request > 0).then(|| request_text(request)),
                began_with: Fingerprint::of(Some(&status(kept, began))),
                verdict: verdict(came),
                at: now(),
            }),
            CheckIn::Idle | CheckIn::Open(_) => None,
        };
        let memory = kept.memories[usize::from(input.memory)].clone();
        let seen = Observed {
            now: now(),
            draw: 0.5,
            integration: &integration,
            partner: input.partner.map_or(PartnerSeen::Absent, |partner| {
                let spec = &self.offers[usize::from(partner)].1;
                PartnerSeen::Present(PartnerFacts { spec, fault: None, forbidden: false })
            }),
            secret: input
                .key
                .map_or(SecretSeen::Absent, |(born, number)| SecretSeen::Present(secret_version(born, number))),
            check: match (&open, &ended) {
                (Some(open), _) => CheckSeen::Open(open),
                (_, Some(ended)) => CheckSeen::Ended(ended),
                (None, None) => CheckSeen::Idle,
            },
            memory: &memory,
            binding: self.binding(input),
        };
        let decision = decide(&seen);
        self.small(kept, decision, input.read.status)
    }

    fn binding(&self, input: &Input) -> BindingSeen {
        let name = self.wanted(input.read.spec).binding.map(usize::from);
        let version = |slot: usize| SecretVersion { uid: BINDINGS[slot].into(), resource_version: "0".into() };
        let named =
            name.and_then(|slot| Some((slot, input.facts[slot]?))).map_or(NamedSecret::Absent, |(slot, fact)| {
                if fact.owner == input.read.born {
                    return NamedSecret::Ours(OwnSecret {
                        version: version(slot),
                        made_from: Some(self.tuple(fact.made_from).stamp()),
                        region: Some(REGIONS[usize::from(fact.region)].into()),
                        whole: fact.whole,
                    });
                }
                if fact.owner == 0 { NamedSecret::Foreign } else { NamedSecret::Earlier }
            });
        let strays = (0..2)
            .filter(|slot| Some(*slot) != name)
            .filter(|slot| input.facts[*slot].is_some_and(|fact| fact.owner == input.read.born))
            .map(|slot| Held { name: BINDINGS[slot].into(), version: version(slot) });
        BindingSeen { enabled: true, named, strays: strays.collect(), refused: None }
    }

    fn small(&self, kept: &mut Kept, decision: Decision, before: Status) -> Decided {
        let slot = |name: &str| BINDINGS.iter().position(|binding| *binding == name).expect("a binding");
        let status = decision.status.as_deref().map(|status| self.status_id(kept, status));
        let began_with = status.unwrap_or(before);
        let start = match &decision.check {
            CheckOrder::Start(plan) => {
                let request = plan.request.as_deref().map_or(0, |text| text[1..].parse().expect("one of ours"));
                assert_eq!(kept.by_fingerprint.get(&plan.began_with), Some(&began_with), "begins with what it wrote");
                Some((self.t(&plan.tuple), request, began_with))
            }
            CheckOrder::Rebase(to) => {
                assert_eq!(kept.by_fingerprint.get(to), Some(&began_with), "rebased to what it wrote");
                None
            }
            CheckOrder::Leave | CheckOrder::Cancel => None,
        };
        let held = match &decision.binding {
            BindingOrder::Withdraw(held) | BindingOrder::Tidy(held) => {
                held.iter().map(|held| slot(&held.name)).collect()
            }
            BindingOrder::Leave | BindingOrder::Publish(_) => Vec::new(),
        };
        let publish = match &decision.binding {
            BindingOrder::Publish(it) => Some((slot(&it.name), self.t(&it.tuple), it.over.is_some())),
            _ => None,
        };
        let memory = memory_id(kept, decision.memory.clone());
        Decided { decision, status, memory, start, held, publish }
    }

    fn status_id(&self, kept: &mut Kept, status: &PartnerIntegrationStatus) -> Status {
        let fingerprint = Fingerprint::of(Some(status));
        if let Some(id) = kept.by_fingerprint.get(&fingerprint) {
            return *id;
        }
        let id = Status::try_from(kept.statuses.len()).expect("few enough");
        kept.by_fingerprint.insert(fingerprint, id);
        kept.statuses.push((status.clone(), Arc::new(self.said_by(status))));
        id
    }

    fn said_by(&self, status: &PartnerIntegrationStatus) -> Said {
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let slot = |name: &str| BINDINGS.iter().position(|binding| *binding == name);
        Said {
            observed: status.observed_generation,
            phase: status.phase,
            connected: status.connected,
            reason: connected_reason(status),
            ready: ready.map(|ready| format!("{} {}", ready.status, ready.reason)).unwrap_or_default(),
            verified: status.verified.as_ref().map(|verified| self.t(&Tuple::of(verified))),
            binding: status.binding.as_ref().and_then(|bound| slot(&bound.name)),
        }
    }

    fn t(&self, tuple: &Tuple) -> T {
        let digest = self.digests.iter().position(|digest| *digest == tuple.digest).expect("a digest of ours");
        let born = tuple.secret.uid[1..].parse().expect("a uid of ours");
        let number = tuple.secret.resource_version.parse().expect("a version of ours");
        T { digest: u8::try_from(digest).expect("few"), born, number }
    }

    fn tuple(&self, t: T) -> Tuple {
        Tuple { digest: self.digests[usize::from(t.digest)].clone(), secret: secret_version(t.born, t.number) }
    }

    fn integration(&self, read: &Read, status: PartnerIntegrationStatus) -> PartnerIntegration {
        let wanted = self.wanted(read.spec);
        let mut spec = json!({"partner": "datadog", "suspend": wanted.suspend});
        if let Some(region) = wanted.region {
            spec["region"] = json!(REGIONS[usize::from(region)]);
            spec["apiKeySecretRef"] = json!({"name": KEY});
        }
        if let Some(binding) = wanted.binding {
            spec["binding"] = json!({"secretName": BINDINGS[usize::from(binding)]});
        }
        let mut metadata = json!({
            "namespace": "shop", "name": "datadog", "uid": uid(read.born),
            "generation": read.generation, "resourceVersion": "1",
        });
        if read.deleting {
            metadata["deletionTimestamp"] = json!("2026-11-24T10:00:00Z");
        }
        if read.request > 0 {
            metadata["annotations"] =
                json!({"integrations.kognitiv.com/check-requested-at": request_text(read.request)});
        }
        let object = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
            "metadata": metadata, "spec": spec,
        });
        let mut integration: PartnerIntegration = serde_json::from_value(object).expect("an integration");
        integration.status = Some(status);
        integration
    }
}

/// Keeps of a memory what is about order and not about pace: the budget counts as full at every decision.
fn memory_id(kept: &mut Kept, memory: Memory) -> u16 {
    let memory = Memory { budget: Budget::default(), ..memory };
    let at = kept.memories.iter().position(|known| *known == memory).unwrap_or_else(|| {
        kept.memories.push(memory);
        kept.memories.len() - 1
    });
    u16::try_from(at).expect("few enough")
}

/// When everything happens.
fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().expect("a time")
}

/// Longer ago than any delay.
fn long_ago() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().expect("a time")
}

fn verdict(came: Came) -> Verdict {
    let answered = |reason, code| Verdict::Failed(Failure { code: Some(code), ..Failure::from(reason) });
    match came {
        Came::Good => Verdict::Connected,
        Came::Rejected => answered(Reason::CredentialRejected, 401),
        Came::Failed => answered(Reason::PartnerUnavailable, 500),
        Came::NoSecret => Verdict::NotMade(Reason::SecretNotFound),
    }
}

fn uid(born: u8) -> String {
    format!("integration-{born}")
}

fn endpoint(at: u8) -> String {
    format!("https://{at}.example.com")
}

fn key_ref() -> ApiKeySecretRef {
    serde_json::from_value(json!({"name": KEY})).expect("a reference")
}

fn request_text(request: u8) -> String {
    format!("r{request}")
}

fn secret_version(born: u8, number: u8) -> SecretVersion {
    SecretVersion { uid: format!("k{born}"), resource_version: number.to_string() }
}

fn partner(offer: &Offer) -> PartnerSpec {
    let regions = REGIONS.iter().zip(offer.endpoints);
    let regions: Vec<_> =
        regions.filter_map(|(name, at)| Some(json!({"name": name, "endpoint": endpoint(at?)}))).collect();
    serde_json::from_value(json!({
        "displayName": "Datadog",
        "regions": regions,
        "authentication": {"bearer": {}},
        "check": {"path": "/validate", "failureThreshold": offer.threshold},
    }))
    .expect("a partner")
}
