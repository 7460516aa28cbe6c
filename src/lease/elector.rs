//! The shell: reads and writes the Lease, on time, and says who leads.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Leading;
use super::candidate::{Action, Candidate};
use super::record::LeaseRecord;
use super::settings::{Settings, SettingsError};
use crate::health::Reporter;

/// Whose writes these are, in managedFields.
const MANAGER: &str = "partner-integration-operator";
/// The shortest share of the retry period between two tries: they differ, so that instances do not march in step. Never more than the whole: a released Lease is taken within
/// one retry period.
const SHORTEST_WAIT: f64 = 0.8;
/// Writes in one try: a conflict is followed by a fresh look, and another one by waiting.
const WRITES: usize = 2;
/// The same for the release, which nobody tries again.
const RELEASES: usize = 4;
/// A problem that stays the same is logged again after this long.
const REMIND: Duration = Duration::from_mins(5);

/// Takes part in the election.
pub struct Elector {
    leases: Api<Lease>,
    settings: Settings,
    candidate: Candidate,
    /// The Lease as it was last read or written; `None` when that is not known for certain.
    lease: Option<Lease>,
    /// Whether the Lease may have this instance's name: since a write went out, until another's name was seen.
    may_hold: bool,
    announced_holder: Option<String>,
    problem: Option<(String, Instant)>,
    /// Where readiness is told.
    reporter: Option<Reporter>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the lease changed meanwhile (409)")]
    Conflict,
    #[error("it is forbidden (403): {0}; grant get, create and update on leases in coordination.k8s.io")]
    Forbidden(String),
    #[error("{0} ({1})")]
    Refused(String, u16),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    NoAnswer(&'static str),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                409 => Self::Conflict,
                403 => Self::Forbidden(status.message.clone()),
                code => Self::Refused(status.message.clone(), code),
            },
            // In our own words, as everywhere: what a library says may hold more than belongs in a log.
            kube::Error::SerdeError(_) => Self::NoAnswer("an answer of the API server could not be decoded"),
            kube::Error::Auth(_) => Self::NoAnswer("no credentials for the API server"),
            _ => Self::NoAnswer("the API server cannot be reached"),
        }
    }
}

/// A call that failed and what it was for.
#[derive(Debug, thiserror::Error)]
#[error("the lease cannot be {0}: {1}")]
struct Problem(&'static str, Failure);

impl Problem {
    /// For `/readyz`: the verb, and nothing that the API server has said.
    fn words(&self, namespace: &str) -> String {
        let verb = match self.0 {
            "read" => "get",
            "created" => "create",
            _ => "update",
        };
        match &self.1 {
            Failure::Conflict => format!("{verb}: conflict (409)"),
            Failure::Forbidden(_) => format!(
                "{verb}: forbidden (403); grant the operator get, create and update on leases in coordination.k8s.io, \
                 in namespace {namespace}"
            ),
            Failure::Refused(_, 404) => format!("{verb}: not found (404); is there a namespace {namespace}?"),
            Failure::Refused(_, code) => format!("{verb}: refused ({code})"),
            failure @ (Failure::Timeout(_) | Failure::NoAnswer(_)) => format!("{verb}: {failure}"),
        }
    }
}

impl Elector {
    /// One that has not begun. `client` should have kube's own retries switched off: they would outlast the deadlines.
    ///
    /// # Errors
    /// The settings do not go together; see [`Settings::check`].
    pub fn new(client: Client, settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let Settings { namespace, identity, lease_duration, renew_deadline, .. } = &settings;
        let candidate = Candidate::new(identity.clone(), *lease_duration, *renew_deadline, Instant::now());
        let leases = Api::namespaced(client, namespace);
        Ok(Self {
            leases,
            settings,
            candidate,
            lease: None,
            may_hold: false,
            announced_holder: None,
            problem: None,
            reporter: None,
        })
    }

    /// Has it tell there of each try whether it came to something.
    #[must_use]
    pub fn reporting(mut self, reporter: Reporter) -> Self {
        self.reporter = Some(reporter);
        self
    }

    /// Takes part until `stop` is cancelled, then releases the Lease if it is still held, so that a successor leads
    /// within its retry period. Cancel `stop` only when the work that needs leadership has ended.
    ///
    /// `leading` changes with each renewal; it says [`Leading::Standby`] before a successor can lead, also when the API
    /// server hangs. Nothing ends it but `stop`: a leader that loses the Lease goes on as a standby, and what the API
    /// server refuses is logged and tried again each retry period. On `stop` it ends within half the renew deadline.
    ///
    /// To drop the future instead loses nothing, but successors wait for the lease duration, and `leading` is left
    /// as it was, to run out by itself.
    pub async fn run(mut self, stop: CancellationToken, leading: watch::Sender<Leading>) {
        loop {
            let began = Instant::now();
            let tried = {
                // The deadline is not the attempt's to overlook: it cuts off a call that hangs.
                let deadline = self.deadline();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = passed(deadline) => None,
                    tried = self.attempt(&leading) => Some(tried),
                }
            };
            // From the beginning of this try, so that one that hung is followed by the next one at once.
            let next = began + self.settings.retry_period.mul_f64(rand::random_range(SHORTEST_WAIT..=1.0));
            let next = match tried {
                Some(Ok(expires)) => {
                    self.recovered();
                    expires.map_or(next, |expires| next.min(expires))
                }
                Some(Err(problem)) => {
                    self.failed(&problem);
                    next
                }
                None => next,
            };
            self.publish(&leading);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = passed(self.deadline()) => {}
                () = sleep_until(next) => {}
            }
            // When the process was stopped, the deadline and the wait are both over: the deadline comes first.
            self.publish(&leading);
        }
        self.candidate.stand_by();
        leading.send_replace(Leading::Standby);
        self.release().await;
    }

    /// One look, and if it is called for one write. Gives when another's hold on the Lease expires, if it has one.
    async fn attempt(&mut self, leading: &watch::Sender<Leading>) -> Result<Option<Instant>, Problem> {
        let mut current = self.candidate.leading().is_leader_now() && self.lease.is_some();
        for _ in 0..WRITES {
            if !current {
                self.read().await.map_err(|failure| Problem("read", failure))?;
                self.publish(leading);
            }
            let now = Instant::now();
            let (record, verb) = match self.candidate.next(now, jiff::Timestamp::now()) {
                Action::Wait(left) => return Ok(Some(now + left)),
                Action::Create(record) => (record, "created"),
                Action::Acquire(record) => (record, "taken"),
                Action::Renew(record) => (record, "renewed"),
            };
            match self.write(record).await {
                Ok(()) => {
                    self.publish(leading);
                    return Ok(None);
                }
                Err(Failure::Conflict) => current = false,
                // It was deleted. With the uid of the old one an API server says conflict; not found means the same.
                Err(Failure::Refused(_, 404)) if verb != "created" => current = false,
                Err(failure) => return Err(Problem(verb, failure)),
            }
        }
        // Somebody else is at it.
        Ok(None)
    }

    /// Reads the Lease, and what it says is taken in.
    async fn read(&mut self) -> Result<(), Failure> {
        self.lease = None;
        let lease = within(self.limit(), self.leases.get_opt(&self.settings.name)).await?;
        let received = Instant::now();
        self.candidate.saw(lease.as_ref().map(record), received);
        if self.candidate.holder() != Some(self.settings.identity.as_str()) {
            self.may_hold = false;
        }
        self.lease = lease;
        Ok(())
    }

    /// Writes a record over the Lease that was last seen, or creates it. When it fails the Lease is unknown: the write
    /// may still arrive.
    async fn write(&mut self, record: LeaseRecord) -> Result<(), Failure> {
        let previous = self.lease.take();
        self.may_hold = true;
        let sent = Instant::now();
        let written = within(self.limit(), put(&self.leases, &self.settings.name, previous, record)).await?;
        let received = Instant::now();
        self.candidate.wrote(self::record(&written), sent, received);
        self.lease = Some(written);
        Ok(())
    }

    /// Empties the holder, if it is still this instance. Whatever goes wrong, the Lease expires by itself.
    async fn release(mut self) {
        if !self.may_hold {
            return;
        }
        let limit = self.limit();
        match timeout(limit, self.try_release()).await {
            Ok(Ok(true)) => tracing::info!(lease = %self.settings.name, "released the lease"),
            Ok(Ok(false)) => {}
            Ok(Err(failure)) => tracing::warn!(%failure, "the lease was not released; it expires by itself"),
            Err(_) => tracing::warn!("the lease was not released within {limit:?}; it expires by itself"),
        }
    }

    async fn try_release(&mut self) -> Result<bool, Failure> {
        for _ in 0..RELEASES {
            // A renewal that was cut off may have changed it.
            self.read().await?;
            let Some(own) = self.candidate.own_record() else { return Ok(false) };
            let released = own.released(jiff::Timestamp::now());
            match self.write(released).await {
                Ok(()) => return Ok(true),
                Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Conflict)
    }

    /// Says who leads now, after asking the clock.
    fn publish(&mut self, leading: &watch::Sender<Leading>) {
        let now = Instant::now();
        let mut is = self.candidate.leading();
        if matches!(is, Leading::Leader { .. }) && !is.is_leader_at(now) {
            self.candidate.stand_by();
            is = Leading::Standby;
        }
        let was = leading.send_replace(is);
        let lease = &self.settings.name;
        match (was, is) {
            (Leading::Standby, Leading::Leader { .. }) => {
                tracing::info!(lease, identity = self.settings.identity, "this instance leads");
            }
            (Leading::Leader { .. }, Leading::Standby) => {
                tracing::warn!(lease, "this instance leads no more: the lease was not renewed in time, or taken away");
            }
            _ => {}
        }
        if let Some(holder) = self.candidate.holder()
            && self.announced_holder.as_deref() != Some(holder)
        {
            if holder != self.settings.identity {
                tracing::info!(lease, holder, "another instance holds the lease");
            }
            self.announced_holder = Some(holder.to_owned());
        }
    }

    /// Notes that the API server does what it is asked.
    fn recovered(&mut self) {
        if let Some(reporter) = &self.reporter {
            reporter.listed();
        }
        if self.problem.take().is_some() {
            tracing::info!(lease = %self.settings.name, "the lease can be read and written again");
        }
    }

    /// Logs a problem that is new or has lasted.
    fn failed(&mut self, problem: &Problem) {
        if let Some(reporter) = &self.reporter {
            reporter.fails(problem.words(&self.settings.namespace));
        }
        let words = problem.to_string();
        let known = self.problem.as_ref().is_some_and(|(last, at)| *last == words && at.elapsed() < REMIND);
        if !known {
            let Settings { name: lease, namespace, .. } = &self.settings;
            let leads = self.candidate.leading().is_leader_now();
            tracing::warn!(lease, namespace, leads, "{words}; trying again every {:?}", self.settings.retry_period);
            self.problem = Some((words, Instant::now()));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.candidate.leading() {
            Leading::Leader { until, .. } => Some(until),
            Leading::Standby => None,
        }
    }

    /// How long one call may take. As in the components of Kubernetes half the renew deadline: one call that hangs
    /// leaves time for another.
    fn limit(&self) -> Duration {
        self.settings.renew_deadline / 2
    }
}

/// Replaces a Lease as it was read, or creates it. The resourceVersion and the uid make it a compare-and-swap: without the
/// uid a replace would create a Lease that was deleted meanwhile.
async fn put(leases: &Api<Lease>, name: &str, previous: Option<Lease>, record: LeaseRecord) -> kube::Result<Lease> {
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    if let Some(mut lease) = previous {
        record.write_into(lease.spec.get_or_insert_default());
        return leases.replace(name, &params, &lease).await;
    }
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let mut spec = LeaseSpec::default();
    record.write_into(&mut spec);
    leases.create(&params, &Lease { metadata, spec: Some(spec) }).await
}

/// What a Lease says. One without a spec is held by nobody.
fn record(lease: &Lease) -> LeaseRecord {
    lease.spec.as_ref().map_or_else(|| LeaseRecord::from(&LeaseSpec::default()), LeaseRecord::from)
}

async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>> + Send) -> Result<T, Failure> {
    timeout(limit, call).await.map_err(|_| Failure::Timeout(limit))?.map_err(Failure::from)
}

/// Returns at the deadline; never without one.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
