//! The imperative shell: watches, and for each integration observe → [`decide`](crate::core::decide) → apply.
//!
//! Data flows one way and in a circle: a watch or a check that ended wakes an integration; its reconcile gathers what
//! is known, the core decides, and what was decided is written. Checks run beside it.

mod apply;
mod bindings;
mod catalogue;
mod counts;
mod events;
mod failure;
mod key;
mod leadership;
mod lull;
mod names;
mod object;
mod observe;
mod partners;
mod patch;
mod publish;
mod reconcile;
mod refusals;
mod rights;
mod running;
mod scope;
mod secrets;
mod series;
mod tracker;
mod watches;
mod watching;

use std::sync::{Arc, Weak};

use futures::{Stream, StreamExt};
use kube::Client;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, controller};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::api::PartnerIntegration;
use crate::check::{Guard, Places, Prober, Resolver};
use crate::health::{Health, Reporter, Right};
use crate::lease::Leading;
use crate::metrics::{Live, Metrics};
use bindings::Bindings;
use catalogue::Catalogue;
use events::Events;
use failure::ApiFailure;
use key::Key;
use leadership::Office;
use lull::StatusWrites;
use object::Integration;
use refusals::Refusals;
use scope::Place;
pub use scope::{Scope, SecretWatch};
use secrets::Secrets;
use tracker::Tracker;

/// Reconciles in flight, and so status writes: the API server gains nothing past a few, and each is a connection.
const RECONCILES: u16 = 8;
/// The same for partners; there are few.
const PARTNER_RECONCILES: u16 = 2;
/// Secrets read at once, for the same reason.
const READS: usize = 4;
/// Checks in flight for one host of one partner.
const CHECKS_PER_HOST: usize = 64;

/// What every part of the shell works with.
pub(crate) struct Context {
    client: Client,
    store: Store<Integration>,
    tracker: Tracker,
    secrets: Secrets,
    bindings: Bindings,
    refusals: Refusals,
    catalogue: Catalogue,
    places: Places,
    reads: Semaphore,
    prober: Prober,
    office: Office,
    health: Health,
    events: Events,
    status_writes: StatusWrites,
    metrics: Metrics,
    wake: mpsc::UnboundedSender<Key>,
    wake_partners: mpsc::UnboundedSender<()>,
    /// The integrations' watch has shown something that may have changed a count.
    recount: Notify,
    /// What has been written to the partners lately.
    written: partners::Written,
    scope: Scope,
    places_watched: Vec<Place>,
    partners_listed: Reporter,
}

impl Context {
    /// Makes a call that needs this right, in this namespace or, where it is empty, in the cluster. A 403 is an obstacle on
    /// `/readyz` and named in the log until such a call is let through.
    ///
    /// # Errors
    /// As [`failure::call`].
    async fn call<T>(
        &self,
        right: Right,
        namespace: &str,
        request: impl Future<Output = kube::Result<T>> + Send,
    ) -> Result<T, ApiFailure> {
        let answer = if right.writes() {
            let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
            failure::write(right.verb, right.resource, namespace, request).await
        } else {
            failure::call(request).await
        };
        match &answer {
            Err(ApiFailure::Forbidden) => self.health.refused(right, namespace),
            // Whether it may is judged before anything else is.
            Ok(_) | Err(ApiFailure::NotFound | ApiFailure::Conflict) => self.health.granted(right, namespace),
            Err(ApiFailure::Refused(_) | ApiFailure::Unknown(_)) => {}
        }
        answer
    }

    /// Has an integration reconciled soon.
    fn wake(&self, key: Key) {
        // Nobody listens only while the process ends.
        let _ = self.wake.send(key);
    }

    /// Has every partner reconciled soon.
    fn wake_partners(&self) {
        // As above.
        let _ = self.wake_partners.send(());
    }

    /// An integration as it is known now.
    fn newest(&self, key: &Key) -> Option<Arc<PartnerIntegration>> {
        let watched = self.store.get(&reference(key))?.readable()?.clone();
        Some(self.tracker.newest(key, watched, true))
    }
}

fn received<T: Send>(receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

fn reference(key: &Key) -> ObjectRef<Integration> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

/// How the controller works.
pub struct Settings {
    /// Which addresses partners may have.
    pub guard: Guard,
    /// How their names are looked up.
    pub resolver: Resolver,
    /// Whether bindings are published (`--bindings`).
    pub bindings: bool,
    /// What is watched and written (`--namespace`, `--partner-status`, `--secret-watch`).
    pub scope: Scope,
}

/// Runs the controller, as a standby or in office as `leading` says, until `stop` is cancelled and the reconciles in
/// flight have ended. Checks in flight are abandoned then: their outcome was not written, so nothing is lost but the
/// request.
pub async fn run(
    client: Client,
    settings: Settings,
    health: Health,
    metrics: Metrics,
    leading: watch::Receiver<Leading>,
    stop: CancellationToken,
) {
    let Settings { guard, resolver, bindings, scope } = settings;
    let (places_watched, partners_listed) = (scope.places(&health), health.watch("partners"));
    let (wake, woken) = mpsc::unbounded_channel();
    let (wake_partners, partners_woken) = mpsc::unbounded_channel();
    let (store, writer) = reflector::store();
    let (events, told) = Events::new(metrics.clone());
    let context = Arc::new(Context {
        client,
        store: store.clone(),
        tracker: Tracker::default(),
        secrets: Secrets::default(),
        bindings: Bindings::new(bindings),
        refusals: Refusals::default(),
        catalogue: Catalogue::new(guard.clone()),
        places: Places::new(CHECKS_PER_HOST),
        reads: Semaphore::new(READS),
        prober: Prober::new(guard, resolver),
        office: Office::new(leading),
        health,
        events,
        status_writes: StatusWrites::default(),
        metrics,
        wake,
        wake_partners,
        recount: Notify::new(),
        written: partners::Written::default(),
        scope,
        places_watched,
        partners_listed: partners_listed.clone(),
    });
    let _checks = StopChecks(context.clone());
    let integrations = watches::changes(watches::kept(scope::integrations(&context), writer));
    let woken = received(woken).map(|key| reference(&key));
    let terms = AbortOnDropHandle::new(tokio::spawn(leadership::follow(context.clone())));
    let live: Weak<dyn Live> = Arc::downgrade(&context) as _;
    context.metrics.attach(live);
    let events = AbortOnDropHandle::new(tokio::spawn(events::write(context.clone(), told)));
    let refusals = AbortOnDropHandle::new(tokio::spawn(refusals::look_again(context.clone())));
    let rights = AbortOnDropHandle::new(tokio::spawn(rights::look_again(context.clone())));
    let secrets = AbortOnDropHandle::new(tokio::spawn(scope::secrets(context.clone())));
    let partners = run_partners(context.clone(), partners_listed, partners_woken, stop.clone());
    let partners = AbortOnDropHandle::new(tokio::spawn(partners));
    Controller::for_stream(integrations, store)
        .with_config(controller::Config::default().concurrency(RECONCILES))
        .reconcile_on(woken)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile, |object, error, context| reconcile::backoff(&object, error, &context), context)
        .for_each(|_| std::future::ready(()))
        .await;
    drop((secrets, partners, terms, events, refusals, rights));
}

/// Nothing is sent or written after the controller, however it ends: the Lease may be released next.
struct StopChecks(Arc<Context>);

impl Drop for StopChecks {
    fn drop(&mut self) {
        leadership::close(&self.0);
    }
}

async fn run_partners(
    context: Arc<Context>,
    reporter: Reporter,
    woken: mpsc::UnboundedReceiver<()>,
    stop: CancellationToken,
) {
    let (store, writer) = reflector::store();
    let (recounted, woken_alone) = mpsc::unbounded_channel();
    let counts = AbortOnDropHandle::new(tokio::spawn(partners::follow_counts(context.clone(), recounted)));
    let partners = watches::kept(watches::partners(context.clone(), reporter), writer);
    Controller::for_stream(watches::changes(partners), store)
        .with_config(controller::Config::default().concurrency(PARTNER_RECONCILES))
        .reconcile_all_on(received(woken))
        .reconcile_on(received(woken_alone).map(|name| ObjectRef::new(&name)))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(partners::reconcile, |partner, failure, context| partners::backoff(&partner, failure, &context), context)
        .for_each(|_| std::future::ready(()))
        .await;
    drop(counts);
}
