//! Which version of a Secret is the newest that anybody has seen: the watch, or a read of our own.
//!
//! Only Secrets that some integration names are kept, and of them nothing but uid and resourceVersion.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use kube::Resource;

use super::key::{Key, newer};
use crate::core::SecretVersion;

/// See the module. A tree: a hash table has room for up to twice what it holds.
#[derive(Default)]
pub struct Secrets(Mutex<BTreeMap<Key, SecretVersion>>);

impl Secrets {
    /// The newest version that has been seen. `None` says nothing about whether there is one.
    pub fn get(&self, key: &Key) -> Option<SecretVersion> {
        self.lock().get(key).cloned()
    }

    /// A version has been seen; whether it is news. An older one than what is kept is not.
    pub fn seen(&self, key: &Key, version: &SecretVersion) -> bool {
        let mut versions = self.lock();
        let news = versions.get(key).is_none_or(|known| known != version && !is_newer(known, version));
        if news {
            versions.insert(key.clone(), version.clone());
        }
        news
    }

    /// The Secret is gone, or nobody names it any more.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// The watch says that this version of it was the last: gone, unless a newer one has been seen since.
    pub fn deleted(&self, key: &Key, last: &SecretVersion) -> bool {
        let mut versions = self.lock();
        let gone = versions.get(key).is_none_or(|known| !is_newer(known, last));
        if gone {
            versions.remove(key);
        }
        gone
    }

    /// Without a watch nobody says that a Secret has gone: drops those that are not `named` any more.
    pub fn forget_unless(&self, named: impl Fn(&Key) -> bool) {
        // Not under the lock: what is asked has one of its own.
        let known: Vec<Key> = self.lock().keys().cloned().collect();
        for key in known.iter().filter(|key| !named(key)) {
            self.forget(key);
        }
    }

    /// The watch has listed anew, one namespace or all: what of it is not in `live` is forgotten, and looked at live where
    /// it is needed.
    pub fn retain(&self, namespace: Option<&str>, live: &HashSet<Key>) -> Vec<Key> {
        let mut versions = self.lock();
        let gone: Vec<Key> =
            versions.keys().filter(|key| key.is_within(namespace) && !live.contains(key)).cloned().collect();
        for key in &gone {
            versions.remove(key);
        }
        gone
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, SecretVersion>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The version of an object's metadata.
pub fn version_of(object: &impl Resource) -> SecretVersion {
    let meta = object.meta();
    SecretVersion {
        uid: meta.uid.clone().unwrap_or_default(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
    }
}

/// Whether `a` is newer than `b`. Resource versions of one kind can be compared as numbers (KEP-5504); where one is
/// none, nothing is claimed.
fn is_newer(a: &SecretVersion, b: &SecretVersion) -> bool {
    newer(&a.resource_version, &b.resource_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(uid: &str, resource_version: &str) -> SecretVersion {
        SecretVersion { uid: uid.into(), resource_version: resource_version.into() }
    }

    #[test]
    fn a_watch_that_lags_behind_a_read_changes_nothing() {
        let (secrets, key) = (Secrets::default(), Key::new("shop", "key"));
        assert!(secrets.seen(&key, &version("u", "10")), "read live");
        assert!(!secrets.seen(&key, &version("u", "9")), "the watch is behind");
        assert!(!secrets.seen(&key, &version("u", "10")), "the watch has caught up");
        assert_eq!(secrets.get(&key), Some(version("u", "10")));
        assert!(secrets.seen(&key, &version("u", "11")), "a change");
    }

    #[test]
    fn the_deletion_of_an_earlier_secret_of_the_name_is_no_deletion() {
        let (secrets, key) = (Secrets::default(), Key::new("shop", "key"));
        secrets.seen(&key, &version("new", "12"));
        assert!(!secrets.deleted(&key, &version("old", "11")));
        assert_eq!(secrets.get(&key), Some(version("new", "12")));
        assert!(secrets.deleted(&key, &version("new", "13")));
        assert_eq!(secrets.get(&key), None);
    }

    #[test]
    fn a_new_list_forgets_what_it_does_not_hold() {
        let (secrets, kept, gone) = (Secrets::default(), Key::new("shop", "a"), Key::new("shop", "b"));
        secrets.seen(&kept, &version("a", "1"));
        secrets.seen(&gone, &version("b", "2"));
        assert_eq!(secrets.retain(Some("another"), &HashSet::new()), []);
        assert_eq!(secrets.retain(Some("shop"), &[kept.clone()].into()), [gone]);
        assert!(secrets.get(&kept).is_some());
        assert_eq!(secrets.retain(None, &HashSet::new()), [kept]);
    }

    #[test]
    fn what_nobody_names_any_more_is_dropped() {
        let (secrets, named, unnamed) = (Secrets::default(), Key::new("shop", "a"), Key::new("shop", "b"));
        secrets.seen(&named, &version("a", "1"));
        secrets.seen(&unnamed, &version("b", "2"));
        secrets.forget_unless(|key| *key == named);
        assert_eq!((secrets.get(&named), secrets.get(&unnamed)), (Some(version("a", "1")), None));
    }
}
