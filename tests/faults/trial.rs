//! One plan, run and judged.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::judge::{Cost, Evidence, cost, end};
use crate::plan::{Fault, Injection, Plan, Recorded, recorded};
use crate::stage::{Ground, PATIENCE, Stage};
use crate::support::proxy::RuleId;
use crate::support::{Result, wait_for};
use crate::workload::Workload;

/// After so long without a request it looks as if all were done.
const SETTLED: Duration = Duration::from_millis(300);
/// So long nothing may be written after that.
const QUIET: Duration = Duration::from_millis(600);
/// How long a fault that has not been met by then may take.
const MEETING: Duration = Duration::from_secs(3);

/// What a workload comes to without faults.
pub struct Plain {
    /// What there is in the end.
    pub end: Value,
    /// What it cost.
    pub cost: Cost,
    /// What was asked and shown.
    pub recorded: Recorded,
}

/// What came of a plan.
pub struct Verdict {
    /// What was wrong; empty where nothing was.
    pub violations: Vec<String>,
    /// How many of its faults were met.
    pub met: usize,
    /// How many requests were judged, to the API server and to the partner.
    pub judged: usize,
    /// How long it took.
    pub took: Duration,
}

/// Runs a workload without faults.
pub async fn record(ground: &Ground, workload: Workload) -> Result<Plain> {
    let stage = Stage::new(ground).await?;
    workload.begin(&stage).await?;
    let (requests, events) = stage.proxy.journal(|journal| (journal.exchanges().len(), journal.events().len()));
    stage.sim.forget_requests();
    workload.work(&stage).await?;
    stage.quiet_for(QUIET * 2).await?;
    let end = end(&stage).await?;
    let checks = stage.sim.requests();
    let (cost, recorded) =
        stage.proxy.journal(|journal| (cost(journal, requests, &checks), recorded(journal, requests, events)));
    stage.clear(false).await?;
    Ok(Plain { end, cost, recorded })
}

/// Runs a plan and judges it. An error of its own making, such as a step that is never done, is a violation too.
pub async fn run(ground: &Ground, plan: &Plan, faultless: &Plain) -> Verdict {
    let began = Instant::now();
    match attempt(ground, plan, faultless).await {
        Ok(verdict) => Verdict { took: began.elapsed(), ..verdict },
        Err(error) => Verdict { violations: vec![error.to_string()], met: 0, judged: 0, took: began.elapsed() },
    }
}

async fn attempt(ground: &Ground, plan: &Plan, faultless: &Plain) -> Result<Verdict> {
    let stage = Stage::new(ground).await?;
    let mut crashes = stage.proxy.crashes();
    plan.workload.begin(&stage).await?;
    let before = stage.sim.requests();
    stage.sim.forget_requests();
    let from = stage.proxy.journal(|journal| journal.exchanges().len());
    let rules: Vec<_> = plan.injections.iter().map(|injection| injection.arm(&stage.proxy)).collect();
    let course = async {
        plan.workload.work(&stage).await?;
        settle(&stage, plan, faultless, &rules).await
    };
    let course = tokio::select! {
        course = course => course,
        ended = stage.undertake(&mut crashes) => ended,
    };
    let mut violations: Vec<String> = course.err().map(|error| error.to_string()).into_iter().collect();
    stage.kill().await?;
    let met = rules.iter().filter(|rule| stage.proxy.used(**rule) > 0).count();
    let checks = stage.sim.requests();
    let requests = [before, checks.clone()].concat();
    let fresh = plan.injections.iter().all(|injection| injection.fault != Fault::Rewind);
    let is_late = |it: &Injection| it.fault == Fault::CrashLate && it.class.contains("secrets");
    let late = plan.injections.iter().any(is_late);
    let judged = stage.proxy.journal(|journal| {
        let evidence = Evidence { journal, requests: &requests, history: &stage.history(), fresh, late };
        violations.extend(evidence.violations());
        violations.extend(cost(journal, from, &checks).beyond(&faultless.cost, plan.injections.len()));
        journal.exchanges().len() + requests.len()
    });
    violations.extend(stage.log().lines().filter(|line| line.contains("panicked")).map(str::to_owned));
    let keep_log = !violations.is_empty();
    if keep_log {
        eprintln!("the log of the operator in {plan}: {}.log", stage.namespace);
        show(&stage, from);
    }
    stage.clear(keep_log).await?;
    Ok(Verdict { violations, met, judged, took: Duration::ZERO })
}

/// Waits until all is as without faults and stays so.
async fn settle(stage: &Stage<'_>, plan: &Plan, faultless: &Plain, rules: &[RuleId]) -> Result<()> {
    as_plain(stage, faultless).await?;
    let met = || rules.iter().all(|rule| stage.proxy.used(*rule) > 0);
    if !met() {
        // A plan whose faults are not met is counted as such elsewhere.
        let _ = wait_for("the faults to be met", MEETING, async || met()).await;
        as_plain(stage, faultless).await?;
    }
    let lingers = plan.injections.iter().map(|it: &Injection| it.fault.lingers()).max().unwrap_or_default();
    tokio::time::sleep(lingers).await;
    // Whatever came of it is over now, or never will be.
    as_plain(stage, faultless).await?;
    let writes = || {
        stage.proxy.journal(|journal| {
            let counts =
                |it: &&crate::support::proxy::Exchange| it.asked.method != "GET" && !it.asked.path.contains("/leases");
            journal.exchanges().iter().filter(counts).count()
        })
    };
    let (before, checks) = (writes(), stage.sim.requests().len());
    tokio::time::sleep(QUIET).await;
    let (more, more_checks) = (writes() - before, stage.sim.requests().len() - checks);
    if more + more_checks > 0 {
        return Err(format!("it does not come to rest: {more} more writes, {more_checks} more checks").into());
    }
    Ok(())
}

async fn as_plain(stage: &Stage<'_>, faultless: &Plain) -> Result<()> {
    wait_for("what there is without faults", PATIENCE, async || {
        if stage.quiet() < SETTLED {
            return Err("it still works".to_owned());
        }
        let end = end(stage).await.map_err(|error| error.to_string())?;
        if end == faultless.end {
            return Ok(());
        }
        stage.collect().await.map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        Err(format!("\n{end}\ninstead of\n{}", faultless.end))
    })
    .await
}

/// What was asked since, for whoever has to find out.
fn show(stage: &Stage<'_>, from: usize) {
    stage.proxy.journal(|journal| {
        let Some(first) = journal.exchanges().get(from).map(|it| it.asked.at) else { return };
        let mut lines: Vec<_> = journal.exchanges()[from..]
            .iter()
            .filter(|it| !it.asked.path.contains("/leases"))
            .map(|it| {
                let reason = crate::objects::condition(&it.body["status"], "Connected");
                (it.asked.at, format!("{:?} {} {reason}", crate::plan::class(&it.asked), it.code))
            })
            .collect();
        let events = journal.events().iter().filter(|it| it.at >= first);
        lines.extend(events.map(|it| (it.at, format!("{} {}", crate::plan::class_of(it), it.kind))));
        lines.extend(stage.sim.requests().iter().map(|it| (it.at, format!("check {:?} {}", it.key, it.path))));
        lines.sort();
        for (at, line) in lines {
            eprintln!("  {:>6} ms {line}", (at - first).as_millis());
        }
    });
}
