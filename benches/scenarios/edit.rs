//! An edit of a Partner that changes the check of every integration that names it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use serde_json::json;

use super::bare;
use super::ground::{Busy, Ground, LIMIT};
use super::report::{Goal, Report, Row};
use super::settings::Settings;
use crate::support::fleet::{Costs, Fleet, Meter, quiet};
use crate::support::operator::Operator;
use crate::support::{Result, wait_for};

/// What an edit took.
pub struct Edited {
    fleet: Fleet,
    seconds: f64,
    busy: Busy,
    costs: Costs,
}

/// Adds a fleet half as large with a Partner of its own, waits until it is connected and all is quiet, and edits that Partner.
///
/// # Errors
/// It does not come to that, or some integrations are not proved anew.
pub async fn run(ground: &Ground, operator: &Operator, settings: &Settings) -> Result<Edited> {
    let (fleet, sim) = ground.fleet("edited", settings.large / 2, settings.namespaces).await?;
    let size = fleet.size() as u64;
    fleet.enabled(&ground.client, &sim, size, LIMIT).await?;
    quiet(&ground.plane, LIMIT).await?;
    let before = digests(ground, &fleet).await?;
    let meter = Meter::begin(&ground.plane, &sim).await?;
    let (begin, at) = (ground.clock(operator.pid())?, Instant::now());
    fleet.edit_check(&ground.client, json!({"headers": [{"name": "X-Edited", "value": "true"}]})).await?;
    let wanted = meter.checks_before() + size;
    wait_for("the checks", LIMIT, async || sim.counters().requests >= wanted).await?;
    // The statuses say Enabled all the time; that they were written only the API server's counters tell.
    wait_for("the status writes", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let written = meter.end(&ground.plane, &sim, 0).await.map_err(|error| error.to_string())?.status_writes;
        if written >= size { Ok(()) } else { Err(format!("{written} of {size}")) }
    })
    .await?;
    let (seconds, busy) = (at.elapsed().as_secs_f64(), begin.until(&ground.clock(operator.pid())?));
    quiet(&ground.plane, LIMIT).await?;
    let costs = meter.end(&ground.plane, &sim, 0).await?;
    fleet.verify(&ground.client).await?;
    let after = digests(ground, &fleet).await?;
    if let Some((name, _)) = after.iter().find(|(name, digest)| before.get(*name) == Some(*digest)) {
        return Err(format!("{name} was not proved anew").into());
    }
    Ok(Edited { fleet, seconds, busy, costs })
}

/// What each integration was proved with.
async fn digests(ground: &Ground, fleet: &Fleet) -> Result<BTreeMap<String, String>> {
    let all = fleet.list(&ground.client).await?.into_iter();
    let proved = all.filter_map(|it| Some((it.name_any(), it.status?.verified?.digest)));
    Ok(proved.collect())
}

impl Edited {
    /// Its rows, beside bare writes of the same objects; the operator must have ended.
    ///
    /// # Errors
    /// A bare write is refused, or the file cannot be written.
    pub async fn report(&self, ground: &Ground, report: &mut Report) -> Result<()> {
        let Self { fleet, seconds, busy, costs } = self;
        let bare = bare::write(ground, fleet).await?;
        let size = fleet.size();
        let count = |what: &str, count: u64, goal: &str, met: bool| {
            Row::plain(what, size, count.to_string(), goal, Goal::from(met))
        };
        let one_each = |count: u64| count == size as u64;
        let rows = vec![
            Row::against_bare("partner edit", size, *seconds, bare.mean()),
            count("  status writes", costs.status_writes, "one each", one_each(costs.status_writes)),
            count("  checks", costs.checks, "one each", one_each(costs.checks)),
            count("  most checks in flight", costs.most_in_flight, "≤ 64", costs.most_in_flight <= 64),
        ];
        report.add("edit", rows, &json!({"seconds": seconds, "cpuSeconds": busy, "bare": bare, "counts": costs}))
    }
}
