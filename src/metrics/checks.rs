//! Checks, counted by partner and region: only of what the catalogue has. What has left it leaves here, too.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::live::Live;
use crate::core::Reason;

/// Upper bounds of a check, in seconds, up to the longest timeout that a partner may have.
const BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Partner and region.
type Where = (Arc<str>, Arc<str>);

/// See the module.
#[derive(Default)]
pub struct Checks {
    counted: Mutex<BTreeMap<Where, Counted>>,
    live: Mutex<Option<Weak<dyn Live>>>,
}

struct Counted {
    results: BTreeMap<Reason, u64>,
    duration: Histogram,
}

impl Checks {
    /// Who knows the catalogue.
    pub fn attach(&self, live: Weak<dyn Live>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }

    /// As [`Metrics::checked`](super::Metrics::checked).
    pub fn record(&self, partner: &str, region: &str, result: Reason, asked: Option<Duration>) {
        let at: Where = (partner.into(), region.into());
        let is_new = !self.counted().contains_key(&at);
        if is_new {
            // Rare: so what nobody scrapes does not grow either.
            self.forget_the_gone();
        }
        let mut counted = self.counted();
        let counted = counted
            .entry(at)
            .or_insert_with(|| Counted { results: BTreeMap::new(), duration: Histogram::new(BUCKETS) });
        *counted.results.entry(result).or_default() += 1;
        if let Some(asked) = asked {
            counted.duration.observe(asked.as_secs_f64());
        }
    }

    /// How many regions have series.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.counted().len()
    }

    /// Keeps what the catalogue has now; all of it while nobody knows the catalogue.
    fn forget_the_gone(&self) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Weak::upgrade);
        let Some(live) = live else { return };
        let partners = live.partners();
        let listed: HashSet<(&str, &str)> = partners
            .iter()
            .flat_map(|partner| partner.regions.iter().map(|region| (partner.name.as_str(), region.as_str())))
            .collect();
        self.counted().retain(|(partner, region), _| listed.contains(&(&**partner, &**region)));
    }

    fn counted(&self) -> MutexGuard<'_, BTreeMap<Where, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checks")
    }
}

impl Collector for Checks {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.forget_the_gone();
        let counted = self.counted();
        let help = "Checks that have ended, by result.";
        let mut family = encoder.encode_descriptor("partner_integration_checks", help, None, MetricType::Counter)?;
        for ((partner, region), of) in &*counted {
            for (result, count) in &of.results {
                let labels = [("partner", &**partner), ("region", &**region), ("result", result.as_str())];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "How long a partner took to answer a check, or until that was given up.";
        let name = "partner_integration_check_duration";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for ((partner, region), of) in &*counted {
            of.duration.encode(family.encode_family(&[("partner", &**partner), ("region", &**region)])?)?;
        }
        Ok(())
    }
}
