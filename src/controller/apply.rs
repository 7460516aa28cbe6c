//! Apply: carries a decision out. The one writer of status.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::Context;
use super::failure::{ApiFailure, call};
use super::key::Key;
use super::leadership::Term;
use super::observe::Gathered;
use super::running;
use super::tracker::prune;
use crate::api::{FIELD_MANAGER, PartnerIntegration, PartnerIntegrationStatus};
use crate::core::{CheckOrder, Decision, Fingerprint};

/// What came of carrying a decision out.
pub enum Applied {
    /// All of it was done.
    Done,
    /// The object is no longer the one that was decided on; nothing was remembered, and an outcome is still there to
    /// be concluded over this fresh one.
    Stale(Arc<PartnerIntegration>),
    /// The object is gone.
    Gone,
    /// This process leads no longer: nothing was written, and nothing more is started.
    OutOfOffice,
}

impl Context {
    /// Carries a decision over what was `gathered` out: stops what must not run any longer, writes the status, and only
    /// then remembers, drops the outcome that was taken up, and starts what is to be started: all of it in the `term`
    /// that it was gathered in.
    ///
    /// # Errors
    /// The status could not be written; nothing was remembered, and it is decided again.
    pub async fn apply(
        self: &Arc<Self>,
        gathered: &Gathered,
        decision: Decision,
        term: Term,
    ) -> Result<Applied, ApiFailure> {
        let integration = &*gathered.integration;
        let (key, uid) = (Key::of(integration), integration.uid().unwrap_or_default());
        let Decision { status, event, check, memory, next_look: _ } = decision;
        if matches!(check, CheckOrder::Start(_) | CheckOrder::Cancel) {
            self.tracker.cancel(&key, &uid, term);
        }
        if !self.office.holds(term) {
            return Ok(Applied::OutOfOffice);
        }
        if let Some(status) = status {
            // A write that is cut off may be stored or not. The next term sees which, and begins with what it finds.
            let Some(written) = self.office.during(term, self.write(integration, &status)).await else {
                return Ok(Applied::OutOfOffice);
            };
            match written? {
                Written::Stored(object) => {
                    if let Some(event) = event {
                        self.events.tell(&object, event);
                    }
                    self.tracker.ahead(&key, &uid, object);
                }
                Written::Stale(object) => {
                    self.tracker.ahead(&key, &uid, object.clone());
                    return Ok(Applied::Stale(object));
                }
                Written::Gone => return Ok(Applied::Gone),
            }
        }
        if gathered.has_outcome() {
            // Not one that came since: it has not been seen.
            self.tracker.take_up(&key, &uid, term);
        }
        self.tracker.remember(&key, &uid, term, memory);
        match check {
            CheckOrder::Leave | CheckOrder::Cancel => {}
            CheckOrder::Rebase(to) => {
                self.tracker.rebase(&key, &uid, term, Fingerprint::of(integration.status.as_ref()), to);
            }
            CheckOrder::Start(plan) => {
                let spawn = |id| running::spawn(self.clone(), &key, &uid, term, id, &plan);
                self.tracker.start(&key, &uid, term, &plan, spawn);
            }
        }
        Ok(Applied::Done)
    }

    /// One server-side apply of the whole status, with the resourceVersion and the uid that were read.
    ///
    /// After a conflict or a lost answer the object is read live: it may say already what was to be written.
    async fn write(&self, read: &PartnerIntegration, status: &PartnerIntegrationStatus) -> Result<Written, ApiFailure> {
        let api = Api::<PartnerIntegration>::namespaced(self.client.clone(), &read.namespace().unwrap_or_default());
        let name = read.name_any();
        let patch = json!({
            "apiVersion": PartnerIntegration::api_version(&()),
            "kind": PartnerIntegration::kind(&()),
            "metadata": {"name": name, "uid": read.metadata.uid, "resourceVersion": read.metadata.resource_version},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.metrics.writes("PartnerIntegration", "patch");
        match call(api.patch_status(&name, &params, &Patch::Apply(&patch))).await {
            Ok(mut object) => {
                prune(&mut object);
                Ok(Written::Stored(Arc::new(object)))
            }
            Err(ApiFailure::NotFound) => Ok(Written::Gone),
            Err(ApiFailure::Conflict | ApiFailure::Unknown(_)) => {
                let mut fresh = match call(api.get(&name)).await {
                    Ok(fresh) => fresh,
                    Err(ApiFailure::NotFound) => return Ok(Written::Gone),
                    Err(failure) => return Err(failure),
                };
                prune(&mut fresh);
                Ok(match fresh {
                    fresh if fresh.metadata.uid != read.metadata.uid => Written::Gone,
                    fresh if fresh.status.as_ref() == Some(status) => Written::Stored(Arc::new(fresh)),
                    fresh => Written::Stale(Arc::new(fresh)),
                })
            }
            Err(failure @ (ApiFailure::Forbidden | ApiFailure::Refused(_))) => Err(failure),
        }
    }
}

/// What came of a status write.
enum Written {
    /// It is stored, by this write or by an earlier one whose answer was lost.
    Stored(Arc<PartnerIntegration>),
    /// It is not; this is what is stored now.
    Stale(Arc<PartnerIntegration>),
    /// The object, or the one of that uid, is gone.
    Gone,
}
