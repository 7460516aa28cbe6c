//! The size of the binary, and how fast it is ready.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;

use super::ground::{Ground, LIMIT};
use super::report::{Goal, Report, Row};
use super::settings::Settings;
use crate::support::Result;

/// How often it is started: an odd number has a median.
const STARTS: usize = 11;
/// How often it is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(2);
/// What the goal counts in.
const MB: f64 = 1e6;

/// Measures both on an empty cluster.
///
/// # Errors
/// It does not start.
pub async fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    if !settings.wants("start") {
        return Ok(());
    }
    let ground = Ground::prepare(settings).await?;
    let mut all = Vec::new();
    for _ in 0..STARTS {
        all.push(ready(&ground).await?.as_secs_f64() * 1000.0);
    }
    let mut sorted = all.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[STARTS / 2];
    let bytes = std::fs::metadata(&settings.operator)?.len();
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    let size = bytes as f64 / MB;
    let rows = vec![
        Row::plain("size of the binary", 0, format!("{size:.2} MB"), "≤ 16 MB", Goal::from(size <= 16.0)),
        Row::plain("from exec to ready", 0, format!("{median:.0} ms"), "≤ 300 ms", Goal::from(median <= 300.0)),
    ];
    report.add("start", rows, &json!({"bytes": bytes, "readyMillis": all}))
}

/// From the moment before its start to the first 200 of /readyz. Writing down and starting the command is a few milliseconds of it.
async fn ready(ground: &Ground) -> Result<Duration> {
    const NAME: &str = "operator-start";
    // Free now, and nobody else looks for one.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let command = ground.command(&["--admin-address", &address.to_string()]);
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let began = Instant::now();
    ground.plane.run(NAME, &command).await?;
    let took = loop {
        let answer = http.get(format!("http://{address}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            break began.elapsed();
        }
        if began.elapsed() > LIMIT {
            return Err(format!("it is never ready: {}", ground.plane.log(NAME)).into());
        }
        tokio::time::sleep(LOOK).await;
    };
    ground.plane.stop(NAME).await?;
    Ok(took)
}
