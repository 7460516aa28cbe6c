//! The catalogue's own status: one reconcile for each Partner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;

use super::Context;
use super::catalogue::Listed;
use super::failure::ApiFailure;
use super::key::newer;
use super::leadership::Term;
use super::patch::apply_status;
use super::reconcile::out_of_office;
use crate::api::{Partner, PartnerStatus};
use crate::core::{COUNTS_PACE, ObservedPartner, decide_partner};
use crate::health::Right;

/// After a failed write.
const AGAIN: Duration = Duration::from_secs(5);
/// Counts that change within this time wake their Partner once.
const GATHER: Duration = Duration::from_secs(1);

/// What has been written to the partners lately, by name.
///
/// It is used until the watch has shown it, so that one's own write never looks like a change; and it says how long ago
/// it was, for the pace of the counts. What is older than that pace is dropped.
#[derive(Default)]
pub struct Written(Mutex<HashMap<String, (Instant, Partner)>>);

impl Written {
    fn add(&self, name: &str, partner: Partner) {
        let mut written = self.lock();
        written.retain(|_, (at, _)| at.elapsed() < COUNTS_PACE);
        written.insert(name.to_owned(), (Instant::now(), partner));
    }

    /// The newer of what the watch has shown and what was written, and how long ago that was.
    fn newest(&self, watched: &Partner) -> (Partner, Option<Duration>) {
        let version = |partner: &Partner| partner.resource_version().unwrap_or_default();
        match self.lock().get(&watched.name_any()) {
            Some((at, written)) if written.metadata.uid == watched.metadata.uid => {
                let ahead = newer(&version(written), &version(watched));
                (if ahead { written.clone() } else { watched.clone() }, Some(at.elapsed()))
            }
            _ => (watched.clone(), None),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Partner)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the partners whose counts change, those of a moment together: while thousands of integrations connect, a Partner
/// is looked at once a second.
pub async fn follow_counts(context: Arc<Context>, wake: mpsc::UnboundedSender<Arc<str>>) {
    loop {
        context.recount.notified().await;
        tokio::time::sleep(GATHER).await;
        let recounted = context.tracker.take_recounted();
        for partner in recounted.into_iter().filter(|_| context.scope.counts()) {
            if wake.send(partner).is_err() {
                return;
            }
        }
    }
}

/// Says whether integrations can be made with a partner, and how many there are.
///
/// # Errors
/// The status could not be written; it is tried again.
pub async fn reconcile(partner: Arc<DeserializeGuard<Partner>>, context: Arc<Context>) -> Result<Action, ApiFailure> {
    if !context.scope.partner_status {
        return Ok(Action::await_change());
    }
    let Some(term) = context.office.term() else {
        return Ok(out_of_office(&context));
    };
    let Ok(watched) = &partner.0 else {
        tracing::warn!(
            name = partner.name_any(),
            "the stored object cannot be read as a v1alpha1 Partner; apply it again"
        );
        return Ok(Action::await_change());
    };
    let name = watched.name_any();
    let entry = match context.catalogue.get(&name) {
        Some(Listed::Readable(entry)) => entry,
        Some(Listed::Unreadable) => return Ok(Action::await_change()),
        // It has just gone, or the catalogue is behind for a moment.
        None => return Ok(Action::requeue(AGAIN)),
    };
    let (partner, since_write) = context.written.newest(watched);
    if entry.spec != partner.spec {
        // The catalogue is ahead of this object, or behind it for a moment: the event that is on its way says which.
        return Ok(Action::requeue(AGAIN));
    }
    let seen = ObservedPartner {
        now: jiff::Timestamp::now(),
        partner: &partner,
        fault: entry.check.as_ref().err().copied(),
        counted: context.counted(&name),
        since_write,
    };
    let decision = decide_partner(&seen);
    match decision.status {
        Some(status) => write(&context, term, &partner, &status).await,
        None => Ok(decision.next_look.map_or_else(Action::await_change, Action::requeue)),
    }
}

/// One server-side apply of the whole status, with the resourceVersion and the uid that were read.
async fn write(context: &Context, term: Term, partner: &Partner, status: &PartnerStatus) -> Result<Action, ApiFailure> {
    let name = partner.name_any();
    let patch = json!({
        "apiVersion": Partner::api_version(&()),
        "kind": Partner::kind(&()),
        "metadata": {
            "name": name,
            "uid": partner.metadata.uid,
            "resourceVersion": partner.metadata.resource_version,
        },
        "status": status,
    });
    context.metrics.writes("Partner", "patch");
    let write = context.call(Right::PATCH_PARTNERS, "", apply_status::<Partner>(&context.client, None, &name, &patch));
    let Some(written) = context.office.during(term, write).await else {
        return Ok(out_of_office(context));
    };
    match written {
        Ok(mut written) => {
            written.metadata.managed_fields = None;
            written.metadata.annotations = None;
            context.written.add(&name, written);
            Ok(Action::await_change())
        }
        Err(ApiFailure::NotFound) => Ok(Action::await_change()),
        Err(failure) => Err(failure),
    }
}

/// When a failed reconcile is made again.
pub fn backoff(partner: &DeserializeGuard<Partner>, failure: &ApiFailure, _: &Context) -> Action {
    // A conflict is no failure: the watch brings the newer object.
    if *failure != ApiFailure::Conflict {
        tracing::warn!(name = partner.name_any(), %failure, "the status of the Partner was not written; trying again");
    }
    Action::requeue(AGAIN)
}
