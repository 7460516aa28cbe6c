//! Apply: carries a decision out. The one writer of status.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::Context;
use super::failure::ApiFailure;
use super::key::Key;
use super::leadership::Term;
use super::observe::Gathered;
use super::publish::Withdrawn;
use super::running;
use super::tracker::prune;
use crate::api::{FIELD_MANAGER, PartnerIntegration, PartnerIntegrationStatus};
use crate::core::{BindingOrder, CheckOrder, Decision, Fingerprint};
use crate::health::Right;

/// What came of carrying a decision out.
pub enum Applied {
    /// All of it was done.
    Done,
    /// All of it, and a binding was written or deleted, or is another one than was seen: the next decision says so.
    Again(Arc<PartnerIntegration>),
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
    /// then remembers, drops the outcome that was taken up, starts what is to be started, and publishes the binding: all
    /// of it in the `term` that it was gathered in.
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
        let Decision { status, event, binding, check, memory, next_look: _ } = decision;
        if matches!(check, CheckOrder::Start(_) | CheckOrder::Cancel) {
            self.tracker.cancel(&key, &uid, term);
        }
        if !self.office.holds(term) {
            return Ok(Applied::OutOfOffice);
        }
        let mut withdrawn = Withdrawn::Gone;
        if let BindingOrder::Withdraw(held) = &binding {
            let Some(done) = self.office.during(term, self.withdraw(integration, held)).await else {
                return Ok(Applied::OutOfOffice);
            };
            // Promise S2: Secret first, then status. Where the API server will not have it deleted at all, the status
            // tells the truth all the same, and it is tried again.
            withdrawn = done?;
            if matches!(withdrawn, Withdrawn::Changed) {
                return Ok(Applied::Again(gathered.integration.clone()));
            }
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
        if let Withdrawn::Refused(failure) = withdrawn {
            return Err(failure);
        }
        self.bind(gathered, binding, term).await
    }

    /// What is to be done with bindings after the status.
    async fn bind(&self, gathered: &Gathered, order: BindingOrder, term: Term) -> Result<Applied, ApiFailure> {
        let integration = &gathered.integration;
        let done = match (order, gathered.entry()) {
            (BindingOrder::Publish(publication), Some(entry)) => {
                self.office.during(term, self.publish(integration, entry, &publication)).await
            }
            (BindingOrder::Tidy(held), _) => {
                let withdrawn = self.office.during(term, self.withdraw(integration, &held)).await;
                withdrawn.map(|withdrawn| match withdrawn? {
                    Withdrawn::Gone | Withdrawn::Changed => Ok(()),
                    Withdrawn::Refused(failure) => Err(failure),
                })
            }
            (BindingOrder::Withdraw(_), _) => Some(Ok(())),
            (BindingOrder::Leave | BindingOrder::Publish(_), _) => return Ok(Applied::Done),
        };
        match done {
            Some(done) => done.map(|()| Applied::Again(integration.clone())),
            None => Ok(Applied::OutOfOffice),
        }
    }

    /// One server-side apply of the whole status, with the resourceVersion and the uid that were read.
    ///
    /// After a conflict or a lost answer the object is read live: it may say already what was to be written.
    async fn write(&self, read: &PartnerIntegration, status: &PartnerIntegrationStatus) -> Result<Written, ApiFailure> {
        let namespace = read.namespace().unwrap_or_default();
        let api = Api::<PartnerIntegration>::namespaced(self.client.clone(), &namespace);
        let name = read.name_any();
        let patch = json!({
            "apiVersion": PartnerIntegration::api_version(&()),
            "kind": PartnerIntegration::kind(&()),
            "metadata": {"name": name, "uid": read.metadata.uid, "resourceVersion": read.metadata.resource_version},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.metrics.writes("PartnerIntegration", "patch");
        let patch = Patch::Apply(&patch);
        let written = api.patch_status(&name, &params, &patch);
        match self.call(Right::PATCH_INTEGRATIONS, &namespace, written).await {
            Ok(mut object) => {
                prune(&mut object);
                Ok(Written::Stored(Arc::new(object)))
            }
            Err(ApiFailure::NotFound) => Ok(Written::Gone),
            Err(ApiFailure::Conflict | ApiFailure::Unknown(_)) => {
                let mut fresh = match self.call(Right::GET_INTEGRATIONS, &namespace, api.get(&name)).await {
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
