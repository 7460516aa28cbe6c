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

    /// A partner has been seen; whether its spec is news. A status that was written is none.
    pub fn seen(&self, partner: &DeserializeGuard<Partner>) -> bool {
        let meta = partner.meta();
        let name = partner.name_any();
        let resource_version = meta.resource_version.clone().unwrap_or_default();
        let mut map = self.lock();
        if let Some(known) = map.get_mut(&name) {
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
        let known = Known { listed, uid: meta.uid.clone(), generation: meta.generation, resource_version };
        map.insert(name, known);
        true
    }

    /// The partner is gone. Whether it is absent is for a live `get` to say.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The watch has listed anew: what is not in `live` is forgotten.
    pub fn retain(&self, live: &HashSet<String>) -> Vec<String> {
        let mut map = self.lock();
        let gone: Vec<String> = map.keys().filter(|name| !live.contains(*name)).cloned().collect();
        for name in &gone {
            map.remove(name);
        }
        gone
    }

    /// The same after a list of our own, made `as_of` this resource version: what the watch has shown since stays.
    pub fn retain_as_of(&self, live: &HashSet<String>, as_of: &str) {
        self.lock().retain(|name, known| live.contains(name) || newer(&known.resource_version, as_of));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
