//! From ended spans to the collector: a bounded queue, and a thread that empties it. Nobody waits for either.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::Registry;

use super::collector::Collector;
use super::endpoint::Endpoint;
use super::tally::{Bounded, QUEUE, Tally, Told};

/// How the operator names itself in traces, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` does.
const NAME: &str = "partner-integration-operator";
/// Waiting for a collector at the end is worth no more than this, however long the grace period is.
const FLUSH: Duration = Duration::from_secs(3);

/// Why spans cannot be exported at all.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// The standard variables ask for something that is not there: a compression, say.
    #[error("traces cannot be exported: {0}; correct the OTEL_EXPORTER_OTLP_ variables")]
    Exporter(#[from] ExporterBuildError),
    /// The HTTP client cannot be made.
    #[error("no client for the collector of traces can be made")]
    Client,
}

/// The export of spans, for the life of the process.
pub struct Traces {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

impl Traces {
    /// Begins to export spans to `endpoint`. `runtime` does the requests. Nothing is sent before the first span ends.
    ///
    /// Headers, timeout, delay, batch size, sampler and resource come from the standard variables of OpenTelemetry.
    ///
    /// # Errors
    /// As [`ExportFault`] says.
    pub fn export(endpoint: &Endpoint, runtime: Handle) -> Result<Self, ExportFault> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(runtime)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.as_str())
            .build()?;
        let tally = Arc::new(Tally::default());
        let batches = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let processor =
            BatchSpanProcessor::builder(Told::new(exporter, tally.clone())).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(Bounded(processor, tally.clone()))
            .build();
        Ok(Self { provider, tally })
    }

    /// What hands spans over.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .boxed()
    }

    /// Sends what still waits, within this time and never much longer than [`FLUSH`]; what is left is given up.
    pub async fn end(self, within: Duration) {
        let (provider, within) = (self.provider.clone(), within.min(FLUSH));
        // It blocks, for as long as it is told and no longer.
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within).is_ok());
        if !flush.await.unwrap_or(false) {
            tracing::warn!(dropped = self.tally.untold(), "the last spans were not taken by the collector in time");
        }
    }
}

/// What the process is, as the semantic conventions name it.
fn resource() -> Resource {
    let mut resource = Resource::builder_empty()
        .with_service_name(NAME)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", crate::lease::identity()),
        ])
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    if let Some(name) = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()) {
        resource = resource.with_service_name(name);
    }
    resource.build()
}
