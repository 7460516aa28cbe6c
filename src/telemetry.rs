//! Logs: of this crate alone.
//!
//! Libraries are not logged at any level. At `debug` and `trace` HTTP and TLS libraries print headers and bytes, and
//! the Kubernetes client prints an answer that it cannot decode, which may be a Secret. What they have to say that
//! matters comes as errors, which are logged here in our own words.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Has a panic say where it happened, and not what: its text may quote what was being looked at.
pub fn hide_panic_payloads() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "a panic: this is a bug; please report it");
    }));
}

/// Starts logging to standard error; without a `format`, pretty on a terminal and JSON elsewhere.
///
/// # Errors
/// Something else has started logging in this process.
pub fn init(format: Option<LogFormat>, level: Level) -> Result<(), TryInitError> {
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let registry = tracing_subscriber::registry().with(ours);
    match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Pretty => registry.with(fmt::layer().with_ansi(terminal).with_writer(std::io::stderr)).try_init(),
    }
}
