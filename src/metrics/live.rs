//! What is read off at each scrape: the integrations, the checks in flight, leadership.

use std::fmt;
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::api::Phase;

/// Where the live series are read.
pub trait Live: Send + Sync {
    /// Whether this process leads at this moment.
    fn is_leading(&self) -> bool;
    /// Every integration, in any order.
    fn integrations(&self) -> Vec<IntegrationSeries>;
    /// Every partner of the catalogue, in any order.
    fn partners(&self) -> Vec<PartnerSeries>;
}

/// What the series of one integration say.
#[derive(Clone, Debug)]
pub struct IntegrationSeries {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The partner that it names.
    pub partner: String,
    /// The region that it names; empty where it names none.
    pub region: String,
    /// As its status says.
    pub phase: Phase,
    /// When a check of it ended last, seconds since 1970; only of checks that this process made.
    pub last_check: Option<f64>,
}

/// What the series of one partner say.
#[derive(Clone, Debug)]
pub struct PartnerSeries {
    /// Its name.
    pub name: String,
    /// Its regions.
    pub regions: Vec<String>,
    /// Checks that hold a place now.
    pub in_flight: u64,
}

/// The collector of all that is live. Without a controller it gives the leader gauge alone.
pub struct Collected {
    pub live: Weak<dyn Live>,
    pub of_integrations: bool,
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collected")
    }
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(live) = self.live.upgrade() else { return leader(&mut encoder, false) };
        let leading = live.is_leading();
        leader(&mut encoder, leading)?;
        in_flight(&mut encoder, live.partners())?;
        if leading && self.of_integrations {
            integrations(&mut encoder, live.integrations())?;
        }
        Ok(())
    }
}

fn leader(encoder: &mut DescriptorEncoder, leading: bool) -> fmt::Result {
    let help = "Whether this instance leads.";
    encoder
        .encode_descriptor("partner_integration_leader", help, None, MetricType::Gauge)?
        .encode_gauge(&i64::from(leading))
}

fn in_flight(encoder: &mut DescriptorEncoder, mut partners: Vec<PartnerSeries>) -> fmt::Result {
    partners.sort_by(|a, b| a.name.cmp(&b.name));
    let series = partners.iter().map(|partner| ([("partner", partner.name.as_str())], partner.in_flight));
    gauge(encoder, "checks_in_flight", "Checks of a partner that hold a place now.", None, series)
}

fn integrations(encoder: &mut DescriptorEncoder, mut all: Vec<IntegrationSeries>) -> fmt::Result {
    all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut info = encoder.encode_descriptor("partner_integration", "An integration.", None, MetricType::Info)?;
    for of in &all {
        let [namespace, name] = named(of);
        info.encode_info(&[namespace, name, ("partner", &of.partner), ("region", &of.region)])?;
    }
    let phases = [Phase::Available, Phase::Enabled, Phase::Failed];
    let series = all.iter().flat_map(|of| phases.map(|phase| (of, phase))).map(|(of, phase)| {
        let [namespace, name] = named(of);
        ([namespace, name, ("phase", phase_name(phase))], u64::from(of.phase == phase))
    });
    gauge(encoder, "status_phase", "1 for the phase that an integration is in, else 0.", None, series)?;
    let series = all.iter().map(|of| {
        let [namespace, name] = named(of);
        ([namespace, name, ("partner", of.partner.as_str())], u64::from(of.phase == Phase::Enabled))
    });
    gauge(encoder, "connected", "Whether an integration is connected.", None, series)?;
    let series = all.iter().filter_map(|of| Some((named(of), of.last_check?)));
    let help = "When a check of an integration ended last, of those that this process made.";
    gauge(encoder, "last_check_timestamp", help, Some(&Unit::Seconds), series)
}

fn named(of: &IntegrationSeries) -> [(&'static str, &str); 2] {
    [("namespace", &of.namespace), ("name", &of.name)]
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Available => "Available",
        Phase::Enabled => "Enabled",
        Phase::Failed => "Failed",
    }
}

fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    series: impl Iterator<Item = (L, V)>,
) -> fmt::Result {
    let name = format!("partner_integration_{name}");
    let mut family = encoder.encode_descriptor(&name, help, unit, MetricType::Gauge)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
