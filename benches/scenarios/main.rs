//! How fast the operator is, and what it takes for that: `make bench`.
//!
//! The operator is the released binary as a process of its own, against a real control plane and partners over real TLS. What
//! depends on the machine stands beside its limit, measured in the same run by a bare writer ([`bare`]). Each scenario prints
//! rows of a table and writes `target/bench/NAME.json`.
//!
//! `SCENARIOS=cold-2000,restart` picks some; `BENCH_SIZE` is how many integrations the large fleet has (10,000); `OPERATOR` is the
//! binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod bare;
mod cold;
mod edit;
mod ground;
mod hanging;
mod idle;
mod large;
mod machine;
mod memory;
mod report;
mod rotation;
mod settings;
mod start;

use std::process::ExitCode;

use report::Report;
use settings::Settings;
use support::Result;

// One thread, as the operator has: the bare writer is to be as cheap for the machine.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Without it this is `cargo test`, which has nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Report> {
    let settings = Settings::read()?;
    let mut report = Report::begin(&settings)?;
    let mut peaks = Vec::new();
    start::run(&settings, &mut report).await?;
    peaks.extend(cold::few(&settings).await?);
    peaks.extend(cold::small(&settings, &mut report).await?);
    peaks.extend(large::run(&settings, &mut report).await?);
    hanging::run(&settings, &mut report).await?;
    memory::report(&peaks, &settings, &mut report)?;
    Ok(report)
}
