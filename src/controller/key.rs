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

    /// Before or the same as any other.
    pub fn least() -> Self {
        Self { namespace: Arc::default(), name: Arc::default() }
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

/// Whether a Partner or a Secret can have this name (RFC 1123 subdomain).
///
/// What cannot be is absent, and there is no address to ask for it: a name with a `/` would lead to another object. The CRD
/// refuses such names; objects that were stored under another one may have them.
pub fn can_be_a_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let (first, last) = (bytes.first().copied(), bytes.last().copied());
        first.is_some_and(inner) && last.is_some_and(inner) && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether resource version `a` is newer than `b`, both of one kind.
pub fn newer(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_object_cannot_be_called_is_no_name() {
        let longest = "a".repeat(253);
        for name in ["a", "0", "a-b", "a.b-c.d", "xn--a", longest.as_str()] {
            assert!(can_be_a_name(name), "{name:?}");
        }
        let longer = "a".repeat(254);
        for name in ["", ".", "..", "a..b", "-a", "a-", "A", "a/b", "../a", "a b", "a?b", "a%2fb", "ä", "a\n", &longer]
        {
            assert!(!can_be_a_name(name), "{name:?}");
        }
    }
}
