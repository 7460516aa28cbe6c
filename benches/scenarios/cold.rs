//! Cold start: everything is there but the operator, and nothing has been looked at.

use serde_json::{Value, json};

use super::bare::{self, Bare};
use super::ground::{Busy, Ground, LIMIT};
use super::report::{Goal, Report, Row, mean};
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

/// How often the small one is tried: it takes so short a time that the machine's speed may change within it.
const TRIES: usize = 2;

/// The small one, each time on a control plane of its own and beside bare writes. Gives the most memory of all.
///
/// # Errors
/// Something does not work at all; a goal that is missed is a row.
pub async fn small(settings: &Settings, report: &mut Report) -> Result<Option<Peak>> {
    let name = "cold-2000";
    if !settings.wants(name) && !settings.wants("memory") {
        return Ok(None);
    }
    let mut tries = Vec::new();
    for _ in 0..TRIES {
        let ground = Ground::prepare(settings).await?;
        let (fleet, sim) = ground.fleet("small", settings.small, settings.namespaces).await?;
        let (operator, cold) = start(&ground, &fleet, &sim).await?;
        operator.terminate().await?;
        tries.push((cold, bare::write(&ground, &fleet).await?));
    }
    self::report(name, &tries, report)?;
    Ok(tries.iter().map(|(cold, _)| cold.peak()).max_by_key(|peak| peak.kib))
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

    fn raw(&self, bare: &Bare) -> Value {
        json!({
            "seconds": self.seconds, "allCheckedAfterSeconds": self.checked, "cpuSeconds": self.busy, "bare": bare,
            "counts": self.costs, "peakKiB": self.peak_kib, "heldKiB": self.held_kib,
        })
    }
}

/// The rows of cold starts of one size, each beside the bare writes of the same objects: times are means, counts are of each.
///
/// # Errors
/// The file cannot be written.
pub fn report(name: &str, tries: &[(Cold, Bare)], report: &mut Report) -> Result<()> {
    let size = tries.first().map_or(0, |(cold, _)| cold.size);
    let one_each = |cold: &Cold, count: u64| count == size as u64 && cold.costs.refused_status_writes == 0;
    let count = |what: &str, of: fn(&Costs) -> u64, goal: &str, met: &dyn Fn(&Cold, u64) -> bool| {
        let shown: Vec<String> = tries.iter().map(|(cold, _)| of(&cold.costs).to_string()).collect();
        let all_met = tries.iter().all(|(cold, _)| met(cold, of(&cold.costs)));
        Row::plain(what, size, shown.join(", "), goal, Goal::from(all_met))
    };
    let average = |of: &dyn Fn(&(Cold, Bare)) -> f64| mean(&tries.iter().map(of).collect::<Vec<_>>());
    let cpu = |what: &str, of: fn(&Busy) -> f64| {
        let seconds = average(&|(cold, _)| of(&cold.busy));
        Row::plain(what, size, format!("{seconds:.2} s"), "", Goal::None)
    };
    let rows = vec![
        Row::against_bare("cold start", size, average(&|(cold, _)| cold.seconds), average(&|(_, bare)| bare.seconds)),
        count("  status writes", |costs| costs.status_writes, "one each", &one_each),
        count("  checks", |costs| costs.checks, "one each", &one_each),
        count("  connections to the partner", |costs| costs.connections, "≤ 64", &|_, count| count <= 64),
        cpu("  CPU of the operator", |busy| busy.operator),
        cpu("  CPU of partner and bench", |busy| busy.partner_and_bench),
        cpu("  CPU of the API server", |busy| busy.apiserver),
    ];
    let raw: Vec<Value> = tries.iter().map(|(cold, bare)| cold.raw(bare)).collect();
    report.add(name, rows, &json!({ "tries": raw }))
}
