//! Apply: carries a decision out. The one writer of status. In which order, and what follows from an answer, the core says
//! ([`Steps`]); here the steps are made.

use std::sync::Arc;

use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::Context;
use super::failure::ApiFailure;
use super::key::Key;
use super::leadership::Term;
use super::object::Integration;
use super::observe::Gathered;
use super::patch::apply_status;
use super::publish::Withdrawn;
use super::running;
use crate::api::{PartnerIntegration, PartnerIntegrationStatus};
use crate::core::{Answer, BindingOrder, CheckOrder, Decision, End, Fingerprint, Held, Live, Step, Steps};
use crate::health::Right;

/// An answer that is no integration; the watch brings it, too.
const UNREADABLE: ApiFailure = ApiFailure::Unknown("an answer of the API server could not be decoded");

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

/// A decision that is being carried out.
struct Work<'a> {
    gathered: &'a Gathered,
    decision: &'a Decision,
    term: Term,
    key: Key,
    uid: String,
    /// The object as the latest write or live read has shown it.
    shown: Option<Arc<PartnerIntegration>>,
    /// Why the latest call that failed did.
    failure: Option<ApiFailure>,
}

impl Work<'_> {
    /// A call that did not succeed, and what that means to the steps.
    fn failed(&mut self, failure: ApiFailure) -> Answer {
        self.failure = Some(failure);
        match failure {
            ApiFailure::NotFound => Answer::Gone,
            ApiFailure::Conflict => Answer::Conflict,
            ApiFailure::Unknown(_) => Answer::Unknown,
            ApiFailure::Forbidden | ApiFailure::Refused(_) => Answer::Failed,
        }
    }
}

impl Context {
    /// Carries a decision over what was `gathered` out, all of it in the `term` that it was gathered in.
    ///
    /// # Errors
    /// A step failed, and what follows it was not made; it is decided again.
    pub async fn apply(
        self: &Arc<Self>,
        gathered: &Gathered,
        decision: &Decision,
        term: Term,
    ) -> Result<Applied, ApiFailure> {
        let integration = &*gathered.integration;
        let (key, uid) = (Key::of(integration), integration.uid().unwrap_or_default());
        let mut work = Work { gathered, decision, term, key, uid, shown: None, failure: None };
        let mut steps = Steps::begin(decision);
        loop {
            let answer = match steps.at() {
                Step::End(end) => return ended(work, end),
                step @ (Step::Withdraw | Step::Write | Step::Read | Step::Publish | Step::Tidy) => {
                    let (key, uid) = (work.key.clone(), work.uid.clone());
                    // Boxed: it holds the answer, and every future around it would hold that too.
                    let call = Box::pin(self.call_for(step, &mut work));
                    let called = self.tracker.while_kept(&key, &uid, call);
                    let called = self.office.during(term, called).await;
                    called.map_or(Answer::OutOfOffice, |called| called.unwrap_or(Answer::Gone))
                }
                step => self.keep(step, &mut work),
            };
            steps = steps.next(decision, gathered.has_outcome(), answer);
        }
    }

    /// A step that calls the API server. One that is cut off may have been carried out or not: the next term sees which,
    /// and begins with what it finds.
    async fn call_for(&self, step: Step, work: &mut Work<'_>) -> Answer {
        let integration = &work.gathered.integration;
        match (step, &work.decision.binding, work.decision.status.as_deref(), work.gathered.entry()) {
            (Step::Withdraw, BindingOrder::Withdraw(held), ..) | (Step::Tidy, BindingOrder::Tidy(held), ..) => {
                self.delete(work, held).await
            }
            (Step::Publish, BindingOrder::Publish(publication), _, Some(entry)) => {
                match self.publish(integration, entry, publication).await {
                    Ok(()) => Answer::Done,
                    Err(failure) => {
                        work.failure = Some(failure);
                        Answer::Failed
                    }
                }
            }
            (Step::Write, _, Some(status), _) => self.write(work, status).await,
            (Step::Read, _, status, _) => self.read(work, status).await,
            _ => Answer::Moot,
        }
    }

    /// A step that changes only what this process keeps.
    fn keep(self: &Arc<Self>, step: Step, work: &mut Work<'_>) -> Answer {
        let Work { gathered, decision, term, key, uid, shown, .. } = work;
        match step {
            Step::Cancel => self.tracker.cancel(key, uid, *term),
            Step::Ask if !self.office.holds(*term) => return Answer::OutOfOffice,
            Step::Stored => {
                if let Some(object) = shown {
                    if let Some(event) = decision.event.clone() {
                        self.events.tell(object, event);
                    }
                    self.tracker.ahead(key, uid, object.clone());
                }
            }
            Step::Stale => {
                if let Some(object) = shown {
                    self.tracker.ahead(key, uid, object.clone());
                }
            }
            Step::TakeUp => self.tracker.take_up(key, uid, *term),
            Step::Remember => self.tracker.remember(key, uid, *term, decision.memory.clone()),
            Step::Order => match &decision.check {
                CheckOrder::Leave | CheckOrder::Cancel => {}
                CheckOrder::Rebase(to) => {
                    let from = Fingerprint::of(gathered.integration.status.as_ref());
                    self.tracker.rebase(key, uid, *term, from, *to);
                }
                CheckOrder::Start(plan) => {
                    let spawn = |id, plan| running::spawn(self.clone(), key, uid, *term, id, plan);
                    self.tracker.start(key, uid, *term, plan, spawn);
                }
            },
            Step::Ask | Step::Withdraw | Step::Write | Step::Read | Step::Publish | Step::Tidy | Step::End(_) => {}
        }
        Answer::Done
    }

    async fn delete(&self, work: &mut Work<'_>, held: &[Held]) -> Answer {
        match self.withdraw(&work.gathered.integration, held).await {
            Ok(Withdrawn::Gone) => Answer::Done,
            Ok(Withdrawn::Changed) => Answer::Conflict,
            Ok(Withdrawn::Refused(failure)) => {
                work.failure = Some(failure);
                Answer::Refused
            }
            Err(failure) => {
                work.failure = Some(failure);
                Answer::Failed
            }
        }
    }

    /// One server-side apply of the whole status, with the resourceVersion and the uid that were read.
    async fn write(&self, work: &mut Work<'_>, status: &PartnerIntegrationStatus) -> Answer {
        let read = &work.gathered.integration;
        let namespace = read.namespace().unwrap_or_default();
        let name = read.name_any();
        let patch = patch_of(read, status);
        self.metrics.writes("PartnerIntegration", "patch");
        let _in_flight = self.status_writes.begin();
        let written = apply_status(&self.client, Some(&namespace), &name, &patch);
        match self.call(Right::PATCH_INTEGRATIONS, &namespace, written).await {
            Ok(Integration::Readable(object)) => {
                work.shown = Some(object);
                Answer::Done
            }
            Ok(Integration::Unreadable(_)) => work.failed(UNREADABLE),
            Err(failure) => work.failed(failure),
        }
    }

    /// Reads the object live.
    async fn read(&self, work: &mut Work<'_>, status: Option<&PartnerIntegrationStatus>) -> Answer {
        let read = &work.gathered.integration;
        let namespace = read.namespace().unwrap_or_default();
        let api = Api::<Integration>::namespaced(self.client.clone(), &namespace);
        match self.call(Right::GET_INTEGRATIONS, &namespace, api.get(&read.name_any())).await {
            Ok(Integration::Readable(fresh)) => {
                let live = Live::of(read, status, &fresh);
                work.shown = Some(fresh);
                Answer::Live(live)
            }
            Ok(Integration::Unreadable(_)) => work.failed(UNREADABLE),
            Err(failure) => work.failed(failure),
        }
    }
}

/// What is applied. The API server holds a status apply to the resourceVersion that it names and to nothing else: a wrong uid
/// is ignored there. An object made anew under the same name has another resourceVersion, so that one is enough; the uid
/// stands here for whoever reads the audit log.
fn patch_of(read: &PartnerIntegration, status: &PartnerIntegrationStatus) -> serde_json::Value {
    json!({
        "apiVersion": PartnerIntegration::api_version(&()),
        "kind": PartnerIntegration::kind(&()),
        "metadata": {
            "name": read.name_any(),
            "uid": read.metadata.uid.as_ref(),
            "resourceVersion": read.metadata.resource_version.as_ref(),
        },
        "status": status,
    })
}

fn ended(work: Work<'_>, end: End) -> Result<Applied, ApiFailure> {
    let read = work.gathered.integration.clone();
    Ok(match end {
        End::Done => Applied::Done,
        End::Again => Applied::Again(read),
        End::Stale => Applied::Stale(work.shown.unwrap_or(read)),
        End::Gone => Applied::Gone,
        End::OutOfOffice => Applied::OutOfOffice,
        End::Failed => return Err(work.failure.unwrap_or(ApiFailure::Unknown("no call was made"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_applied_whole_and_held_to_the_version_that_was_read() {
        let read: PartnerIntegration = serde_json::from_value(json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
            "metadata": {"name": "datadog", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3},
            "spec": {"partner": "datadog"},
        }))
        .unwrap();
        let status = PartnerIntegrationStatus { observed_generation: 3, ..PartnerIntegrationStatus::default() };
        let patch = patch_of(&read, &status);
        assert_eq!(patch["metadata"], json!({"name": "datadog", "uid": "u", "resourceVersion": "7"}));
        assert_eq!(serde_json::from_value::<PartnerIntegrationStatus>(patch["status"].clone()).unwrap(), status);
    }
}
