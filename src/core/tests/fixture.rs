//! A small simulated world: it keeps the objects that users write and carries decisions out as the shell does, so that
//! a test reads as a story. Time stands still until a test moves it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::invariants::assert_invariants;
use crate::api::{
    ApiKeySecretRef, CHECK_REQUESTED_AT, PartnerIntegration, PartnerIntegrationSpec, PartnerIntegrationStatus,
    PartnerSpec, Phase,
};
use crate::core::{
    BindingOrder, BindingSeen, CheckOrder, CheckSeen, Decision, Ended, Failure, Fingerprint, Held, Memory, NamedSecret,
    Observed, OwnSecret, PartnerFacts, PartnerFault, PartnerSeen, Publication, Reason, SecretSeen, SecretVersion,
    Tuple, Verdict, connected_reason, decide, digest, region_of,
};

/// When every story begins.
pub fn start() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

/// A partner with the regions eu1 and us1, an interval of 10 minutes and a threshold of 3.
pub fn partner() -> PartnerSpec {
    serde_json::from_value(json!({
        "displayName": "Datadog",
        "regions": [
            {"name": "eu1", "endpoint": "https://api.datadoghq.eu"},
            {"name": "us1", "endpoint": "https://api.datadoghq.com"},
        ],
        "authentication": {"headers": [{"name": "DD-API-KEY"}]},
        "check": {"path": "/api/v1/validate"},
    }))
    .unwrap()
}

/// An integration that asks for Datadog in eu1, with the status that the CRD gives to a new object.
pub fn integration() -> PartnerIntegration {
    let mut integration = PartnerIntegration::new(
        "datadog",
        PartnerIntegrationSpec {
            partner: "datadog".to_owned(),
            region: Some("eu1".to_owned()),
            api_key_secret_ref: Some(ApiKeySecretRef { name: "datadog-key".to_owned(), key: "api-key".to_owned() }),
            suspend: false,
            binding: None,
        },
    );
    integration.metadata.namespace = Some("shop".to_owned());
    integration.metadata.uid = Some("uid-1".to_owned());
    integration.metadata.generation = Some(1);
    integration.status = Some(default_status());
    integration
}

/// What the CRD puts into a new object.
pub fn default_status() -> PartnerIntegrationStatus {
    let condition = |kind| {
        json!({"type": kind, "status": "Unknown", "reason": "Pending", "message": "waiting for the operator",
               "lastTransitionTime": "1970-01-01T00:00:00Z"})
    };
    serde_json::from_value(json!({
        "observedGeneration": -1, "phase": "Available", "connected": false,
        "conditions": [condition("Ready"), condition("Connected")],
    }))
    .unwrap()
}

pub fn version(uid: &str, resource_version: &str) -> SecretVersion {
    SecretVersion { uid: uid.to_owned(), resource_version: resource_version.to_owned() }
}

pub fn failed(reason: Reason) -> Verdict {
    Verdict::Failed(Failure::from(reason))
}

/// A failure that the partner answered with `code` and perhaps a Retry-After in seconds.
pub fn answered(reason: Reason, code: u16, retry_after: Option<u64>) -> Verdict {
    Verdict::Failed(Failure { reason, code: Some(code), retry_after: retry_after.map(Duration::from_secs) })
}

/// Something that happens to a world.
pub type Change = fn(&mut World);

/// What the catalogue says of the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    Absent,
    Unreadable,
    Present,
}

/// The check, as the shell keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    Idle,
    Open { tuple: Tuple, request: Option<String>, began_with: Fingerprint },
    Ended(Ended),
}

#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub draw: f64,
    pub integration: PartnerIntegration,
    pub catalogue: Catalogue,
    pub partner: PartnerSpec,
    pub fault: Option<PartnerFault>,
    pub forbidden: bool,
    pub secret: SecretSeen,
    pub memory: Memory,
    pub slot: Slot,
    pub binding: BindingSeen,
    /// How many times a binding was written, and how many were deleted.
    pub published: usize,
    pub withdrawn: usize,
    /// When the operator looks again by itself.
    pub look: Option<Timestamp>,
    pub writes: usize,
    pub checks: usize,
    pub cancelled: usize,
}

impl World {
    /// A new integration with everything that it needs; nobody has looked yet.
    pub fn new() -> Self {
        Self {
            now: start(),
            draw: 0.5,
            integration: integration(),
            catalogue: Catalogue::Present,
            partner: partner(),
            fault: None,
            forbidden: false,
            secret: SecretSeen::Present(version("secret-1", "100")),
            memory: Memory::default(),
            slot: Slot::Idle,
            binding: BindingSeen::default(),
            published: 0,
            withdrawn: 0,
            look: None,
            writes: 0,
            checks: 0,
            cancelled: 0,
        }
    }

    /// Connected at [`start`], with the counters at zero.
    pub fn connected() -> Self {
        let mut world = Self::new();
        world.step();
        world.end(Verdict::Connected);
        assert_eq!((world.reason(), world.status().connected), (Reason::Connected, true));
        world.forget_counts()
    }

    /// Not connected, its one check so far failed so.
    pub fn failed(verdict: Verdict) -> Self {
        let mut world = Self::new();
        world.step();
        world.end(verdict);
        assert_eq!(world.status().phase, Phase::Failed);
        world.forget_counts()
    }

    pub fn forget_counts(mut self) -> Self {
        (self.writes, self.checks, self.cancelled) = (0, 0, 0);
        (self.published, self.withdrawn) = (0, 0);
        self
    }

    pub fn seen(&self) -> Observed<'_> {
        let forbidden = self.forbidden && region_of(&self.integration, &self.partner.regions).is_some();
        Observed {
            now: self.now,
            draw: self.draw,
            integration: &self.integration,
            partner: match self.catalogue {
                Catalogue::Absent => PartnerSeen::Absent,
                Catalogue::Unreadable => PartnerSeen::Unreadable,
                Catalogue::Present => {
                    PartnerSeen::Present(PartnerFacts { spec: &self.partner, fault: self.fault, forbidden })
                }
            },
            secret: self.secret.clone(),
            check: match &self.slot {
                Slot::Idle => CheckSeen::Idle,
                Slot::Open { tuple, .. } => CheckSeen::Open(tuple),
                Slot::Ended(ended) => CheckSeen::Ended(ended),
            },
            memory: &self.memory,
            binding: self.binding.clone(),
        }
    }

    /// Round the circle: observe, decide, apply; and again where a binding was written or deleted. Gives the last one.
    pub fn step(&mut self) -> Decision {
        for _ in 0..5 {
            let decision = decide(&self.seen());
            self.apply(&decision);
            if decision.binding == BindingOrder::Leave {
                return decision;
            }
        }
        panic!("the binding is never settled: {:?}", self.binding)
    }

    /// As the shell does it: a cancel at once, the status, the outcome taken up, the memory, then the rest of the order.
    fn apply(&mut self, decision: &Decision) {
        let began = self.integration.status.clone();
        assert!(decision.event.is_none() || decision.status.is_some(), "an Event without a change");
        if matches!(decision.check, CheckOrder::Start(_) | CheckOrder::Cancel) && matches!(self.slot, Slot::Open { .. })
        {
            self.slot = Slot::Idle;
            self.cancelled += 1;
        }
        if let BindingOrder::Withdraw(held) = &decision.binding {
            self.delete_bindings(held);
        }
        if let Some(status) = &decision.status {
            self.judge_write(status);
            let stored: PartnerIntegrationStatus =
                serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
            assert_eq!(stored, **status, "it does not read back as it was written");
            self.integration.status = Some(stored);
            self.writes += 1;
        }
        if matches!(self.slot, Slot::Ended(_)) {
            self.slot = Slot::Idle;
        }
        self.memory = decision.memory.clone();
        match &decision.check {
            CheckOrder::Leave | CheckOrder::Cancel => {}
            CheckOrder::Rebase(to) => match &mut self.slot {
                Slot::Open { began_with, .. } if *began_with == Fingerprint::of(began.as_ref()) => *began_with = *to,
                Slot::Open { .. } | Slot::Ended(_) | Slot::Idle => {}
            },
            CheckOrder::Start(plan) => {
                let (tuple, request) = (plan.tuple.clone(), plan.request.clone());
                self.slot = Slot::Open { tuple, request, began_with: plan.began_with };
                self.checks += 1;
            }
        }
        self.look = decision.next_look.map(|delay| self.now.checked_add(delay).unwrap());
        match &decision.binding {
            BindingOrder::Publish(publication) => self.publish(publication),
            BindingOrder::Tidy(held) => self.delete_bindings(held),
            BindingOrder::Leave | BindingOrder::Withdraw(_) => {}
        }
        // Promise S2; without --bindings nothing is withdrawn either.
        let ours = matches!(self.binding.named, NamedSecret::Ours(_)) || !self.binding.strays.is_empty();
        let deleted = self.integration.metadata.deletion_timestamp.is_some();
        let connected = self.integration.status.as_ref().is_some_and(|status| status.phase == Phase::Enabled);
        let open = self.is_open() || connected_reason(&began.unwrap_or_default()).is_none();
        assert!(!self.binding.enabled || deleted || connected || open || !ours, "S2: {:?}", self.binding);
    }

    /// Only over what was seen, and only the key that the status says is proved (S2, S4).
    fn publish(&mut self, publication: &Publication) {
        let status = self.integration.status.as_ref().unwrap();
        let verified = status.verified.as_ref().unwrap();
        assert!(self.binding.enabled && status.connected && publication.tuple.is_verified(verified), "S2");
        match (&self.binding.named, &publication.over) {
            (NamedSecret::Absent, None) => {}
            (NamedSecret::Ours(own), Some(over)) if own.version == *over => {}
            other => panic!("S4: {other:?}"),
        }
        self.published += 1;
        self.binding.named = NamedSecret::Ours(OwnSecret {
            version: version("binding", &self.published.to_string()),
            made_from: Some(publication.tuple.stamp()),
            region: self.integration.spec.region.clone(),
            whole: true,
        });
        self.binding.refused = None;
    }

    fn delete_bindings(&mut self, held: &[Held]) {
        assert!(self.binding.enabled);
        for held in held {
            let strays = self.binding.strays.len();
            self.binding.strays.retain(|stray| stray != held);
            if self.binding.strays.len() == strays {
                let NamedSecret::Ours(own) = &self.binding.named else { panic!("S4: {held:?}") };
                assert_eq!(own.version, held.version, "S4");
                self.binding.named = NamedSecret::Absent;
            }
            self.withdrawn += 1;
        }
    }

    /// Every status that is written is a whole one (the invariants), and keeps S1 and S5.
    fn judge_write(&self, status: &PartnerIntegrationStatus) {
        assert_invariants(status);
        let before = self.integration.status.as_ref();
        assert_ne!(before, Some(status), "a write that changes nothing");
        assert!(
            before.is_none_or(|before| before.observed_generation <= status.observed_generation),
            "S5: observedGeneration went back"
        );
        if let Some(verified) = &status.verified
            && before.and_then(|before| before.verified.as_ref()) != Some(verified)
        {
            assert!(
                matches!(&self.slot, Slot::Ended(ended)
                    if ended.verdict == Verdict::Connected && ended.tuple.is_verified(verified)),
                "S1: connected without a successful check of the T that verified names"
            );
        }
    }

    /// The open check ends so, after `latency`; not yet taken up.
    pub fn answer_after(&mut self, latency: Duration, verdict: Verdict) {
        let Slot::Open { tuple, request, began_with } = self.slot.clone() else {
            panic!("no check is open");
        };
        self.now = self.now.checked_add(latency).unwrap();
        self.slot = Slot::Ended(Ended { tuple, request, began_with, verdict, at: self.now });
    }

    /// The open check ends so, at once, and its outcome is taken up.
    pub fn end(&mut self, verdict: Verdict) -> Decision {
        self.answer_after(Duration::ZERO, verdict);
        self.step()
    }

    pub fn advance(&mut self, delay: Duration) {
        self.now = self.now.checked_add(delay).unwrap();
    }

    /// Until the operator looks again by itself.
    pub fn wait(&mut self) -> Decision {
        self.now = self.look.expect("it would never look again");
        self.step()
    }

    /// Something wakes it, and then until the next check is open; at most 400 looks.
    pub fn wait_for_check(&mut self) -> Duration {
        let began = self.now;
        if !self.is_open() {
            self.step();
        }
        for _ in 0..400 {
            if self.is_open() {
                break;
            }
            self.wait();
        }
        assert!(self.is_open(), "no check in 400 looks");
        Duration::try_from(self.now.duration_since(began)).unwrap()
    }

    /// Lets time pass and answers every check, 100 ms after it was started, with what `answer` makes of its T and number.
    pub fn run(&mut self, span: Duration, mut answer: impl FnMut(&Tuple, usize) -> Verdict) {
        let end = self.now.checked_add(span).unwrap();
        for _ in 0..200_000 {
            if let Slot::Open { tuple, .. } = &self.slot {
                let verdict = answer(tuple, self.checks);
                self.answer_after(Duration::from_millis(100), verdict);
            } else {
                match self.look {
                    Some(look) if look <= end => self.now = look.max(self.now),
                    _ => break,
                }
            }
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Goes on through some thirty checks or looks, each answered with `verdict`: more than any count needs.
    pub fn settle(&mut self, verdict: &Verdict) {
        for _ in 0..60 {
            if self.is_open() {
                self.answer_after(Duration::from_millis(100), verdict.clone());
            } else if let Some(look) = self.look {
                self.now = look.max(self.now);
            }
            self.step();
        }
    }

    /// Another process takes over.
    pub fn restart(&mut self) -> Decision {
        (self.memory, self.slot) = (Memory::default(), Slot::Idle);
        self.step()
    }

    /// Somebody applies another spec.
    pub fn edit(&mut self, change: impl FnOnce(&mut PartnerIntegrationSpec)) {
        let before = self.integration.spec.clone();
        change(&mut self.integration.spec);
        if before != self.integration.spec {
            *self.integration.metadata.generation.as_mut().unwrap() += 1;
        }
    }

    /// Somebody asks for a check.
    pub fn request(&mut self, value: &str) {
        let annotations = self.integration.metadata.annotations.get_or_insert_default();
        annotations.insert(CHECK_REQUESTED_AT.to_owned(), value.to_owned());
    }

    /// The Secret's data are replaced; it stays the same object.
    pub fn rotate(&mut self, resource_version: &str) {
        let SecretSeen::Present(secret) = &mut self.secret else { panic!("no Secret") };
        secret.resource_version = resource_version.to_owned();
    }

    /// The open check reads its key, and with it this version of the Secret.
    pub fn read(&mut self, resource_version: &str) {
        self.rotate(resource_version);
        let SecretSeen::Present(secret) = self.secret.clone() else { panic!("no Secret") };
        let Slot::Open { tuple, .. } = &mut self.slot else { panic!("no check is open") };
        tuple.secret = secret;
    }

    pub fn delete(&mut self) {
        self.integration.metadata.deletion_timestamp = Some(Time(self.now));
    }

    /// T as it is wanted now.
    pub fn tuple(&self) -> Tuple {
        let SecretSeen::Present(secret) = self.secret.clone() else { panic!("no Secret") };
        let region = region_of(&self.integration, &self.partner.regions).unwrap();
        let key = self.integration.spec.api_key_secret_ref.as_ref().unwrap();
        Tuple { digest: digest("uid-1", &self.partner, &region.endpoint, key), secret }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.slot, Slot::Open { .. })
    }

    pub fn status(&self) -> &PartnerIntegrationStatus {
        self.integration.status.as_ref().unwrap()
    }

    pub fn reason(&self) -> Reason {
        connected_reason(self.status()).unwrap()
    }

    pub fn count(&self) -> Option<u32> {
        self.status().failing.as_ref().map(|failing| failing.count)
    }

    pub fn handled(&self) -> Option<&str> {
        self.status().last_handled_check_request.as_deref()
    }
}
