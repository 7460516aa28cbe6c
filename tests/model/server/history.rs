//! What a watch tells.

use super::{Event, Kind, Version};

/// Every event so far. Apart from the server, since it only grows: a model keeps what it needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History<S, T>(Vec<Event<S, T>>);

impl<S, T> Default for History<S, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Clone, T: Clone> History<S, T> {
    /// Takes in what a request gave.
    pub fn take(&mut self, event: Option<Event<S, T>>) {
        self.0.extend(event);
    }

    /// The events of this kind after `since`, in order: each change once, with the version that it was stored at.
    pub fn watch(&self, kind: Kind, since: Version) -> Vec<Event<S, T>> {
        let new = |event: &&Event<S, T>| event.kind == kind && event.object.version > since;
        self.0.iter().filter(new).cloned().collect()
    }
}
