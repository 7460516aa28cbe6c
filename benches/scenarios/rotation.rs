//! Rotation under load: many idle integrations, and a few new keys each second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::{Value, json};

use super::ground::{Ground, LIMIT};
use super::report::{Goal, Report, Row};
use super::settings::Settings;
use crate::support::fleet::{Fleet, Meter, REGION, quiet};
use crate::support::partner::SimPartner;
use crate::support::{Result, wait_for};

/// 20 a second.
const EVERY: Duration = Duration::from_millis(50);

/// One write of a Secret.
struct Written {
    key: String,
    sent: Instant,
    answered: Instant,
}

/// Rotates, and reports how long it is from the write of a Secret until the partner sees the new key.
///
/// # Errors
/// A write is refused, or a key never comes.
pub async fn run(
    ground: &Ground,
    fleet: &Fleet,
    sim: &SimPartner,
    settings: &Settings,
    report: &mut Report,
) -> Result<()> {
    let total = usize::try_from(settings.rotation.as_millis() / EVERY.as_millis())?;
    quiet(&ground.plane, LIMIT).await?;
    sim.forget_requests();
    let meter = Meter::begin(&ground.plane, sim).await?;
    let mut ticks = tokio::time::interval(EVERY);
    let mut writes = Vec::new();
    let step = (fleet.size() / total).max(1);
    for number in 0..total {
        let place = number * step % fleet.size();
        // Where there are more rotations than integrations, each gets a new key whenever its turn comes.
        let rotations = number * step / fleet.size() + 1;
        sim.accept(REGION, &fleet.key(place, rotations));
        ticks.tick().await;
        // Sent at once, also while earlier ones wait for their answer.
        let (fleet, client) = (fleet.clone(), ground.client.clone());
        writes.push(tokio::spawn(async move {
            let sent = Instant::now();
            fleet.rotate(&client, place, rotations).await?;
            Result::Ok(Written { key: fleet.key(place, rotations), sent, answered: Instant::now() })
        }));
    }
    let writes = try_join_all(writes).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let seen = seen(sim, &writes).await?;
    quiet(&ground.plane, LIMIT).await?;
    let costs = meter.end(&ground.plane, sim, 0).await?;
    let from = |since: fn(&Written) -> Instant| {
        Latencies::of(writes.iter().map(|write| millis(since(write), seen[&write.key])).collect())
    };
    let (sent, answered) = (from(|write| write.sent), from(|write| write.answered));
    let bare = Latencies::of(writes.iter().map(|write| millis(write.sent, write.answered)).collect());
    let size = fleet.size();
    let row = |name: &str, at: fn(&Latencies) -> f64, most: f64| {
        let (figure, goal) = (at(&sent), format!("≤ {most} ms"));
        let row = Row::plain(name, size, format!("{figure:.1} ms"), &goal, Goal::from(figure <= most));
        Row { beside: format!("{:.1} ms Secret write", at(&bare)), ..row }
    };
    let rows = vec![
        row("rotation, 20/s, p50", |latencies| latencies.p50, 20.0),
        row("rotation, 20/s, p99", |latencies| latencies.p99, 100.0),
        Row::plain(
            "  status writes",
            size,
            costs.status_writes.to_string(),
            "one each",
            Goal::from(costs.status_writes == total as u64),
        ),
    ];
    let raw = json!({
        "rotations": total, "millisFromSent": sent.raw(), "millisFromAnswer": answered.raw(), "millisSecretWrite": bare.raw(),
        "counts": costs,
    });
    report.add("rotation", rows, &raw)
}

/// When the partner first saw each of these keys.
async fn seen(sim: &SimPartner, writes: &[Written]) -> Result<HashMap<String, Instant>> {
    wait_for("every new key", LIMIT, async || {
        let mut seen = HashMap::new();
        for request in sim.requests() {
            if let Some(key) = request.key {
                seen.entry(key).or_insert(request.at);
            }
        }
        let missing = writes.iter().filter(|write| !seen.contains_key(&write.key)).count();
        if missing == 0 { Ok(seen) } else { Err(format!("{missing} are missing")) }
    })
    .await
}

/// Milliseconds from one moment to another, which may be earlier: a watch can be faster than the answer to a write.
fn millis(from: Instant, to: Instant) -> f64 {
    let later = to.saturating_duration_since(from).as_secs_f64();
    (later - from.saturating_duration_since(to).as_secs_f64()) * 1000.0
}

/// Times in milliseconds, and what is told of them.
struct Latencies {
    sorted: Vec<f64>,
    p50: f64,
    p99: f64,
}

impl Latencies {
    fn of(mut sorted: Vec<f64>) -> Self {
        sorted.sort_by(f64::total_cmp);
        // The smallest that so many in a hundred do not exceed.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let [p50, p99] = [50, 99].map(|percent| at(percent).unwrap_or(f64::NAN));
        Self { sorted, p50, p99 }
    }

    fn raw(&self) -> Value {
        json!({"p50": self.p50, "p99": self.p99, "most": self.sorted.last(), "all": self.sorted})
    }
}
