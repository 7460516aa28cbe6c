//! What integrations cost that are proved: at a restart, and from then on.

use std::time::{Duration, Instant};

use serde_json::json;

use super::ground::{Ground, LIMIT};
use super::report::{Goal, Report, Row};
use super::settings::{LARGE, Settings};
use crate::support::fleet::{Fleet, Meter, quiet};
use crate::support::operator::Operator;
use crate::support::partner::SimPartner;
use crate::support::{Result, usage};

/// How often the processor time is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// So long it must have done nothing to be quiet,
const WINDOW: Duration = Duration::from_millis(500);
/// which is to have used no more than the smallest time that is counted.
const NOTHING: Duration = Duration::from_millis(10);
/// For how long the counts are watched, from exec on.
const WATCHED: Duration = Duration::from_secs(15);

/// Starts the operator where everything is proved; gives it, still running, and its peak memory in KiB.
///
/// # Errors
/// It does not start, or is never quiet.
pub async fn restart(ground: &Ground, fleet: &Fleet, sim: &SimPartner, report: &mut Report) -> Result<(Operator, u64)> {
    quiet(&ground.plane, LIMIT).await?;
    let meter = Meter::begin(&ground.plane, sim).await?;
    let operator = ground.operator().await?;
    let (ready, settled) = tokio::try_join!(is_ready(&operator), settles(&operator))?;
    // It may use no time while it waits to be ready.
    let quiet_after = ready.max(settled);
    let cpu = usage::cpu(operator.pid())?;
    tokio::time::sleep(WATCHED.saturating_sub(operator.started().elapsed())).await;
    let costs = meter.end(&ground.plane, sim, 0).await?;
    let all = usage::cpu(operator.pid())?;
    let peak = usage::peak_kib(operator.pid())?;
    let size = fleet.size();
    let writes = costs.status_writes + costs.refused_status_writes + costs.other_writes.values().sum::<u64>();
    let none = |what: &str, count: u64| Row::plain(what, size, count.to_string(), "0", Goal::from(count == 0));
    let seconds = |what: &str, took: Duration, most: f64| {
        let took = took.as_secs_f64();
        // Of more there is no goal but that it grows in proportion.
        let (goal, met) = if size > LARGE {
            (String::new(), Goal::None)
        } else {
            (format!("≤ {most} s"), Goal::from(took <= most))
        };
        Row::plain(what, size, format!("{took:.2} s"), &goal, met)
    };
    let rows = vec![
        seconds("restart, all proved: quiet after", quiet_after, 3.0),
        seconds("  CPU until then", cpu, 2.0),
        none("  checks", costs.checks),
        none("  writes", writes),
    ];
    let raw = json!({
        "readySeconds": ready.as_secs_f64(), "quietSeconds": quiet_after.as_secs_f64(), "cpuSeconds": cpu.as_secs_f64(),
        "watchedSeconds": WATCHED.as_secs_f64(), "cpuSecondsWatched": all.as_secs_f64(), "peakKiB": peak, "counts": costs,
    });
    report.add("restart", rows, &raw)?;
    Ok((operator, peak))
}

/// How long after its start it was ready.
async fn is_ready(operator: &Operator) -> Result<Duration> {
    operator.ready(LIMIT).await?;
    Ok(operator.started().elapsed())
}

/// How long after its start the first window began in which it used no processor time, after it was ready.
async fn settles(operator: &Operator) -> Result<Duration> {
    let windows = usize::try_from(WINDOW.as_millis() / LOOK.as_millis())?;
    let mut ready = false;
    let mut looks: Vec<(Duration, Duration)> = Vec::new();
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        ready = ready || operator.admin("/readyz").await.is_ok_and(|(code, _)| code == 200);
        if ready {
            looks.push((operator.started().elapsed(), usage::cpu(operator.pid())?));
        }
        let window = looks.len().checked_sub(windows + 1).and_then(|at| Some((looks[at], looks.last()?)));
        if let Some((first, last)) = window
            && last.1.saturating_sub(first.1) <= NOTHING
        {
            return Ok(first.0);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err("the operator is never quiet".into())
}

/// Looks on while nothing happens but the few checks that come due, which are counted.
///
/// # Errors
/// The operator has ended.
pub async fn steady(
    ground: &Ground,
    operator: &Operator,
    fleet: &Fleet,
    sim: &SimPartner,
    settings: &Settings,
    report: &mut Report,
) -> Result<()> {
    let meter = Meter::begin(&ground.plane, sim).await?;
    let begin = ground.clock(operator.pid())?;
    tokio::time::sleep(settings.steady).await;
    let busy = begin.until(&ground.clock(operator.pid())?);
    let costs = meter.end(&ground.plane, sim, 0).await?;
    let size = fleet.size();
    let writes = costs.status_writes + costs.refused_status_writes + costs.other_writes.values().sum::<u64>();
    let share = busy.operator / busy.clock * 100.0;
    let beside = format!("{} checks were due", costs.checks);
    let cpu = Row::plain("steady: CPU of a core", size, format!("{share:.2} %"), "≤ 2 %", Goal::from(share <= 2.0));
    let rows =
        vec![Row { beside, ..cpu }, Row::plain("  writes", size, writes.to_string(), "0", Goal::from(writes == 0))];
    let raw = json!({"cpuSeconds": busy, "counts": costs, "heldKiB": usage::held_kib(operator.pid())?});
    report.add("steady", rows, &raw)
}
