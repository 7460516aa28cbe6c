//! A check as it runs, beside reconcile: waits for its place, reads the key, asks the partner, wakes the integration.

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::GetParams;
use kube::{Api, ResourceExt};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Context;
use super::catalogue::{Entry, Listed};
use super::failure::ApiFailure;
use super::key::Key;
use super::leadership::Term;
use super::secrets::version_of;
use crate::api::{ApiKeySecretRef, Region};
use crate::check::{Credential, CredentialFault, LaneKey, Order, Place, host_of, wipe};
use crate::core::{Ended, Failure, Plan, Reason, Tuple, Verdict, digest, region_of};
use crate::health::Right;
use crate::telemetry::{Cause, spans};

/// After a panic in a check, a bug of ours, it is not made again for this long.
const AFTER_PANIC: Duration = Duration::from_mins(1);
/// How long a change that was found on the way has to arrive by itself.
const CHANGED: Duration = Duration::from_secs(1);
/// Between reads of a Secret that the API server did not answer: doubling from the first to the last.
const READ_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Starts a check. Dropping the handle cancels it, whatever it waits for. It asks the partner in its own term only.
pub fn spawn(
    context: Arc<Context>,
    key: &Key,
    uid: &str,
    term: Term,
    id: u64,
    plan: Arc<Plan>,
) -> AbortOnDropHandle<()> {
    let run = Box::new(Run { context, key: key.clone(), uid: uid.to_owned(), term, id, plan });
    let span = spans::check(&Cause::current(), &key.namespace, &key.name, uid);
    AbortOnDropHandle::new(tokio::spawn(run.run().instrument(span)))
}

struct Run {
    context: Arc<Context>,
    key: Key,
    uid: String,
    term: Term,
    id: u64,
    plan: Arc<Plan>,
}

/// What a check is made with, looked up anew when its place is there.
struct Job {
    partner: String,
    entry: Arc<Entry>,
    region: Region,
    secret: ApiKeySecretRef,
}

/// What came of a check that had its place.
enum Tried {
    Outcome(Tuple, Verdict),
    /// What was planned is out of date.
    Changed,
    /// The API server did not give the key.
    Unread,
}

impl Run {
    async fn run(self: Box<Self>) {
        let pause = self.concluded(AssertUnwindSafe(self.attempt()).catch_unwind().await);
        if let Some(pause) = pause {
            Box::pin(tokio::time::sleep(pause)).await;
            self.end(None);
        }
    }

    /// Ends with what came of it; where nothing did, says how long to wait before it ends without.
    fn concluded(&self, outcome: std::thread::Result<Option<(Tuple, Verdict)>>) -> Option<Duration> {
        let Ok(outcome) = outcome else {
            tracing::error!(
                namespace = %self.key.namespace,
                name = %self.key.name,
                partner = self.context.newest(&self.key).map(|integration| integration.spec.partner.clone()),
                "a check panicked; it is made again later"
            );
            return Some(AFTER_PANIC);
        };
        spans::checked(outcome.as_ref().map(|(_, verdict)| verdict));
        if outcome.is_none() {
            // What has changed wakes the integration by itself, and that cancels this. Only in case it did not:
            return Some(CHANGED);
        }
        self.end(outcome);
        None
    }

    fn end(&self, outcome: Option<(Tuple, Verdict)>) {
        let ended = outcome.map(|(tuple, verdict)| Ended {
            tuple,
            verdict,
            request: self.plan.request.clone(),
            began_with: self.plan.began_with,
            at: jiff::Timestamp::now(),
        });
        self.context.tracker.ended(&self.key, &self.uid, self.id, ended);
        self.context.wake(self.key.clone());
    }

    /// The outcome and the T that it was made with; `None` where there is nothing to conclude, because something has
    /// changed while it waited.
    async fn attempt(&self) -> Option<(Tuple, Verdict)> {
        let mut pause = READ_AGAIN.0;
        loop {
            let place = self.place()?.await;
            // Boxed, as every sleep: while thousands wait for a place, each should hold no more than it needs.
            match Box::pin(self.with(place)).await {
                Tried::Outcome(tuple, verdict) => return Some((tuple, verdict)),
                Tried::Changed => return None,
                Tried::Unread => {}
            }
            Box::pin(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(READ_AGAIN.1);
        }
    }

    /// Once it has its place: what becomes of it.
    async fn with(&self, place: Place) -> Tried {
        // T is computed again now: what was planned may be out of date after the wait.
        let Some(job) = self.job() else { return Tried::Changed };
        spans::check_has_place(&job.partner, &job.region.name);
        let secret = self.secret_key(&job);
        // Boxed: its future holds a whole request.
        match Box::pin(self.read(&secret)).await {
            Ok(read) => {
                self.context.refusals.answered(&secret);
                let proved = Box::pin(self.prove(place, &job, read)).await;
                proved.map_or(Tried::Changed, |(tuple, verdict)| Tried::Outcome(tuple, verdict))
            }
            Err(ApiFailure::NotFound) => {
                self.context.refusals.answered(&secret);
                self.context.secrets.forget(&secret);
                Tried::Outcome(self.plan.tuple.clone(), Verdict::NotMade(Reason::SecretNotFound))
            }
            Err(ApiFailure::Forbidden) if self.context.refusals.refused(&secret, Instant::now()) => {
                Tried::Outcome(self.plan.tuple.clone(), Verdict::NotMade(Reason::SecretForbidden))
            }
            Err(failure) => {
                tracing::warn!(
                    namespace = %self.key.namespace,
                    name = %self.key.name,
                    partner = job.partner,
                    %failure,
                    "the Secret cannot be read; trying again"
                );
                Tried::Unread
            }
        }
    }

    /// Its place, which is to be waited for.
    fn place(&self) -> Option<impl Future<Output = Place> + use<>> {
        let job = self.job()?;
        let lane = LaneKey { partner: job.partner, host: host_of(&job.region.endpoint) };
        let order = if self.plan.proved { Order::Repeat } else { Order::Unproved };
        Some(self.context.places.enter(lane, job.entry.spec.check.max_per_second, order))
    }

    /// The job as the caches have it now, if it is still the one that was planned.
    fn job(&self) -> Option<Job> {
        let integration = self.context.newest(&self.key)?;
        if integration.uid().as_deref() != Some(&*self.uid)
            || integration.metadata.deletion_timestamp.is_some()
            || integration.spec.suspend
        {
            return None;
        }
        let Some(Listed::Readable(entry)) = self.context.catalogue.get(&integration.spec.partner) else {
            return None;
        };
        let region = region_of(&integration, &entry.spec.regions)?.clone();
        let secret = integration.spec.api_key_secret_ref.clone()?;
        let as_planned = digest(&self.uid, &entry.spec, &region.endpoint, &secret) == self.plan.tuple.digest;
        as_planned.then(|| Job { partner: integration.spec.partner.clone(), entry, region, secret })
    }

    /// The Secret, in the version that has been seen or a newer one: the API server answers that from its watch cache, at a
    /// fraction of what a read from etcd costs. What that cannot answer, because the Secret is not there or the cache lags
    /// behind, is for a live read to say.
    async fn read(&self, secret: &Key) -> Result<Secret, ApiFailure> {
        // It is never closed, and without it this would only be slower.
        let _turn = self.context.reads.acquire().await;
        let api = Api::<Secret>::namespaced(self.context.client.clone(), &secret.namespace);
        if let Some(known) = self.context.secrets.get(secret) {
            let params = GetParams::at(&known.resource_version);
            let cached = api.get_with(&secret.name, &params);
            match self.context.call(Right::GET_SECRETS, &secret.namespace, cached).await {
                Err(ApiFailure::NotFound | ApiFailure::Refused(_) | ApiFailure::Unknown(_)) => {}
                answer => return answer,
            }
        }
        self.context.call(Right::GET_SECRETS, &secret.namespace, api.get(&secret.name)).await
    }

    /// Asks the partner, with the key that was just read; the place is given back when the answer is there.
    async fn prove(&self, _place: Place, job: &Job, mut secret: Secret) -> Option<(Tuple, Verdict)> {
        let check = job.entry.check.as_ref().ok()?;
        let version = version_of(&secret);
        self.context.secrets.seen(&self.secret_key(job), &version);
        let tuple = Tuple { digest: self.plan.tuple.digest.clone(), secret: version };
        self.context.tracker.made_with(&self.key, &self.uid, self.id, &tuple);
        let mut data = secret.data.take().unwrap_or_default();
        let credential = Credential::read(&job.entry.spec.authentication, &job.secret.key, &data);
        // What the Kubernetes client buffered on the way here is out of reach.
        wipe(&mut data);
        let began = Instant::now();
        let (verdict, asked) = match credential {
            Ok(credential) => {
                let asked = self.context.prober.prove(check, &job.region.endpoint, credential);
                let asked = asked.instrument(spans::request(check.method(), &job.region.endpoint));
                let verdict = self.context.office.during(self.term, asked).await?;
                (verdict, Some(began.elapsed()))
            }
            Err(CredentialFault::KeyNotFound) => (Verdict::NotMade(Reason::SecretKeyNotFound), None),
            Err(CredentialFault::Invalid) => (Verdict::Failed(Failure::from(Reason::InvalidCredential)), None),
        };
        if let Some(result) = verdict.result() {
            self.context.metrics.checked(&job.partner, &job.region.name, result, asked);
        }
        Some((tuple, verdict))
    }

    fn secret_key(&self, job: &Job) -> Key {
        Key { namespace: self.key.namespace.clone(), name: job.secret.name.as_str().into() }
    }
}
