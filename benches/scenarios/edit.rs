//! An edit of a Partner that changes the check of every integration that names it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::json;

use super::bare::{self, Bare};
use super::ground::{Busy, Ground, LIMIT};
use super::report::{Goal, Report, Row, mean};
use super::settings::Settings;
use crate::support::fleet::{Costs, Fleet, Meter, quiet};
use crate::support::operator::Operator;
use crate::support::partner::SimPartner;
use crate::support::{Result, wait_for};

/// How often, each time beside bare writes: what a machine takes for the same work is not always the same.
const EDITS: usize = 2;

/// What one took.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Edit {
    seconds: f64,
    cpu_seconds: Busy,
    counts: Costs,
}

/// Adds a fleet half as large with a Partner of its own, waits until it is connected, edits that Partner, and then, without an
/// operator, writes the same statuses; all of it a second time. Ends the operator.
///
/// Each edit comes after a restart, which makes the first repeated check after a minute at the soonest: checks of the other fleet
/// would be in its time, and the bare writes have none beside them.
///
/// # Errors
/// It does not come to that, or some integrations are not proved anew.
pub async fn run(ground: &Ground, operator: Operator, settings: &Settings, report: &mut Report) -> Result<()> {
    let (fleet, sim) = ground.fleet("edited", settings.large / 2, settings.namespaces).await?;
    fleet.enabled(&ground.client, &sim, fleet.size() as u64, LIMIT).await?;
    let (mut edits, mut bare) = (Vec::new(), Vec::new());
    operator.terminate().await?;
    for number in 0..EDITS {
        let operator = ground.operator().await?;
        operator.ready(LIMIT).await?;
        quiet(&ground.plane, LIMIT).await?;
        edits.push(edit(ground, &operator, &fleet, &sim, number).await?);
        operator.terminate().await?;
        bare.push(bare::write(ground, &fleet).await?);
    }
    add_rows(&edits, &bare, fleet.size(), report)
}

/// Edits the Partner, for the nth time, and waits until each integration is proved anew.
async fn edit(ground: &Ground, operator: &Operator, fleet: &Fleet, sim: &SimPartner, number: usize) -> Result<Edit> {
    let size = fleet.size() as u64;
    let before = digests(ground, fleet).await?;
    let meter = Meter::begin(&ground.plane, sim).await?;
    let (begin, at) = (ground.clock(operator.pid())?, Instant::now());
    let header = json!({"name": "X-Edited", "value": number.to_string()});
    fleet.edit_check(&ground.client, json!({"headers": [header]})).await?;
    let wanted = meter.checks_before() + size;
    wait_for("the checks", LIMIT, async || sim.counters().requests >= wanted).await?;
    // The statuses say Enabled all the time; that they were written only the API server's counters tell.
    wait_for("the status writes", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let written = meter.end(&ground.plane, sim, 0).await.map_err(|error| error.to_string())?.status_writes;
        if written >= size { Ok(()) } else { Err(format!("{written} of {size}")) }
    })
    .await?;
    let (seconds, cpu_seconds) = (at.elapsed().as_secs_f64(), begin.until(&ground.clock(operator.pid())?));
    quiet(&ground.plane, LIMIT).await?;
    let counts = meter.end(&ground.plane, sim, 0).await?;
    fleet.verify(&ground.client).await?;
    let after = digests(ground, fleet).await?;
    if let Some((name, _)) = after.iter().find(|(name, digest)| before.get(*name) == Some(*digest)) {
        return Err(format!("{name} was not proved anew").into());
    }
    Ok(Edit { seconds, cpu_seconds, counts })
}

/// What each integration was proved with.
async fn digests(ground: &Ground, fleet: &Fleet) -> Result<BTreeMap<String, String>> {
    let all = fleet.list(&ground.client).await?.into_iter();
    let proved = all.filter_map(|it| Some((it.name_any(), it.status?.verified?.digest)));
    Ok(proved.collect())
}

fn add_rows(edits: &[Edit], bare: &[Bare], size: usize, report: &mut Report) -> Result<()> {
    let count = |what: &str, of: fn(&Costs) -> u64, goal: &str, met: fn(u64, u64) -> bool| {
        let counts: Vec<u64> = edits.iter().map(|edit| of(&edit.counts)).collect();
        let all_met = counts.iter().all(|count| met(*count, size as u64));
        let shown: Vec<String> = counts.iter().map(ToString::to_string).collect();
        Row::plain(what, size, shown.join(", "), goal, Goal::from(all_met))
    };
    let seconds: Vec<f64> = edits.iter().map(|edit| edit.seconds).collect();
    let limit: Vec<f64> = bare.iter().map(|bare| bare.seconds).collect();
    let rows = vec![
        Row::against_bare("partner edit", size, mean(&seconds), mean(&limit)),
        count("  status writes", |costs| costs.status_writes, "one each", |count, size| count == size),
        count("  checks", |costs| costs.checks, "one each", |count, size| count == size),
        count("  most checks in flight", |costs| costs.most_in_flight, "≤ 64", |count, _| count <= 64),
    ];
    report.add("edit", rows, &json!({"edits": edits, "bare": bare}))
}
