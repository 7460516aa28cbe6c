//! How memory grows with the number of integrations.

use serde_json::json;

use super::cold::Peak;
use super::report::{Goal, Report, Row};
use super::settings::Settings;
use crate::support::Result;

/// At most so many MiB at so many integrations; in between and beyond there is only the growth.
const MOST: [(usize, f64); 2] = [(2000, 48.0), (10_000, 96.0)];
/// KiB for each further integration.
const GROWTH: f64 = 6.0;

/// The rows of what was measured, from small to large.
///
/// # Errors
/// The file cannot be written.
pub fn report(peaks: &[Peak], settings: &Settings, report: &mut Report) -> Result<()> {
    if !settings.wants("memory") {
        return Ok(());
    }
    let mut rows = Vec::new();
    for peak in peaks {
        let mib = count(peak.kib) / 1024.0;
        let most = MOST.iter().find(|(size, _)| *size == peak.size).map(|(_, most)| *most);
        let goal = most.map(|most| format!("≤ {most} MiB")).unwrap_or_default();
        let met = most.map_or(Goal::None, |most| Goal::from(mib <= most));
        rows.push(Row::plain("peak memory", peak.size, format!("{mib:.1} MiB"), &goal, met));
    }
    // What is in flight comes once, on the way from one to a few hundred; what is kept shows from there on. From one on both do.
    let along = peaks.windows(2).skip(1).map(|pair| (&pair[0], &pair[1]));
    let in_all = peaks.iter().skip(2).filter_map(|to| Some((peaks.first()?, to)));
    for (from, to) in along.chain(in_all) {
        let more = to.size.saturating_sub(from.size).max(1) as u64;
        let growth = (count(to.kib) - count(from.kib)) / count(more);
        let (goal, met) = (format!("≤ {GROWTH} KiB"), Goal::from(growth <= GROWTH));
        let row = Row::plain("  for each further integration", to.size, format!("{growth:.2} KiB"), &goal, met);
        rows.push(Row { beside: format!("from {} on", from.size), ..row });
    }
    let raw: Vec<_> = peaks.iter().map(|peak| json!({"size": peak.size, "peakKiB": peak.kib})).collect();
    report.add("memory", rows, &json!(raw))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}
