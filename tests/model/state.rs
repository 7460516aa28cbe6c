//! The state of the model: what is stored, what watches have yet to show, and what each process keeps.

use partner_integration_operator::core::Steps;

use super::server::{Event, Object, Server, Version};

/// What users write, small: each value stands for a real object that [`super::tables`] builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spec {
    /// The catalogue entry with this number; a later one has a higher number.
    Partner(u8),
    /// `born` stands for the uid: it is another one for another object under the same name.
    Integration { born: u8, spec: u8 },
    /// The key's Secret: `born` stands for the uid, `number` for the resourceVersion.
    Key { born: u8, number: u8 },
    /// A binding; `owner` is the `born` of its integration, 0 of nobody.
    Binding { owner: u8, made_from: T, region: u8, whole: bool },
}

/// A T. `digest` counts the digests that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct T {
    pub digest: u8,
    pub born: u8,
    pub number: u8,
}

/// A status, by its number in [`super::tables`]; 0 is the default of the CRD.
pub type Status = u16;
/// What is stored.
pub type Stored = Server<Spec, Status>;

/// An integration as somebody has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    pub born: u8,
    pub version: Version,
    pub generation: u8,
    pub spec: u8,
    pub request: u8,
    pub deleting: bool,
    pub status: Status,
}

impl Read {
    /// Of what is stored; `None` where it is no integration.
    pub fn of(object: &Object<Spec, Status>) -> Option<Self> {
        let Spec::Integration { born, spec } = object.spec else { return None };
        Some(Self {
            born,
            version: object.version,
            generation: u8::try_from(object.generation).unwrap_or(u8::MAX),
            spec,
            request: object.annotation,
            deleting: object.deleting.is_some(),
            status: object.seen_status(),
        })
    }
}

/// What a process knows of a binding Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    pub version: Version,
    pub owner: u8,
    pub made_from: T,
    pub region: u8,
    pub whole: bool,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Came {
    Good,
    Rejected,
    Failed,
    NoSecret,
}

/// The check of an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    Idle,
    /// It waits for its place; or has read its key, and asks `endpoint` next.
    Open {
        t: T,
        began: Status,
        request: u8,
        asks: Option<u8>,
    },
    Ended {
        t: T,
        began: Status,
        request: u8,
        came: Came,
    },
}

/// A decision that is being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    pub read: Read,
    /// Its number in [`super::tables`].
    pub decided: u32,
    pub has_outcome: bool,
    pub steps: Steps,
    /// The term that it began in lasts.
    pub in_term: bool,
    /// The versions of the bindings that were seen.
    pub held: [Version; 2],
    /// How many of the bindings to delete have been.
    pub deleted: u8,
    pub shown: Option<Read>,
}

/// One process of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    pub office: bool,
    /// How many events of each kind the watches have shown, of those that are kept: integrations, partners, Secrets.
    pub shown: [u8; 3],
    /// What the watch's store holds.
    pub store: Option<Read>,
    /// The `born` and the latest spec of the integration that the tracker keeps.
    pub tracked: Option<(u8, u8)>,
    pub ahead: Option<Read>,
    /// Its number in [`super::tables`].
    pub memory: u16,
    pub check: Check,
    /// It is to be reconciled.
    pub woken: bool,
    /// A next look is planned.
    pub look: bool,
    /// Decided again over this one, not over what the store holds.
    pub again: Option<Read>,
    pub partner: Option<u8>,
    pub key: Option<(u8, u8)>,
    pub facts: [Option<Fact>; 2],
    /// A binding whose creation was not answered.
    pub unsure: Option<u8>,
    pub work: Option<Work>,
    /// History, for S6: the uids of which a deletion has been seen, one bit each.
    pub dead: u8,
    /// History, for S3: the catalogue entry as it was when it took office.
    pub partner_then: u8,
}

/// What the partner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Accepts,
    Rejects,
    Fails,
}

/// A kind of violation that shows in a step and not in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// A key went to another endpoint than T names, or to one that was corrected before it took office.
    S3 = 1,
    /// A Secret of somebody else was changed.
    S4 = 2,
    /// `observedGeneration` went back.
    S5 = 4,
    /// Something was sent or stored after a deletion was seen.
    S6 = 8,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub server: Stored,
    /// Events that not every process has been shown: integrations, partners, Secrets.
    pub events: [Vec<Event<Spec, Status>>; 3],
    pub replicas: Vec<Replica>,
    pub mode: Mode,
    /// The number of the latest catalogue entry, key and integration, also of those that are gone.
    pub latest: [u8; 3],
    /// The `born` of the latest key.
    pub key_born: u8,
    /// How often each thing that the scope allows may still happen.
    pub left: Vec<u8>,
    /// History, for S1 and S2: every T that the partner has accepted.
    pub accepted: Vec<T>,
    /// History: the sum of [`Bad`].
    pub bad: u8,
}

impl State {
    /// Gives versions the numbers from 1 on, in their order: states that differ only in how they count are one.
    pub fn renumber(&mut self) {
        let mut all = Vec::with_capacity(24);
        self.versions(&mut |version| all.push(*version));
        all.sort_unstable();
        all.dedup();
        if all.first() == Some(&0) {
            all.remove(0);
        }
        let rank = |version: &mut Version| {
            if *version != 0 {
                let at = all.binary_search(version).unwrap_or_default();
                *version = Version::try_from(at).unwrap_or_default() + 1;
            }
        };
        self.versions(&mut { rank });
        self.server.version = Version::try_from(all.len()).unwrap_or_default();
        self.server.uid = 0;
    }

    fn versions(&mut self, each: &mut impl FnMut(&mut Version)) {
        for object in self.server.objects.values_mut() {
            object.uid = 0;
            each(&mut object.version);
        }
        for event in self.events.iter_mut().flatten() {
            event.object.uid = 0;
            each(&mut event.object.version);
        }
        for replica in &mut self.replicas {
            let reads = [&mut replica.store, &mut replica.ahead, &mut replica.again];
            for read in reads.into_iter().flatten() {
                each(&mut read.version);
            }
            for fact in replica.facts.iter_mut().flatten() {
                each(&mut fact.version);
            }
            if let Some(work) = &mut replica.work {
                each(&mut work.read.version);
                work.held.iter_mut().for_each(&mut *each);
                if let Some(shown) = &mut work.shown {
                    each(&mut shown.version);
                }
            }
        }
    }

    /// Drops the events that every process has been shown.
    pub fn trim(&mut self) {
        for kind in 0..3 {
            let shown = self.replicas.iter().map(|replica| replica.shown[kind]).min().unwrap_or_default();
            self.events[kind].drain(..usize::from(shown));
            for replica in &mut self.replicas {
                replica.shown[kind] -= shown;
            }
        }
    }
}
