//! What a plan's driver has done and what was so when, for the judge.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// What a check depends on, as the API server holds it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Which region of the simulated partner the endpoint of each region leads to.
    pub regions: BTreeMap<String, String>,
    /// The integration's region.
    pub region: Option<String>,
    /// The key in its Secret.
    pub key: Option<String>,
    /// Whether it is suspended.
    pub suspended: bool,
}

impl Facts {
    /// Where a key may be sent, and which.
    fn check(&self) -> Option<(&str, &str)> {
        let region = self.regions.get(self.region.as_deref()?)?;
        Some((region.as_str(), self.key.as_deref()?)).filter(|_| !self.suspended)
    }
}

struct Snapshot {
    facts: Facts,
    from: Instant,
    /// `None`: it is still so.
    until: Option<Instant>,
}

/// See the module.
#[derive(Default)]
pub struct History {
    snapshots: Vec<Snapshot>,
    starts: Vec<Instant>,
    /// Versions of the key's Secret, each with its key.
    pub keys: HashMap<(String, String), String>,
    /// Uid and generation of the integration that there is.
    pub integration: Option<(String, i64)>,
    /// Secrets of somebody else that must stay as they are.
    pub foreign: BTreeMap<String, (String, String)>,
    /// Secrets that were collected as garbage.
    pub collected: Vec<(String, Instant)>,
    /// When the partner went down, and when it came back.
    pub down: Vec<(Instant, Option<Instant>)>,
    /// Version of the key's Secret, in the order in which they were written.
    pub order: Vec<(String, String)>,
}

impl History {
    /// Something has changed, at some time since `before`.
    pub fn change(&mut self, before: Instant, so: impl FnOnce(&mut Facts)) {
        let mut facts = self.snapshots.last().map(|last| last.facts.clone()).unwrap_or_default();
        so(&mut facts);
        if let Some(last) = self.snapshots.last_mut() {
            last.until = Some(Instant::now());
        }
        self.snapshots.push(Snapshot { facts, from: before, until: None });
    }

    /// A process starts.
    pub fn started(&mut self) {
        self.starts.push(Instant::now());
    }

    /// Whether this key might be sent to this region at this time: it was so at that time or, as a cache may be behind, at
    /// some time before, but no longer ago than the process runs where `fresh`.
    pub fn may_send(&self, region: &str, key: &str, at: Instant, fresh: bool) -> bool {
        let began = self.starts.iter().rev().find(|start| **start <= at).copied();
        self.snapshots.iter().any(|snapshot| {
            let lasted = !fresh || snapshot.until.is_none() || snapshot.until >= began;
            snapshot.from <= at && lasted && snapshot.facts.check() == Some((region, key))
        })
    }

    /// Whether the partner would have accepted this key at this time, as far as that is known.
    pub fn accepts(&self, key: &str, at: Instant) -> bool {
        let down = self.down.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at <= until));
        key.starts_with("good") && !down
    }

    /// The version of the key's Secret that was written last.
    pub fn key_version(&self) -> Option<(String, String)> {
        self.order.last().cloned()
    }
}
