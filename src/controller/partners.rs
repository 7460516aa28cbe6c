//! The catalogue's own status: one reconcile for each Partner.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::Context;
use super::catalogue::Listed;
use super::failure::{ApiFailure, call};
use super::reconcile::out_of_office;
use crate::api::{FIELD_MANAGER, Partner};
use crate::core::decide_partner;

/// After a failed write.
const AGAIN: Duration = Duration::from_secs(5);

/// Says whether integrations can be made with a partner.
///
/// # Errors
/// The status could not be written; it is tried again.
pub async fn reconcile(partner: Arc<DeserializeGuard<Partner>>, context: Arc<Context>) -> Result<Action, ApiFailure> {
    let Some(term) = context.office.term() else {
        return Ok(out_of_office(&context));
    };
    let Ok(partner) = &partner.0 else {
        tracing::warn!(
            name = partner.name_any(),
            "the stored object cannot be read as a v1alpha1 Partner; apply it again"
        );
        return Ok(Action::await_change());
    };
    let name = partner.name_any();
    let entry = match context.catalogue.get(&name) {
        Some(Listed::Readable(entry)) => entry,
        Some(Listed::Unreadable) => return Ok(Action::await_change()),
        // It has just gone, or the catalogue is behind for a moment.
        None => return Ok(Action::requeue(AGAIN)),
    };
    if entry.spec != partner.spec {
        // The catalogue is ahead of this object, or behind it for a moment: the event that is on its way says which.
        return Ok(Action::requeue(AGAIN));
    }
    let fault = entry.check.as_ref().err().copied();
    let Some(status) = decide_partner(partner, fault, jiff::Timestamp::now()) else {
        return Ok(Action::await_change());
    };
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
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let api = Api::<Partner>::all(context.client.clone());
    context.metrics.writes("Partner", "patch");
    let patch = Patch::Apply(&patch);
    let write = call(api.patch_status(&name, &params, &patch));
    let Some(written) = context.office.during(term, write).await else {
        return Ok(out_of_office(&context));
    };
    match written {
        Ok(_) | Err(ApiFailure::NotFound) => Ok(Action::await_change()),
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
