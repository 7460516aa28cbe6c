//! Who names what: the integrations of a partner, of a Secret that holds their key, and of a binding.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::key::Key;
use crate::api::PartnerIntegration;

/// What one integration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The partner.
    pub partner: Arc<str>,
    /// The Secret of its key.
    pub secret: Option<Key>,
    /// Its binding.
    pub binding: Option<Key>,
}

impl Named {
    /// By this integration, which is `key`.
    pub fn of(key: &Key, integration: &PartnerIntegration) -> Self {
        let beside = |name: &str| Key { namespace: key.namespace.clone(), name: name.into() };
        Self {
            partner: integration.spec.partner.as_str().into(),
            secret: integration.spec.api_key_secret_ref.as_ref().map(|secret| beside(&secret.name)),
            binding: integration.spec.binding.as_ref().map(|binding| beside(&binding.secret_name)),
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Names {
    partners: Index<Arc<str>>,
    secrets: Index<Key>,
    bindings: Index<Key>,
}

impl Names {
    /// An integration names these.
    pub fn add(&mut self, key: &Key, named: &Named) {
        self.partners.add(Some(&named.partner), key);
        self.secrets.add(named.secret.as_ref(), key);
        self.bindings.add(named.binding.as_ref(), key);
    }

    /// It does so no longer.
    pub fn remove(&mut self, key: &Key, named: &Named) {
        self.partners.remove(Some(&named.partner), key);
        self.secrets.remove(named.secret.as_ref(), key);
        self.bindings.remove(named.binding.as_ref(), key);
    }

    /// The integrations that name a partner.
    pub fn of_partner(&self, partner: &str) -> Vec<Key> {
        self.partners.of(&partner.into()).cloned().collect()
    }

    /// The integrations that name a Secret as that of their key.
    pub fn of_secret(&self, secret: &Key) -> Vec<Key> {
        self.secrets.of(secret).cloned().collect()
    }

    /// The integrations that name a Secret as their binding.
    pub fn of_binding(&self, secret: &Key) -> Vec<Key> {
        self.bindings.of(secret).cloned().collect()
    }

    /// Whether some integration names a Secret as that of its key.
    pub fn has_secret(&self, secret: &Key) -> bool {
        self.secrets.of(secret).next().is_some()
    }

    /// Whether some integration names a Secret as its binding.
    pub fn has_binding(&self, secret: &Key) -> bool {
        self.bindings.of(secret).next().is_some()
    }
}

/// Each name beside each that uses it, in one ordered set: a set of its own for each name, nearly always of one, takes four times
/// the memory.
struct Index<N>(BTreeSet<(N, Key)>);

impl<N> Default for Index<N> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<N: Ord + Clone> Index<N> {
    fn add(&mut self, name: Option<&N>, key: &Key) {
        if let Some(name) = name {
            self.0.insert((name.clone(), key.clone()));
        }
    }

    fn remove(&mut self, name: Option<&N>, key: &Key) {
        if let Some(name) = name {
            self.0.remove(&(name.clone(), key.clone()));
        }
    }

    /// Those that use a name.
    fn of(&self, name: &N) -> impl Iterator<Item = &Key> {
        let first = (name.clone(), Key::least());
        self.0.range(first..).take_while(move |(other, _)| other == name).map(|(_, key)| key)
    }
}
