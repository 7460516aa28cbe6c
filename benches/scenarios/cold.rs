//! Cold start: everything is there but the operator, and nothing has been looked at.

use serde_json::json;

use super::bare;
use super::ground::{Busy, Ground, LIMIT};
use super::report::{Goal, Report, Row};
use super::settings::Settings;
use crate::support::fleet::{Costs, Fleet, Meter, quiet};
use crate::support::operator::Operator;
use crate::support::partner::SimPartner;
use crate::support::{Result, usage};

/// From exec to the last status; over the bare writes.
pub const RATIO: f64 = 1.25;

/// What a cold start took.
pub struct Cold {
    size: usize,
    seconds: f64,
    checked: f64,
    busy: Busy,
    costs: Costs,
    /// Memory, KiB.
    pub peak_kib: u64,
    held_kib: u64,
}

/// The small one, on a control plane of its own.
///
/// # Errors
/// Something does not work at all; a goal that is missed is a row.
pub async fn small(settings: &Settings, report: &mut Report) -> Result<()> {
    let name = "cold-2000";
    if !settings.wants(name) {
        return Ok(());
    }
    let ground = Ground::prepare(settings).await?;
    let (fleet, sim) = ground.fleet("small", settings.small, settings.namespaces).await?;
    let (operator, cold) = start(&ground, &fleet, &sim).await?;
    operator.terminate().await?;
    let bare = bare::write(&ground, &fleet).await?;
    cold.report(name, bare, report)
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
    let peak_kib = usage::peak_kib(operator.pid())?;
    // The counts of the Partner follow, and Events.
    quiet(&ground.plane, LIMIT).await?;
    let costs = meter.end(&ground.plane, sim, reached.looks).await?;
    fleet.verify(&ground.client).await?;
    let held_kib = usage::held_kib(operator.pid())?;
    let [seconds, checked] = [reached.enabled, reached.checked].map(|at| (at - operator.started()).as_secs_f64());
    Ok((operator, Cold { size, seconds, checked, busy, costs, peak_kib, held_kib }))
}

impl Cold {
    /// Its rows, beside the bare writes of the same objects.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn report(&self, name: &str, bare: [f64; 2], report: &mut Report) -> Result<()> {
        let Self { size, seconds, checked, busy, costs, peak_kib, held_kib } = self;
        let limit = f64::midpoint(bare[0], bare[1]);
        let ratio = seconds / limit;
        let per_integration = |count: u64| count == *size as u64;
        let time = Row {
            name: "cold start".to_owned(),
            size: *size,
            figure: format!("{seconds:.2} s"),
            beside: format!("{limit:.2} s bare writes"),
            ratio: format!("{ratio:.2}"),
            goal: format!("≤ {RATIO}"),
            met: Goal::from(ratio <= RATIO),
        };
        let rows = vec![
            time,
            Row::plain(
                "  status writes",
                *size,
                costs.status_writes.to_string(),
                "one each",
                Goal::from(per_integration(costs.status_writes) && costs.refused_status_writes == 0),
            ),
            Row::plain(
                "  checks",
                *size,
                costs.checks.to_string(),
                "one each",
                Goal::from(per_integration(costs.checks)),
            ),
            Row::plain(
                "  connections to the partner",
                *size,
                costs.connections.to_string(),
                "≤ 64",
                Goal::from(costs.connections <= 64),
            ),
            Row::plain("  CPU of the operator", *size, format!("{:.2} s", busy.operator), "", Goal::None),
            Row::plain("  CPU of partner and bench", *size, format!("{:.2} s", busy.partner_and_bench), "", Goal::None),
            Row::plain("  CPU of the API server", *size, format!("{:.2} s", busy.apiserver), "", Goal::None),
        ];
        let raw = json!({
            "seconds": seconds, "allCheckedAfterSeconds": checked, "bareSeconds": bare, "cpuSeconds": busy, "counts": costs,
            "peakKiB": peak_kib, "heldKiB": held_kib,
        });
        report.add(name, rows, &raw)
    }
}
