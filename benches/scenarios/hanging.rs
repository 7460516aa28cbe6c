//! A partner that hangs, and what the integrations of another one notice of it.

use serde_json::json;

use super::ground::{Busy, Ground, LIMIT};
use super::report::{Goal, Report, Row, mean};
use super::settings::Settings;
use crate::support::Result;
use crate::support::fleet::quiet;
use crate::support::partner::Behaviour;

/// How often each of both is tried, in turn, so that a machine that slows down meets both.
const TRIES: usize = 3;

/// Cold starts of half of the small fleet: alone, and with as many integrations again whose partner reads each request and never
/// answers.
///
/// # Errors
/// It does not come to that.
pub async fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    if !settings.wants("hanging") {
        return Ok(());
    }
    let size = settings.small.div_ceil(2);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        alone.push(connect(settings, size, false).await?);
        beside.push(connect(settings, size, true).await?);
    }
    let [mean_alone, mean_beside] =
        [&alone, &beside].map(|tries| mean(&tries.iter().map(|busy| busy.clock).collect::<Vec<_>>()));
    let ratio = mean_beside / mean_alone;
    let row = Row::plain(
        "one partner hangs, the others connect in",
        size,
        format!("{mean_beside:.2} s"),
        "≤ 1.1",
        Goal::from(ratio <= 1.1),
    );
    let rows = vec![Row { beside: format!("{mean_alone:.2} s without it"), ratio: format!("{ratio:.2}"), ..row }];
    report.add("hanging", rows, &json!({"cpuSeconds": beside, "cpuSecondsWithout": alone}))
}

/// What it takes from exec until every integration of the good partner is Enabled, on a control plane of its own.
async fn connect(settings: &Settings, size: usize, hanging: bool) -> Result<Busy> {
    let ground = Ground::prepare(settings).await?;
    let (fleet, sim) = ground.fleet("good", size, settings.namespaces).await?;
    // Held until the end: the partner ends with it.
    let mut other = None;
    if hanging {
        let (_, hangs) = ground.fleet("hangs", size, settings.namespaces).await?;
        hangs.set_behaviour(Behaviour::HangForever).await?;
        other = Some(hangs);
    }
    quiet(&ground.plane, LIMIT).await?;
    let begin = ground.clock(std::process::id())?;
    let operator = ground.operator().await?;
    let reached = fleet.enabled(&ground.client, &sim, size as u64, LIMIT).await?;
    let busy = begin.of_a_new_operator(&ground.clock(operator.pid())?);
    let clock = (reached.enabled - operator.started()).as_secs_f64();
    operator.terminate().await?;
    drop(other);
    Ok(Busy { clock, ..busy })
}
