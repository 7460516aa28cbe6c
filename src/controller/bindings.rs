//! What is known of binding Secrets: those that an integration names or owns. Metadata only, never a value.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use super::key::{Key, newer};
use crate::api::{FIELD_MANAGER, GROUP};
use crate::core::{Held, NamedSecret, OwnSecret, SecretVersion};

/// The label of what this operator has made.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "partner-integration-operator");
/// The annotation that names the T that a binding was made from.
pub const VERIFIED: &str = "integrations.kognitiv.com/verified";
/// The annotation that names its region, which T does not cover.
pub const REGION: &str = "integrations.kognitiv.com/region";

/// Who asks: an integration, and the names that its binding's data should have.
pub struct Wanted<'a> {
    /// The integration.
    pub integration: &'a Key,
    /// Its uid.
    pub uid: &'a str,
    /// `spec.binding.secretName`
    pub name: Option<&'a str>,
    /// The names of all entries.
    pub entries: BTreeSet<&'a str>,
}

/// See the module.
pub struct Bindings {
    enabled: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    facts: HashMap<Key, Fact>,
    owned: HashMap<String, BTreeSet<Key>>,
}

/// One Secret, as its metadata say.
struct Fact {
    version: SecretVersion,
    /// Uid and name of the integrations that own it.
    owners: Vec<(String, String)>,
    managed: bool,
    made_from: Option<String>,
    region: Option<String>,
    /// The entries of its data that this operator wrote last; `None` where somebody else wrote one, too.
    entries: Option<BTreeSet<String>>,
    /// It is in this version by a write of this process: whole, whoever else is named as a manager of its fields.
    written: bool,
}

impl Bindings {
    /// `enabled`: with `--bindings`. Without it nothing is kept.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, state: Mutex::default() }
    }

    /// Whether bindings are published.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// A Secret has been seen, which some integration names as its binding or not. Gives the integrations that own it
    /// if that is news.
    pub fn seen(&self, key: &Key, meta: &ObjectMeta, is_named: bool) -> Option<Vec<Key>> {
        if !self.enabled {
            return None;
        }
        let fact = Fact::of(meta);
        let mut state = self.state();
        let known = state.facts.get(key);
        if known.is_some_and(|known| known.version == fact.version || fact.is_older_than(&known.version)) {
            return None;
        }
        let owners = state.owners_of(key).into_iter().chain(fact.owner_keys(key)).collect();
        state.forget(key);
        if is_named || !fact.owners.is_empty() {
            state.keep(key.clone(), fact);
        }
        Some(owners)
    }

    /// This process has written it: it is whole in this version.
    pub fn wrote(&self, key: &Key, meta: &ObjectMeta) {
        let mut state = self.state();
        state.forget(key);
        state.keep(key.clone(), Fact { written: true, ..Fact::of(meta) });
    }

    /// The watch says that this version of it was the last. Gives its owners, unless a newer one has been seen since.
    pub fn deleted(&self, key: &Key, last: &SecretVersion) -> Option<Vec<Key>> {
        let mut state = self.state();
        if state.facts.get(key)?.is_newer_than(last) {
            return None;
        }
        let owners = state.owners_of(key);
        state.forget(key);
        Some(owners)
    }

    /// A live read or a delete of our own says that it is gone.
    pub fn gone(&self, key: &Key) {
        self.state().forget(key);
    }

    /// The watch has listed anew, one namespace or all: what of it is not in `live` is gone. Gives those that are, with their owners.
    pub fn retain(&self, namespace: Option<&str>, live: &HashSet<Key>) -> Vec<(Key, Vec<Key>)> {
        let mut state = self.state();
        let is_gone = |key: &&Key| key.is_within(namespace) && !live.contains(key);
        let gone: Vec<Key> = state.facts.keys().filter(is_gone).cloned().collect();
        let forget = |key: Key| {
            let owners = state.owners_of(&key);
            state.forget(&key);
            (key, owners)
        };
        gone.into_iter().map(forget).collect()
    }

    /// Whether anything is kept of it.
    pub fn knows(&self, key: &Key) -> bool {
        self.state().facts.contains_key(key)
    }

    /// What an integration's decision depends on: the Secret that it names, and those of its own under other names.
    pub fn of(&self, wanted: &Wanted<'_>) -> (NamedSecret, Vec<Held>) {
        let state = self.state();
        let named = wanted.name.map(|name| Key { namespace: wanted.integration.namespace.clone(), name: name.into() });
        let fact = named.as_ref().and_then(|key| state.facts.get(key));
        let strays = state.owned.get(wanted.uid).into_iter().flatten().filter(|key| Some(*key) != named.as_ref());
        let held = |key: &Key| {
            let fact = state.facts.get(key).filter(|fact| fact.managed)?;
            Some(Held { name: key.name.to_string(), version: fact.version.clone() })
        };
        (fact.map_or(NamedSecret::Absent, |fact| fact.judge(wanted)), strays.filter_map(held).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, key: Key, fact: Fact) {
        for (uid, _) in &fact.owners {
            self.owned.entry(uid.clone()).or_default().insert(key.clone());
        }
        self.facts.insert(key, fact);
    }

    fn forget(&mut self, key: &Key) {
        for (uid, _) in self.facts.remove(key).into_iter().flat_map(|fact| fact.owners) {
            if let Some(keys) = self.owned.get_mut(&uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.owned.remove(&uid);
                }
            }
        }
    }

    fn owners_of(&self, key: &Key) -> Vec<Key> {
        self.facts.get(key).map(|fact| fact.owner_keys(key)).unwrap_or_default()
    }
}

impl Fact {
    fn of(meta: &ObjectMeta) -> Self {
        let text = |map: &Option<BTreeMap<String, String>>, name: &str| map.as_ref()?.get(name).cloned();
        let is_ours = |api_version: &str, kind: &str| {
            kind == "PartnerIntegration" && api_version.split('/').next() == Some(GROUP)
        };
        let owners = meta.owner_references.iter().flatten();
        Self {
            version: SecretVersion {
                uid: meta.uid.clone().unwrap_or_default(),
                resource_version: meta.resource_version.clone().unwrap_or_default(),
            },
            owners: owners
                .filter(|owner| is_ours(&owner.api_version, &owner.kind))
                .map(|owner| (owner.uid.clone(), owner.name.clone()))
                .collect(),
            managed: text(&meta.labels, MANAGED_BY.0).as_deref() == Some(MANAGED_BY.1),
            made_from: text(&meta.annotations, VERIFIED),
            region: text(&meta.annotations, REGION),
            entries: entries(meta.managed_fields.as_deref().unwrap_or_default()),
            written: false,
        }
    }

    fn is_older_than(&self, known: &SecretVersion) -> bool {
        newer(&known.resource_version, &self.version.resource_version)
    }

    fn is_newer_than(&self, last: &SecretVersion) -> bool {
        newer(&self.version.resource_version, &last.resource_version)
    }

    fn owner_keys(&self, secret: &Key) -> Vec<Key> {
        let key = |name: &str| Key { namespace: secret.namespace.clone(), name: name.into() };
        self.owners.iter().map(|(_, name)| key(name)).collect()
    }

    fn judge(&self, wanted: &Wanted<'_>) -> NamedSecret {
        if self.owners.iter().any(|(uid, _)| uid == wanted.uid) {
            let entries = self.entries.as_ref().map(|entries| entries.iter().map(String::as_str).collect());
            return NamedSecret::Ours(OwnSecret {
                version: self.version.clone(),
                made_from: self.made_from.clone(),
                region: self.region.clone(),
                whole: self.managed && (self.written || entries.as_ref() == Some(&wanted.entries)),
            });
        }
        let earlier = self.owners.iter().any(|(_, name)| **name == *wanted.integration.name);
        if earlier { NamedSecret::Earlier } else { NamedSecret::Foreign }
    }
}

/// The entries of `data` that this operator's field manager owns; `None` where another one owns some, too.
///
/// The managed fields are how metadata tell whether somebody else has changed the data, also while no operator ran,
/// without a read of the values. Labels and annotations of others change nothing here.
fn entries(managers: &[ManagedFieldsEntry]) -> Option<BTreeSet<String>> {
    let mut ours = BTreeSet::new();
    for entry in managers {
        let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:data")?.as_object());
        let names: Vec<_> = fields.into_iter().flatten().filter_map(|(name, _)| name.strip_prefix("f:")).collect();
        if entry.manager.as_deref() == Some(FIELD_MANAGER) {
            ours.extend(names.into_iter().map(str::to_owned));
        } else if !names.is_empty() {
            return None;
        }
    }
    Some(ours)
}

#[cfg(test)]
mod tests;
