//! What each verb does to what is stored.

use super::{Answer, Change, Event, Finalizer, Kind, Name, Object, Propagation, Refused, Request, Server};

/// An answer, and what watches tell of it: at most one event, and none where nothing was stored.
pub type Done<S, T> = (Answer<S, T>, Option<Event<S, T>>);

impl<S: Clone + Eq, T: Clone + Eq + Default> Server<S, T> {
    /// Does what is asked. The whole of it is one step: nothing comes between reading and storing.
    pub fn handle(&mut self, request: Request<S, T>) -> Done<S, T> {
        self.done(request).unwrap_or_else(|refused| (Answer::Refused(refused), None))
    }

    /// The object of this name.
    pub fn get(&self, kind: Kind, name: Name) -> Option<&Object<S, T>> {
        self.objects.get(&(kind, name))
    }

    fn done(&mut self, request: Request<S, T>) -> Result<Done<S, T>, Refused> {
        match request {
            Request::Create { kind, name, spec, annotation } => self.create(kind, name, spec, annotation),
            Request::Get { kind, name } => Ok((Answer::Object(self.existing(kind, name)?.clone()), None)),
            Request::List { kind } => {
                let all = self.objects.range((kind, Name::MIN)..=(kind, Name::MAX));
                Ok((Answer::List(all.map(|((_, name), object)| (*name, object.clone())).collect(), self.version), None))
            }
            Request::Replace { kind, name, version, uid, spec, annotation } => {
                if kind == Kind::Lease && self.get(kind, name).is_none() {
                    return if uid.is_some() {
                        Err(Refused::Conflict)
                    } else {
                        self.create(kind, name, spec, annotation)
                    };
                }
                let before = self.existing(kind, name)?;
                precondition(uid, before.uid)?;
                if version.is_none() && kind != Kind::Secret {
                    return Err(Refused::Invalid);
                }
                precondition(version, before.version)?;
                // What is sent names no finalizers, which takes those that are there away.
                let after = Object { annotation, spec, ..before.clone() };
                Ok(self.update(kind, name, after, true))
            }
            Request::Patch { kind, name, version, uid, spec, annotation, release } => {
                let before = self.existing(kind, name)?;
                precondition(version, before.version)?;
                precondition(uid, before.uid).map_err(|_| Refused::Invalid)?;
                let spec = spec.unwrap_or_else(|| before.spec.clone());
                let annotation = annotation.unwrap_or(before.annotation);
                let after = Object { annotation, spec, ..before.clone() };
                Ok(self.update(kind, name, after, release))
            }
            Request::ApplyStatus { kind, name, version, uid: _, status } => {
                if !kind.is_custom() {
                    return Err(Refused::NotFound);
                }
                let before = self.existing(kind, name)?;
                precondition(version, before.version)?;
                let after = Object { status: Some(status), ..before.clone() };
                Ok(self.store(kind, name, after))
            }
            Request::Delete { kind, name, version, uid, propagation } => {
                let before = self.existing(kind, name)?;
                precondition(uid, before.uid)?;
                precondition(version, before.version)?;
                if version.is_some() && before.deleting.is_some() && propagation == Some(Propagation::Background) {
                    // The real one compares with an empty version when it takes a finalizer away before it deletes.
                    return Err(Refused::Conflict);
                }
                Ok(self.delete(kind, name, propagation))
            }
        }
    }

    fn existing(&self, kind: Kind, name: Name) -> Result<&Object<S, T>, Refused> {
        self.get(kind, name).ok_or(Refused::NotFound)
    }

    fn create(&mut self, kind: Kind, name: Name, spec: S, annotation: u8) -> Result<Done<S, T>, Refused> {
        if self.get(kind, name).is_some() {
            return Err(Refused::Exists);
        }
        self.uid += 1;
        self.version += 1;
        let (uid, version, generation) = (self.uid, self.version, u32::from(kind.is_custom()));
        let object = Object { uid, version, generation, deleting: None, annotation, spec, status: None };
        self.objects.insert((kind, name), object.clone());
        let event = Event { kind, name, change: Change::Added, object: object.clone() };
        Ok((Answer::Created(object), Some(event)))
    }

    /// Stores an update of anything but the status; without its finalizer a deleted object goes.
    fn update(&mut self, kind: Kind, name: Name, mut after: Object<S, T>, release: bool) -> Done<S, T> {
        if let Some(before) = self.get(kind, name)
            && kind.is_custom()
        {
            after.generation += u32::from(before.spec != after.spec);
            // What was read had the default, and that is written back.
            after.status = Some(before.seen_status());
        }
        if release && after.deleting.is_some() {
            // What is answered is what was sent; what watches see is what was stored before, that change left out.
            return (Answer::Object(after), self.remove(kind, name));
        }
        self.store(kind, name, after)
    }

    fn delete(&mut self, kind: Kind, name: Name, propagation: Option<Propagation>) -> Done<S, T> {
        let Some(before) = self.get(kind, name) else { return (Answer::Refused(Refused::NotFound), None) };
        let keep = match propagation {
            Some(Propagation::Foreground) => Some(Finalizer::Foreground),
            Some(Propagation::Orphan) => Some(Finalizer::Orphan),
            Some(Propagation::Background) => None,
            None => before.deleting,
        };
        if keep.is_none() {
            return (Answer::Deleted, self.remove(kind, name));
        }
        let first = u32::from(before.deleting.is_none() && kind.is_custom());
        let status = if kind.is_custom() { Some(before.seen_status()) } else { None };
        let generation = before.generation + first;
        let after = Object { deleting: keep, generation, status, ..before.clone() };
        self.store(kind, name, after)
    }

    /// Stores what has changed, if it has.
    fn store(&mut self, kind: Kind, name: Name, mut after: Object<S, T>) -> Done<S, T> {
        if self.get(kind, name) == Some(&after) {
            return (Answer::Object(after), None);
        }
        self.version += 1;
        after.version = self.version;
        self.objects.insert((kind, name), after.clone());
        let event = Event { kind, name, change: Change::Modified, object: after.clone() };
        (Answer::Object(after), Some(event))
    }

    fn remove(&mut self, kind: Kind, name: Name) -> Option<Event<S, T>> {
        let mut object = self.objects.remove(&(kind, name))?;
        self.version += 1;
        object.version = self.version;
        Some(Event { kind, name, change: Change::Deleted, object })
    }
}

/// What is named must be what is there.
fn precondition<N: Copy + PartialEq>(named: Option<N>, is: N) -> Result<(), Refused> {
    named.is_none_or(|named| named == is).then_some(()).ok_or(Refused::Conflict)
}
