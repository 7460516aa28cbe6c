//! How objects are named and told apart.

use std::sync::Arc;

use kube::ResourceExt;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// Of any namespaced object.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self { namespace: object.namespace().unwrap_or_default().into(), name: object.name_any().into() }
    }

    /// Whether it is in this namespace; `None` is all of them.
    pub fn is_within(&self, namespace: Option<&str>) -> bool {
        namespace.is_none_or(|namespace| namespace == &*self.namespace)
    }

    /// Of its parts.
    #[cfg(test)]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Whether resource version `a` is newer than `b`, both of one kind.
pub fn newer(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}
