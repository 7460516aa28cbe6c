//! The flag of traces, and what it turns on. In a build without the feature `otlp` there is neither.

#[cfg(feature = "otlp")]
pub use exported::{Traces, TracesError};
#[cfg(not(feature = "otlp"))]
pub use none::{Traces, TracesError};

#[cfg(feature = "otlp")]
mod exported {
    use std::time::Duration;

    use clap::Args;
    use tokio::runtime::Handle;
    use tracing::Level;
    use tracing_subscriber::util::TryInitError;

    use crate::telemetry::{self, Endpoint, EndpointFault, ExportFault, LogFormat};

    #[derive(Debug, Args)]
    pub struct Traces {
        /// Where traces are sent, by OTLP over HTTP, as `http://otel-collector:4318`; without it
        /// `OTEL_EXPORTER_OTLP_ENDPOINT`, else nowhere.
        #[arg(long, env = "PARTNER_INTEGRATION_OTLP_ENDPOINT", value_name = "URL")]
        otlp_endpoint: Option<String>,
    }

    /// Why neither logs nor traces could be started.
    #[derive(Debug, thiserror::Error)]
    pub enum TracesError {
        #[error("{0}")]
        Endpoint(#[from] EndpointFault),
        #[error("{0}")]
        Export(#[from] ExportFault),
        #[error("{0}")]
        Logging(#[from] TryInitError),
    }

    impl Traces {
        /// Starts logging, and exports traces if an endpoint is given.
        pub fn start(
            self,
            format: Option<LogFormat>,
            level: Level,
            runtime: &Handle,
        ) -> Result<Exporting, TracesError> {
            let variable = |name: &str| std::env::var(name).ok();
            let Some(endpoint) = Endpoint::find(self.otlp_endpoint.as_deref(), variable)? else {
                telemetry::init(format, level)?;
                return Ok(Exporting(None));
            };
            let traces = telemetry::Traces::export(&endpoint, runtime.clone())?;
            telemetry::init_with(format, level, &traces)?;
            tracing::info!(endpoint = endpoint.as_str(), "traces are exported");
            Ok(Exporting(Some(traces)))
        }
    }

    /// Traces are exported, or not.
    pub struct Exporting(Option<telemetry::Traces>);

    impl Exporting {
        /// Sends what still waits, within this time.
        pub async fn end(self, within: Duration) {
            if let Some(traces) = self.0 {
                traces.end(within).await;
            }
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod none {
    use std::time::Duration;

    use clap::Args;
    use tokio::runtime::Handle;
    use tracing::Level;
    use tracing_subscriber::util::TryInitError;

    use crate::telemetry::{self, LogFormat};

    #[derive(Debug, Args)]
    pub struct Traces {}

    /// Why logs could not be started.
    pub type TracesError = TryInitError;

    impl Traces {
        /// Starts logging. The arguments are those of a build with traces.
        #[allow(clippy::unused_self)]
        pub fn start(self, format: Option<LogFormat>, level: Level, _: &Handle) -> Result<Exporting, TracesError> {
            telemetry::init(format, level)?;
            Ok(Exporting)
        }
    }

    /// Traces are not exported.
    pub struct Exporting;

    impl Exporting {
        /// Nothing waits.
        #[allow(clippy::unused_async)]
        pub async fn end(self, _: Duration) {}
    }
}
