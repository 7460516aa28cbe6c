//! Random sequences of requests, each from its seed alone.

use crate::server::{Event, History, Kind, Name, Object, Propagation, Request, Server, Uid, Version};

/// What users write here: which of a few contents.
pub type Spec = u8;
/// What the operator says here: 0 stands for the default of the CRD.
pub type Status = u8;

/// How many contents a spec has.
pub const SPECS: u64 = 4;
/// The most requests of a sequence.
const LONGEST: u64 = 50;
/// Names of a kind within a sequence.
const NAMES: u64 = 2;

/// One step of a sequence.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request.
    Ask(Request<Spec, Status>),
    /// A watch of a kind since a version that was answered before.
    Watch(Kind, Version),
}

/// A small generator (splitmix64): the same numbers with every version of every dependency, so that a seed stays good.
pub struct Draw(u64);

impl Draw {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn small(&mut self, end: u64) -> u8 {
        u8::try_from(self.below(end)).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// A sequence while it is made: what was answered so far decides what may be named next.
pub struct Sequence {
    draw: Draw,
    left: u64,
    /// What most of it is about.
    focus: (Kind, Name),
    server: Server<Spec, Status>,
    history: History<Spec, Status>,
    /// Versions and uids that answers have shown.
    versions: Vec<Version>,
    uids: Vec<Uid>,
}

impl Sequence {
    /// The sequence of this seed: mostly about a dozen requests, one in ten of up to 50.
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let left = if draw.below(10) == 0 { 19 + draw.below(LONGEST - 18) } else { 1 + draw.below(18) };
        let focus = (draw.one(&Kind::ALL), draw.small(NAMES));
        let (server, history) = (Server::default(), History::default());
        Self { draw, left, focus, server, history, versions: Vec::new(), uids: Vec::new() }
    }

    /// The next step; the same whatever the real server says.
    pub fn step(&mut self) -> Option<Step> {
        self.left = self.left.checked_sub(1)?;
        let draw = &mut self.draw;
        let (kind, name) = if draw.below(4) > 0 { self.focus } else { (draw.one(&Kind::ALL), draw.small(NAMES)) };
        let stored = self.server.get(kind, name).cloned();
        let (spec, annotation) = (draw.small(SPECS), draw.small(3));
        Some(match draw.below(100) {
            // What is not there is mostly made; the rest shows what its absence does.
            0..50 if stored.is_none() => Step::Ask(Request::Create { kind, name, spec, annotation }),
            0..8 => Step::Ask(Request::Create { kind, name, spec, annotation }),
            8..16 => Step::Ask(Request::Get { kind, name }),
            16..22 => Step::Ask(Request::List { kind }),
            22..26 if !self.versions.is_empty() => Step::Watch(kind, self.draw.one(&self.versions)),
            22..42 => {
                let (version, uid) = self.named(stored.as_ref());
                // One in four says what is there already.
                let (spec, annotation) = match &stored {
                    Some(stored) if self.draw.below(4) == 0 => (stored.spec, stored.annotation),
                    _ => (spec, annotation),
                };
                Step::Ask(Request::Replace { kind, name, version, uid, spec, annotation })
            }
            42..62 => {
                let (version, uid) = self.named(stored.as_ref());
                let spec = (self.draw.below(2) == 0).then_some(spec);
                let annotation = (self.draw.below(2) == 0).then_some(annotation);
                let release = self.draw.below(4) == 0;
                Step::Ask(Request::Patch { kind, name, version, uid, spec, annotation, release })
            }
            62..84 => {
                let (version, uid) = self.named(stored.as_ref());
                let status = 1 + self.draw.small(3);
                Step::Ask(Request::ApplyStatus { kind, name, version, uid, status })
            }
            _ => {
                let (version, uid) = self.named(stored.as_ref());
                let ways = [Propagation::Background, Propagation::Foreground, Propagation::Orphan];
                let propagation = (self.draw.below(4) > 0).then(|| self.draw.one(&ways));
                Step::Ask(Request::Delete { kind, name, version, uid, propagation })
            }
        })
    }

    /// A resourceVersion and a uid to name: none, what is there, another that was seen, or one that never was (0).
    fn named(&mut self, stored: Option<&Object<Spec, Status>>) -> (Option<Version>, Option<Uid>) {
        let version = match self.draw.below(10) {
            0..3 => None,
            3..8 => stored.map(|object| object.version),
            8 => Some(0),
            _ if self.versions.is_empty() => None,
            _ => Some(self.draw.one(&self.versions)),
        };
        let uid = match self.draw.below(10) {
            0..5 => None,
            5..8 => stored.map(|object| object.uid),
            8 => Some(0),
            _ if self.uids.is_empty() => None,
            _ => Some(self.draw.one(&self.uids)),
        };
        (version, uid)
    }

    /// What the abstract server says to a request.
    pub fn ask(&mut self, request: Request<Spec, Status>) -> crate::server::Answer<Spec, Status> {
        let (answer, event) = self.server.handle(request);
        self.history.take(event);
        answer
    }

    /// What its watch says.
    pub fn watch(&self, kind: Kind, since: Version) -> Vec<Event<Spec, Status>> {
        self.history.watch(kind, since)
    }

    /// An object that an answer held: its version and uid may be named from now on.
    pub fn saw(&mut self, object: &Object<Spec, Status>) {
        if !self.versions.contains(&object.version) {
            self.versions.push(object.version);
        }
        if !self.uids.contains(&object.uid) {
            self.uids.push(object.uid);
        }
    }

    /// What a look at everything at the end finds: for each kind, since the first version that was seen, or nothing to
    /// look at where nothing was ever made.
    pub fn last_watch(&mut self) -> Option<(Kind, Version)> {
        let first = self.versions.iter().min().copied()?;
        Some((self.focus.0, first))
    }

    /// What is there, to be cleaned away.
    pub fn left_over(&self) -> Vec<(Kind, Name)> {
        self.server.objects.keys().copied().collect()
    }
}
