//! Metrics, all of them named `partner_integration_…`.
//!
//! Counters are recorded where something is done. Whatever can be read off at the time of a scrape is [`live`] and
//! kept nowhere, so a series ends with its object. The labels are bounded: by the names in this code, by the regions
//! of the catalogue, and, for the series of each integration, by the integrations.

mod checks;
mod format;
mod live;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::core::Reason;
use checks::Checks;
pub use format::Format;
pub use live::{IntegrationSeries, Live, PartnerSeries};

/// Upper bounds of a reconcile, in seconds: a few milliseconds each, seconds where the API server is slow.
const RECONCILE_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];

/// How one reconcile of an integration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// As it should.
    Success,
    /// The API server did not do what it was asked; made again after a backoff.
    ApiError,
    /// Somebody else wrote the object with every try; made again after a backoff.
    Contended,
    /// A bug of ours; made again after a backoff.
    Panicked,
}

impl Reconciled {
    const ALL: [Self; 4] = [Self::Success, Self::ApiError, Self::Contended, Self::Panicked];

    /// The value of the label `result`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ApiError => "api_error",
            Self::Contended => "contended",
            Self::Panicked => "panicked",
        }
    }
}

/// One label of a fixed set of words.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics of the process. Cheap to clone; passed down, never global.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    reconciles: Family<Labels<1>, Counter>,
    reconcile_duration: Histogram,
    api_writes: Family<Labels<2>, Counter>,
    events_dropped: Counter,
    checks: Arc<Checks>,
    /// Whether each integration has series of its own.
    of_integrations: bool,
}

impl Metrics {
    /// Metrics at zero. `of_integrations`: whether each integration has series of its own.
    #[must_use]
    pub fn new(of_integrations: bool) -> Self {
        let inner = Inner {
            registry: Mutex::default(),
            reconciles: Family::default(),
            reconcile_duration: Histogram::new(RECONCILE_BUCKETS),
            api_writes: Family::default(),
            events_dropped: Counter::default(),
            checks: Arc::default(),
            of_integrations,
        };
        // From zero on: an increase that begins with the first error would not be seen as one.
        for result in Reconciled::ALL {
            drop(inner.reconciles.get_or_create(&[("result", result.as_str())]));
        }
        inner.register();
        Self(Arc::new(inner))
    }

    /// An integration has been reconciled.
    pub fn reconciled(&self, result: Reconciled, took: Duration) {
        self.0.reconciles.get_or_create(&[("result", result.as_str())]).inc();
        self.0.reconcile_duration.observe(took.as_secs_f64());
    }

    /// The API server is asked for a change of this kind, whatever comes of it.
    pub fn writes(&self, kind: &'static str, verb: &'static str) {
        self.0.api_writes.get_or_create(&[("kind", kind), ("verb", verb)]).inc();
    }

    /// A check has ended so. `asked` is how long the partner took, where it was asked.
    ///
    /// It counts while the catalogue has this region of this partner.
    pub fn checked(&self, partner: &str, region: &str, result: Reason, asked: Option<Duration>) {
        self.0.checks.record(partner, region, result, asked);
    }

    /// An Event was not written and will not be.
    pub fn event_dropped(&self) {
        self.0.events_dropped.inc();
    }

    /// From now on `live` is asked at each scrape, as long as it lives.
    pub fn attach(&self, live: Weak<dyn Live>) {
        self.0.checks.attach(live.clone());
        let collector = live::Collected { live, of_integrations: self.0.of_integrations };
        self.registry().register_collector(Box::new(collector));
    }

    /// Everything, as text in this format.
    #[must_use]
    pub fn expose(&self, format: Format) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail, and nothing else can.
        let _ = encode(&mut text, &self.registry());
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => format::to_prometheus(&text),
        }
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.0.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("partner_integration_operator_build", "The operator that runs", build);
        registry.register(
            "partner_integration_reconcile",
            "Reconciles of integrations, by how they ended",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "partner_integration_reconcile_duration",
            "How long a reconcile of an integration took",
            Unit::Seconds,
            self.reconcile_duration.clone(),
        );
        registry.register(
            "partner_integration_api_writes",
            "Changes that the API server was asked for, refused ones too",
            self.api_writes.clone(),
        );
        registry.register(
            "partner_integration_events_dropped",
            "Events that were not written: too many at once, or refused",
            self.events_dropped.clone(),
        );
        registry.register_collector(Box::new(self.checks.clone()));
    }
}
