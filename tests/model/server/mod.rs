//! An abstract Kubernetes API server: what the operator may rely on, small enough to be part of a model's state.
//!
//! Four kinds, eight verbs, no time and no randomness. What users write is `S` and what the operator says is `T`; both may be
//! small values. `tests/apiserver` holds it against the real kube-apiserver, answer by answer; where the two differ, this
//! one is wrong. What it says that is easy to get wrong:
//!
//! * One counter of resourceVersions for everything. A write that changes nothing stores nothing and keeps its version,
//!   but for one that finds no status: it stores the default of the CRD, which nobody sees, and has a new version.
//! * A status apply is held to the resourceVersion that it names and **not** to the uid: a wrong one is ignored.
//! * A replace with a wrong uid is a conflict; in a merge patch the same is invalid.
//! * Deletion in the foreground is one more generation. Deletion in the background later on takes effect at once, but is a
//!   conflict for ever where it names a resourceVersion; one that names no policy leaves things as they are.
//! * A replace of a Lease that is missing creates it, whatever resourceVersion it names, unless it names a uid.
//!
//! Deliberately absent: validation (what is sent is valid), owner references and the garbage collector (who uses this
//! deletes), field managers (each field has one writer), paging, and an end of the history of a watch.
#![allow(dead_code, reason = "each test takes a part")]

mod history;
mod store;

use std::collections::BTreeMap;

#[allow(unused_imports, reason = "as above")]
pub use history::History;

/// The kinds that the operator reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A catalogue entry: has a status and a generation. Cluster-scoped; a name is a name here.
    Partner,
    /// An integration: has a status and a generation.
    Integration,
    /// Has neither.
    Secret,
    /// Has neither.
    Lease,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Partner, Self::Integration, Self::Secret, Self::Lease];

    /// Whether it is one of the CRDs: a status of its own, a generation, no write without a resourceVersion.
    pub fn is_custom(self) -> bool {
        matches!(self, Self::Partner | Self::Integration)
    }
}

/// A name within a kind.
pub type Name = u8;
/// A uid; never given twice.
pub type Uid = u32;
/// A resourceVersion. Unlike the real ones they may be compared.
pub type Version = u32;

/// What keeps a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finalizer {
    /// `foregroundDeletion`
    Foreground,
    /// `orphan`
    Orphan,
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object<S, T> {
    /// Another one under the same name has another uid.
    pub uid: Uid,
    /// The version of the last change that was stored.
    pub version: Version,
    /// 0 where the kind has none.
    pub generation: u32,
    /// Set while it is being deleted, which is while it has a deletionTimestamp: there is no other finalizer.
    pub deleting: Option<Finalizer>,
    /// The one annotation; 0 stands for none.
    pub annotation: u8,
    /// What users write: of a Secret its data, of a Lease its holder.
    pub spec: S,
    /// `None` while it is wholly absent in the store: readers see the default of the CRD.
    pub status: Option<T>,
}

impl<S, T: Clone + Default> Object<S, T> {
    /// What readers see.
    pub fn seen_status(&self) -> T {
        self.status.clone().unwrap_or_default()
    }
}

/// What happens to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Propagation {
    /// The object goes at once.
    Background,
    /// The object stays until the garbage collector has ended ([`Request::Patch`] with `release`).
    Foreground,
    /// Likewise.
    Orphan,
}

/// What is asked of the server. A `None` in `version` or `uid` names none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request<S, T> {
    /// `POST`. A status is ignored by the real one, so none can be sent.
    Create { kind: Kind, name: Name, spec: S, annotation: u8 },
    /// `GET` of one.
    Get { kind: Kind, name: Name },
    /// `GET` of all.
    List { kind: Kind },
    /// `PUT`, without finalizers.
    Replace { kind: Kind, name: Name, version: Option<Version>, uid: Option<Uid>, spec: S, annotation: u8 },
    /// `PATCH`, merge: what is `None` stays. `release` takes the finalizers away.
    Patch {
        kind: Kind,
        name: Name,
        version: Option<Version>,
        uid: Option<Uid>,
        spec: Option<S>,
        annotation: Option<u8>,
        release: bool,
    },
    /// `PATCH` of `/status`: server-side apply of all of it by its one manager.
    ApplyStatus { kind: Kind, name: Name, version: Option<Version>, uid: Option<Uid>, status: T },
    /// `DELETE`.
    Delete { kind: Kind, name: Name, version: Option<Version>, uid: Option<Uid>, propagation: Option<Propagation> },
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refused {
    /// 404
    NotFound,
    /// 409 `AlreadyExists`
    Exists,
    /// 409 `Conflict`
    Conflict,
    /// 422
    Invalid,
}

/// What a request gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer<S, T> {
    /// 201 and the new object.
    Created(Object<S, T>),
    /// 200 and the object as it is now; after a release as it was last.
    Object(Object<S, T>),
    /// All of a kind by name, and the version of the list.
    List(Vec<(Name, Object<S, T>)>, Version),
    /// 200: it is gone.
    Deleted,
    /// Nothing was changed.
    Refused(Refused),
}

/// A change, as a watch tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// `ADDED`
    Added,
    /// `MODIFIED`
    Modified,
    /// `DELETED`: the object as it was, with the version of its deletion.
    Deleted,
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event<S, T> {
    /// Of this kind.
    pub kind: Kind,
    /// And name.
    pub name: Name,
    /// What happened.
    pub change: Change,
    /// The object after it.
    pub object: Object<S, T>,
}

/// All that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server<S, T> {
    /// The objects.
    pub objects: BTreeMap<(Kind, Name), Object<S, T>>,
    /// The version of the last change.
    pub version: Version,
    /// The uid that was given last.
    pub uid: Uid,
}

impl<S, T> Default for Server<S, T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), version: 0, uid: 0 }
    }
}
