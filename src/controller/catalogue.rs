//! The partners, each parsed once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};

use super::key::newer;
use crate::api::{Partner, PartnerSpec};
use crate::check::{CompiledCheck, Guard};
use crate::core::{PartnerFacts, PartnerFault, PartnerSeen};

/// A partner and what parsing it gave.
pub struct Entry {
    /// Its spec.
    pub spec: PartnerSpec,
    /// The check, ready to be made.
    pub check: Result<CompiledCheck, PartnerFault>,
    /// The regions whose endpoint may not be dialled: IP literals, and what is no https address.
    forbidden: HashSet<String>,
}

impl Entry {
    fn parse(spec: PartnerSpec, guard: &Guard) -> Self {
        let check = CompiledCheck::parse(&spec);
        let unusable = |endpoint| check.as_ref().is_ok_and(|check| !check.can_reach(endpoint));
        let forbidden = spec
            .regions
            .iter()
            .filter(|region| guard.forbids_literal(&region.endpoint) || unusable(&region.endpoint))
            .map(|region| region.name.clone())
            .collect();
        Self { spec, check, forbidden }
    }

    fn facts(&self, region: Option<&str>) -> PartnerFacts<'_> {
        PartnerFacts {
            spec: &self.spec,
            fault: self.check.as_ref().err().copied(),
            forbidden: region.is_some_and(|region| self.forbidden.contains(region)),
        }
    }
}

/// A name that the catalogue has.
#[derive(Clone)]
pub enum Listed {
    /// A partner.
    Readable(Arc<Entry>),
    /// A stored object that is no partner that this version can read.
    Unreadable,
}

impl Listed {
    /// As one integration's decision sees it.
    pub fn seen(&self, region: Option<&str>) -> PartnerSeen<'_> {
        match self {
            Self::Readable(entry) => PartnerSeen::Present(entry.facts(region)),
            Self::Unreadable => PartnerSeen::Unreadable,
        }
    }
}

struct Known {
    listed: Listed,
    uid: Option<String>,
    generation: Option<i64>,
    resource_version: String,
    /// Whether the watch has shown it. What only a live read has shown may have gone before its answer came.
    shown: bool,
}

/// See the module.
pub struct Catalogue {
    known: Mutex<HashMap<String, Known>>,
    guard: Guard,
}

impl Catalogue {
    /// An empty catalogue; `guard` judges the endpoints.
    pub fn new(guard: Guard) -> Self {
        Self { known: Mutex::default(), guard }
    }

    /// The partner of this name, if it has been seen. `None` says nothing about whether there is one.
    pub fn get(&self, name: &str) -> Option<Listed> {
        self.lock().get(name).map(|known| known.listed.clone())
    }

    /// Every partner that has been seen, with its name.
    pub fn all(&self) -> Vec<(String, Listed)> {
        self.lock().iter().map(|(name, known)| (name.clone(), known.listed.clone())).collect()
    }

    /// The watch has shown a partner; whether its spec is news. A status that was written is none.
    pub fn shown(&self, partner: &DeserializeGuard<Partner>) -> bool {
        self.learn(partner, true)
    }

    /// The same of one that was read live, on its way past the watch.
    pub fn read(&self, partner: &DeserializeGuard<Partner>) -> bool {
        self.learn(partner, false)
    }

    /// Whether there is one that only a live read has shown. The watch says nothing more of it where it had already shown
    /// that it is gone, so it stays until somebody lists anew.
    pub fn is_unsure(&self) -> bool {
        self.lock().values().any(|known| !known.shown)
    }

    fn learn(&self, partner: &DeserializeGuard<Partner>, shown: bool) -> bool {
        let meta = partner.meta();
        let name = partner.name_any();
        let resource_version = meta.resource_version.clone().unwrap_or_default();
        let mut map = self.lock();
        let mut shown = shown;
        if let Some(known) = map.get_mut(&name) {
            known.shown |= shown;
            shown = known.shown;
            if newer(&known.resource_version, &resource_version) {
                return false;
            }
            known.resource_version.clone_from(&resource_version);
            if known.uid == meta.uid && known.generation == meta.generation {
                return false;
            }
        }
        let listed = match &partner.0 {
            Ok(partner) => Listed::Readable(Arc::new(Entry::parse(partner.spec.clone(), &self.guard))),
            Err(_) => Listed::Unreadable,
        };
        let known = Known { listed, uid: meta.uid.clone(), generation: meta.generation, resource_version, shown };
        map.insert(name, known);
        true
    }

    /// The partner is gone. Whether it is absent is for a live `get` to say.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The watch has listed anew: what is not in `live` is forgotten.
    pub fn retain(&self, live: &HashSet<String>) -> Vec<String> {
        self.keep(|name, _| live.contains(name))
    }

    /// The same after a list of our own, made `as_of` this resource version: what the watch has shown since stays.
    pub fn retain_as_of(&self, live: &HashSet<String>, as_of: &str) -> Vec<String> {
        self.keep(|name, known| live.contains(name) || newer(&known.resource_version, as_of))
    }

    /// The names that were not kept.
    fn keep(&self, keep: impl Fn(&str, &Known) -> bool) -> Vec<String> {
        let mut map = self.lock();
        map.extract_if(|name, known| !keep(name, known)).map(|(name, _)| name).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
