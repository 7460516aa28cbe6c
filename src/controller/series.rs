//! What a scrape of the metrics reads here.

use std::collections::HashMap;

use super::Context;
use super::catalogue::Listed;
use super::key::Key;
use crate::metrics::{IntegrationSeries, Live, PartnerSeries};

impl Live for Context {
    fn is_leading(&self) -> bool {
        self.office.is_held()
    }

    /// As the watch has shown them; what is being deleted counts as deleted.
    fn integrations(&self) -> Vec<IntegrationSeries> {
        let last_checks = self.tracker.last_checks();
        let objects = self.store.state();
        let readable = objects.iter().filter_map(|object| object.readable());
        let live = readable.filter(|integration| integration.metadata.deletion_timestamp.is_none());
        live.map(|integration| {
            let key = Key::of(&**integration);
            let known = last_checks.get(&key).filter(|(uid, _)| integration.metadata.uid.as_ref() == Some(uid));
            IntegrationSeries {
                last_check: known.map(|(_, at)| at.as_duration().as_secs_f64()),
                namespace: key.namespace,
                name: key.name,
                partner: integration.spec.partner.clone(),
                region: integration.spec.region.clone().unwrap_or_default(),
                phase: integration.status.as_ref().map(|status| status.phase).unwrap_or_default(),
            }
        })
        .collect()
    }

    fn partners(&self) -> Vec<PartnerSeries> {
        let in_flight: HashMap<String, u64> = self.places.in_flight_by_partner();
        let of = |(name, listed): (String, Listed)| PartnerSeries {
            in_flight: in_flight.get(&name).copied().unwrap_or_default(),
            regions: match listed {
                Listed::Readable(entry) => entry.spec.regions.iter().map(|region| region.name.clone()).collect(),
                Listed::Unreadable => Vec::new(),
            },
            name,
        };
        self.catalogue.all().into_iter().map(of).collect()
    }
}
