//! Logs and traces: of this crate alone.
//!
//! Libraries are not logged at any level, and their spans are not exported. At `debug` and `trace` HTTP and TLS
//! libraries print headers and bytes, and the Kubernetes client prints an answer that it cannot decode, which may be a
//! Secret. What they have to say that matters comes as errors, which are logged here in our own words.
//!
//! What is logged and what is exported have nothing in common: the log holds no spans, and a span holds no log lines.
//! The lines of a span name its trace.

#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod endpoint;
#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod named;
pub mod spans;
#[cfg(feature = "otlp")]
mod tally;

use std::io::IsTerminal;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

#[cfg(feature = "otlp")]
pub use endpoint::{Endpoint, EndpointFault};
#[cfg(feature = "otlp")]
pub use export::{ExportFault, Traces};
pub use spans::Cause;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Where spans go.
type Exported = Option<Box<dyn Layer<Registry> + Send + Sync>>;

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
    start(format, level, None)
}

/// The same, and exports spans as well.
///
/// # Errors
/// As of [`init`].
#[cfg(feature = "otlp")]
pub fn init_with(format: Option<LogFormat>, level: Level, traces: &Traces) -> Result<(), TryInitError> {
    start(format, level, Some(traces.layer()))
}

fn start(format: Option<LogFormat>, level: Level, exported: Exported) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    subscriber(format, level, std::io::stderr, terminal, exported).try_init()
}

/// Without `exported` no layer asks for the target of the spans, so that [`tracing`] does not even begin one.
fn subscriber<W>(
    format: LogFormat,
    level: Level,
    writer: W,
    ansi: bool,
    exported: Exported,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let spans = Targets::new().with_target(spans::TARGET, LevelFilter::TRACE);
    let lines = match format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(writer);
            #[cfg(feature = "otlp")]
            let lines = lines.map_event_format(named::WithTrace);
            lines.boxed()
        }
        LogFormat::Pretty => fmt::layer().with_ansi(ansi).with_writer(writer).boxed(),
    };
    // A list, because an absent layer (`None`) asks for everything.
    let mut layers = vec![lines.with_filter(ours).boxed()];
    layers.extend(exported.map(|layer| layer.with_filter(spans).boxed()));
    tracing_subscriber::registry().with(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_exporter_no_span_is_begun_and_no_library_is_logged() {
        let quiet = subscriber(LogFormat::Json, Level::TRACE, std::io::sink, false, None);
        tracing::subscriber::with_default(quiet, || {
            assert!(spans::reconcile(&kube::api::ObjectMeta::default(), None).is_disabled());
            assert!(spans::check(&crate::telemetry::Cause::current(), "shop", "it", "uid").is_disabled());
            assert!(spans::api_write("patch", "partners/status", None).is_disabled());
            assert!(tracing::span!(target: "kube_client", Level::ERROR, "request").is_disabled());
            assert!(!tracing::enabled!(target: "h2", Level::ERROR));
            assert!(tracing::enabled!(target: "partner_integration_operator::controller", Level::TRACE));
        });
    }
}
