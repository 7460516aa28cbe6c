//! All plans, side by side.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};

use crate::plan::{Plan, common, pairs, singles};
use crate::stage::Ground;
use crate::support::controlplane::{ControlPlane, Options, install_crds};
use crate::support::operator::{access, allow_bindings};
use crate::support::{Result, proof};
use crate::trial::{Plain, Verdict, record, run};
use crate::workload::Workload;

/// So many run at the same time: most of the time of each is spent waiting.
const SIDE_BY_SIDE: usize = 14;
/// Plans with two faults.
const PAIRS: usize = 340;
/// Of the plans with one fault so many are run, unless `FAULT_PLANS` says otherwise: all of them, about 2,000, take longer than
/// a change should wait.
const SINGLES: usize = 1050;
/// What they are drawn with.
const SEED: u64 = 5;

/// A number from the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

async fn ground() -> Result<Ground> {
    let plane = ControlPlane::start(Options::default()).await?;
    let client = plane.client()?;
    install_crds(&client).await?;
    let token = access(&plane).await?;
    allow_bindings(&plane).await?;
    Ok(Ground { plane, client, token })
}

/// Each workload twice without faults: what both have in common is what plans are made from.
async fn plain(ground: &Ground, workloads: &[Workload]) -> Result<BTreeMap<Workload, Plain>> {
    let side_by_side = number("FAULT_SIDE_BY_SIDE", SIDE_BY_SIDE).min(6);
    let runs = workloads.iter().chain(workloads).map(async |workload| (*workload, record(ground, *workload).await));
    let runs: Vec<_> = stream::iter(runs).buffered(side_by_side).collect().await;
    let mut plain: BTreeMap<Workload, Plain> = BTreeMap::new();
    for (workload, run) in runs {
        let run = run.map_err(|error| format!("{workload:?} without faults: {error}"))?;
        match plain.get_mut(&workload) {
            None => drop(plain.insert(workload, run)),
            Some(first) if first.end != run.end => {
                return Err(format!("{workload:?} ends differently: {}\nand {}", first.end, run.end).into());
            }
            Some(first) => first.recorded = common(&first.recorded, &run.recorded),
        }
    }
    Ok(plain)
}

#[derive(Default)]
struct Totals {
    run: u64,
    missed: u64,
    /// Of those with one fault, the ones whose fault is not on a live read.
    unmet: u64,
    faults: u64,
    judged: u64,
    violations: u64,
    waited: Duration,
}

impl Totals {
    fn add(&mut self, plan: &Plan, verdict: &Verdict) {
        if verdict.violations.is_empty() && verdict.met < plan.injections.len() {
            self.missed += 1;
            if let [only] = &*plan.injections {
                println!("not met: {plan}");
                self.unmet += u64::from(!only.class.starts_with("get "));
            }
            return;
        }
        self.run += 1;
        self.faults += verdict.met as u64;
        self.judged += verdict.judged as u64;
        self.violations += u64::from(!verdict.violations.is_empty());
        self.waited += verdict.took;
        if !verdict.violations.is_empty() {
            println!("FAILED: {plan}");
            verdict.violations.iter().for_each(|violation| println!("  {violation}"));
            println!("  again: FAULT_PLAN='{plan}' cargo test --locked --test faults");
        }
    }
}

async fn all(ground: &Ground, plans: &[Plan], plain: &BTreeMap<Workload, Plain>) -> Totals {
    let side_by_side = number("FAULT_SIDE_BY_SIDE", SIDE_BY_SIDE);
    let began = Instant::now();
    let runs = plans.iter().map(async |plan| (plan, run(ground, plan, &plain[&plan.workload]).await));
    let mut runs = std::pin::pin!(stream::iter(runs).buffer_unordered(side_by_side));
    let mut totals = Totals::default();
    while let Some((plan, verdict)) = runs.next().await {
        totals.add(plan, &verdict);
        let done = totals.run + totals.missed;
        if done.is_multiple_of(50) {
            println!("{done} of {} plans after {:.0?}", plans.len(), began.elapsed());
        }
    }
    totals
}

/// So many of the plans, in equal steps, or all.
fn thinned(plans: &[Plan], most: usize) -> Vec<Plan> {
    let count = most.min(plans.len());
    (0..count).map(|nth| plans[nth * plans.len() / count].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_once_or_twice_all_ends_as_without_it_and_no_promise_is_broken() {
    let began = Instant::now();
    let ground = ground().await.unwrap();
    let single = std::env::var("FAULT_PLAN").ok().map(|name| Plan::named(&name).expect("no such plan"));
    let mut workloads = Workload::ALL.to_vec();
    workloads.retain(|workload| single.as_ref().is_none_or(|plan| plan.workload == *workload));
    let plain = plain(&ground, &workloads).await.unwrap();
    println!("{} workloads recorded after {:.0?}", workloads.len(), began.elapsed());
    if let Some(plan) = single {
        let totals = all(&ground, &[plan], &plain).await;
        assert_eq!((totals.violations, totals.missed), (0, 0));
        return;
    }
    let recorded = plain.iter().map(|(workload, plain)| (*workload, plain.recorded.clone())).collect();
    let mut every = singles(&recorded);
    let mut two = pairs(&every, PAIRS, SEED);
    if let Ok(words) = std::env::var("FAULT_LIKE") {
        every.retain(|plan| plan.to_string().contains(&words));
        two.retain(|plan| plan.to_string().contains(&words));
    }
    println!("{} plans with one fault, {} with two", every.len(), two.len());
    let whole = std::env::var("FAULT_PLANS").is_err() && std::env::var("FAULT_LIKE").is_err();
    let most = number("FAULT_PLANS", SINGLES);
    let one = thinned(&every, most);
    let two = thinned(&two, if whole { PAIRS } else { most.div_ceil(4) });
    let of_one = all(&ground, &one, &plain).await;
    println!("one fault: {} plans, {} not met, {:.1?} each", of_one.run, of_one.missed, mean(&of_one));
    let of_two = all(&ground, &two, &plain).await;
    println!("two faults: {} plans, {} not met, {:.1?} each", of_two.run, of_two.missed, mean(&of_two));
    let violations = of_one.violations + of_two.violations;
    let figures = [
        ("workloads", workloads.len() as u64),
        ("plans with one fault", of_one.run),
        ("plans with two faults", of_two.run),
        ("faults injected", of_one.faults + of_two.faults),
        ("requests judged", of_one.judged + of_two.judged),
        ("plans whose faults were not met", of_one.missed + of_two.missed),
    ];
    proof::record("faults", &figures, violations, began.elapsed()).unwrap();
    println!("{figures:?} after {:.0?}", began.elapsed());
    assert_eq!(violations, 0, "see above");
    // Such a plan is made from what was recorded, so it is met; but how often something is read live depends on what came first.
    assert_eq!(of_one.unmet, 0, "see above");
    let like = std::env::var("FAULT_LIKE").is_ok();
    assert!(
        like || of_one.missed * 100 <= of_one.run,
        "{} plans with one fault were not met: see above",
        of_one.missed
    );
    assert!(!whole || of_one.run >= 1000 && of_two.run >= 300, "fewer plans than there should be");
}

fn mean(totals: &Totals) -> Duration {
    totals.waited.checked_div(u32::try_from(totals.run).unwrap_or(1)).unwrap_or_default()
}
