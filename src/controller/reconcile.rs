//! One integration, once round the circle: observe → decide → apply. It never awaits a partner.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tracing::{Instrument, Span};

use super::Context;
use super::apply::Applied;
use super::failure::ApiFailure;
use super::key::Key;
use super::leadership::Term;
use super::object::Integration;
use super::refusals::BELIEVED_AFTER;
use crate::api::PartnerIntegration;
use crate::core::decide;
use crate::metrics::Reconciled;
use crate::telemetry::{Cause, spans};

/// How often one reconcile decides anew over a fresh object before it leaves the rest to the backoff.
const ROUNDS: usize = 5;
/// Between failed reconciles of one integration: doubling from the first to the last, half of it at random.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// Why a reconcile is made again after a backoff.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server did not do what it was asked; nothing was concluded.
    #[error("{0}")]
    Api(#[from] ApiFailure),
    /// Somebody else writes this object all the time.
    #[error("the object changed with every try")]
    Contended,
    /// A bug of ours; it stops this one object only.
    #[error("the reconcile panicked")]
    Panicked,
}

impl From<&ReconcileError> for Reconciled {
    fn from(error: &ReconcileError) -> Self {
        match error {
            ReconcileError::Api(_) => Self::ApiError,
            ReconcileError::Contended => Self::Contended,
            ReconcileError::Panicked => Self::Panicked,
        }
    }
}

/// A reconcile that failed, and the span that it failed in.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    error: ReconcileError,
    cause: Cause,
}

/// Reconciles one integration. A panic in it ends as an error of this one object.
///
/// # Errors
/// As [`ReconcileError`] says; each is followed by [`backoff`].
pub async fn reconcile(object: Arc<Integration>, context: Arc<Context>) -> Result<Action, Failed> {
    if !context.settled(&object.namespace().unwrap_or_default()).await {
        return Ok(Action::await_change());
    }
    let Some(term) = context.office.term() else {
        return Ok(out_of_office(&context));
    };
    let Some(integration) = object.readable() else {
        // It stays as it is until somebody changes it; no other object waits for it.
        tracing::warn!(
            namespace = object.namespace(),
            name = object.name_any(),
            "the stored object cannot be read as a v1alpha1 PartnerIntegration; apply it again"
        );
        return Ok(Action::await_change());
    };
    let began = Instant::now();
    let span = spans::reconcile(&integration.metadata, Some(&integration.spec.partner));
    let rounds = caught(Box::pin(rounds(integration.clone(), &context, term)));
    let result = rounds.instrument(span.clone()).await;
    let how = result.as_ref().map_or_else(Reconciled::from, |_| Reconciled::Success);
    context.metrics.reconciled(how, began.elapsed());
    spans::reconciled(&span, how);
    result.map_err(|error| Failed { error, cause: span.in_scope(Cause::current) })
}

/// A panic would end the stream of all reconciles.
async fn caught<T>(work: impl Future<Output = Result<T, ReconcileError>>) -> Result<T, ReconcileError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(ReconcileError::Panicked))
}

async fn rounds(
    mut integration: Arc<PartnerIntegration>,
    context: &Arc<Context>,
    term: Term,
) -> Result<Action, ReconcileError> {
    for round in 0..ROUNDS {
        let Some(gathered) = context.observe(integration, round == 0).await? else {
            return Ok(Action::await_change());
        };
        if gathered.has_outcome() {
            gathered.checked_in.is_linked_from(&Span::current());
        }
        let decision = decide(&gathered.observed());
        let next_look = decision.next_look;
        log(&gathered.integration, decision.status.as_deref());
        match context.apply(&gathered, &decision, term).await? {
            Applied::Done => return Ok(next_look.map_or_else(Action::await_change, Action::requeue)),
            Applied::Gone => return Ok(Action::await_change()),
            Applied::OutOfOffice => return Ok(out_of_office(context)),
            Applied::Stale(fresh) | Applied::Again(fresh) => integration = fresh,
        }
    }
    Err(ReconcileError::Contended)
}

/// Whoever takes office wakes all, so a standby just waits; a term that is about to end may also go on.
pub fn out_of_office(context: &Context) -> Action {
    if context.office.has_begun() { Action::requeue(Duration::from_secs(1)) } else { Action::await_change() }
}

/// Says what a status turns to, once for each write.
fn log(integration: &PartnerIntegration, status: Option<&crate::api::PartnerIntegrationStatus>) {
    if let Some(status) = status {
        let reason = crate::core::connected_reason(status).map(crate::core::Reason::as_str);
        tracing::info!(
            namespace = integration.namespace(),
            name = integration.name_any(),
            partner = integration.spec.partner,
            phase = ?status.phase,
            reason,
            "writing the status"
        );
    }
}

/// When a failed reconcile is made again.
pub fn backoff(object: &Integration, failed: &Failed, context: &Context) -> Action {
    let Failed { error, cause } = failed;
    let _named = cause.enter();
    let key = Key::of(object);
    let failures = context.tracker.failed(&key);
    let delay = BACKOFF.0.saturating_mul(1 << (failures - 1).min(16)).min(BACKOFF.1);
    let delay = match error {
        // Looked at again when it has lasted long enough to be believed.
        ReconcileError::Api(ApiFailure::Forbidden) => delay.max(BELIEVED_AFTER),
        ReconcileError::Api(_) | ReconcileError::Contended | ReconcileError::Panicked => delay / 2,
    };
    let delay = delay.mul_f64(1.0 + rand::random::<f64>());
    tracing::warn!(
        namespace = object.meta().namespace,
        name = object.meta().name,
        partner = object.readable().map(|integration| integration.spec.partner.as_str()),
        %error,
        failures,
        ?delay,
        "the reconcile failed; trying again"
    );
    Action::requeue(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_own_object_only() {
        let buggy = |key: Option<u8>| async move { Ok(key.expect("a bug")) };
        assert!(matches!(caught(buggy(None)).await, Err(ReconcileError::Panicked)));
        assert!(matches!(caught(buggy(Some(1))).await, Ok(1)));
    }
}
