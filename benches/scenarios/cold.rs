//! Cold start: everything is there but the operator, and nothing has been looked at.

use serde_json::json;

use super::bare::{self, Bare};
use super::ground::{Busy, Ground, LIMIT};
use super::report::{Goal, Report, Row};
use super::settings::Settings;
use crate::support::fleet::{Costs, Fleet, Meter, quiet};
use crate::support::operator::Operator;
use crate::support::partner::SimPartner;
use crate::support::{Result, usage};

/// What a cold start took.
pub struct Cold {
    size: usize,
    seconds: f64,
    checked: f64,
    busy: Busy,
    costs: Costs,
    peak_kib: u64,
    held_kib: u64,
}

/// The small one, on a control plane of its own.
///
/// # Errors
/// Something does not work at all; a goal that is missed is a row.
pub async fn small(settings: &Settings, report: &mut Report) -> Result<Option<Peak>> {
    let name = "cold-2000";
    if !settings.wants(name) && !settings.wants("memory") {
        return Ok(None);
    }
    let ground = Ground::prepare(settings).await?;
    let (fleet, sim) = ground.fleet("small", settings.small, settings.namespaces).await?;
    let (operator, cold) = start(&ground, &fleet, &sim).await?;
    operator.terminate().await?;
    let bare = bare::write(&ground, &fleet, 2).await?;
    cold.report(name, &bare, report)?;
    Ok(Some(cold.peak()))
}

/// The memory of a cold start with one integration, and with a quarter of the small fleet: enough that all that is in flight at
/// most is in flight, and that a list has a full page.
///
/// # Errors
/// As [`start`].
pub async fn few(settings: &Settings) -> Result<Vec<Peak>> {
    let mut peaks = Vec::new();
    if settings.wants("memory") {
        for size in [1, settings.small.div_ceil(4)] {
            let ground = Ground::prepare(settings).await?;
            let (fleet, sim) = ground.fleet("few", size, settings.namespaces.min(size)).await?;
            let (operator, cold) = start(&ground, &fleet, &sim).await?;
            operator.terminate().await?;
            peaks.push(cold.peak());
        }
    }
    Ok(peaks)
}

/// Starts the operator, waits until every integration is Enabled and what follows has been written, and judges every status. Gives
/// the operator, which still runs.
///
/// # Errors
/// It does not come to that.
pub async fn start(ground: &Ground, fleet: &Fleet, sim: &SimPartner) -> Result<(Operator, Cold)> {
    quiet(&ground.plane, LIMIT).await?;
    let size = fleet.size();
    let meter = Meter::begin(&ground.plane, sim).await?;
    let own = std::process::id();
    let begin = ground.clock(own)?;
    let operator = ground.operator().await?;
    let wanted = meter.checks_before() + size as u64;
    let reached = fleet.enabled(&ground.client, sim, wanted, LIMIT).await?;
    let busy = begin.of_a_new_operator(&ground.clock(operator.pid())?);
    // The counts of the Partner follow, and Events.
    quiet(&ground.plane, LIMIT).await?;
    let costs = meter.end(&ground.plane, sim, reached.looks).await?;
    fleet.verify(&ground.client).await?;
    let peak_kib = usage::peak_kib(operator.pid())?;
    let held_kib = usage::held_kib(operator.pid())?;
    let [seconds, checked] = [reached.enabled, reached.checked].map(|at| (at - operator.started()).as_secs_f64());
    Ok((operator, Cold { size, seconds, checked, busy, costs, peak_kib, held_kib }))
}

/// The most memory at a size.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// How many integrations there were.
    pub size: usize,
    /// The most that the operator ever held.
    pub kib: u64,
}

impl Cold {
    /// Its memory.
    pub fn peak(&self) -> Peak {
        Peak { size: self.size, kib: self.peak_kib }
    }

    /// Its rows, beside the bare writes of the same objects.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn report(&self, name: &str, bare: &Bare, report: &mut Report) -> Result<()> {
        let Self { size, seconds, checked, busy, costs, peak_kib, held_kib } = self;
        let one_each = |count: u64| Goal::from(count == *size as u64 && costs.refused_status_writes == 0);
        let count = |what: &str, count: u64, goal: &str, met| Row::plain(what, *size, count.to_string(), goal, met);
        let cpu = |what: &str, seconds: f64| Row::plain(what, *size, format!("{seconds:.2} s"), "", Goal::None);
        let few = Goal::from(costs.connections <= 64);
        let rows = vec![
            Row::against_bare("cold start", *size, *seconds, bare.mean()),
            count("  status writes", costs.status_writes, "one each", one_each(costs.status_writes)),
            count("  checks", costs.checks, "one each", one_each(costs.checks)),
            count("  connections to the partner", costs.connections, "≤ 64", few),
            cpu("  CPU of the operator", busy.operator),
            cpu("  CPU of partner and bench", busy.partner_and_bench),
            cpu("  CPU of the API server", busy.apiserver),
        ];
        let raw = json!({
            "seconds": seconds, "allCheckedAfterSeconds": checked, "cpuSeconds": busy, "bare": bare, "counts": costs,
            "peakKiB": peak_kib, "heldKiB": held_kib,
        });
        report.add(name, rows, &raw)
    }
}
