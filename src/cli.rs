//! The command line: `run` and `crd`.

mod election;
mod scope;
mod traces;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use ipnet::IpNet;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::check::{Guard, Resolver};
use crate::health::Health;
use crate::lease::SettingsError;
use crate::metrics::Metrics;
use crate::telemetry::{self, LogFormat};
use crate::{admin, api, controller};
use election::Election;
use scope::Watching;
use traces::{Traces, TracesError};

/// Connects partner applications, and says of each whether it is Available, Enabled or Failed.
#[derive(Debug, Parser)]
#[command(name = "partner-integration-operator", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller.
    Run(Box<Run>),
    /// Print the CRDs as YAML.
    Crd,
}

#[derive(Debug, Args)]
struct Run {
    /// The kubeconfig to use; without it `KUBECONFIG`, then the pod's service account, then `~/.kube/config`.
    #[arg(long, env = "PARTNER_INTEGRATION_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use.
    #[arg(long, env = "PARTNER_INTEGRATION_CONTEXT", value_name = "NAME")]
    context: Option<String>,
    /// Let partners have addresses in this range although it is loopback, private or the like. May be repeated.
    #[arg(long, env = "PARTNER_INTEGRATION_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    allow_network: Vec<IpNet>,
    /// Publish binding Secrets for integrations that ask for them; needs create, update and delete on Secrets.
    #[arg(
        long,
        env = "PARTNER_INTEGRATION_BINDINGS",
        value_name = "BOOL",
        default_value_t = false,
        action = ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    bindings: bool,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    election: Election,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "PARTNER_INTEGRATION_ADMIN_ADDRESS", value_name = "ADDRESS", default_value = "[::]:8080")]
    admin_address: SocketAddr,
    /// Give each integration metrics of its own.
    #[arg(
        long,
        env = "PARTNER_INTEGRATION_INTEGRATION_METRICS",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    integration_metrics: bool,
    /// How long what is in flight may take to end after SIGTERM or SIGINT.
    #[arg(long, env = "PARTNER_INTEGRATION_SHUTDOWN_GRACE_PERIOD", value_name = "DURATION", default_value = "10s")]
    shutdown_grace_period: api::Duration,
    /// How log lines look; without it pretty on a terminal, else json.
    #[arg(long, env = "PARTNER_INTEGRATION_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// error, warn, info, debug or trace.
    #[arg(long, env = "PARTNER_INTEGRATION_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: tracing::Level,
    #[command(flatten)]
    traces: Traces,
}

/// Why the process ends with an error.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("the kubeconfig cannot be used: {0}; correct it, or give another --kubeconfig or --context")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("no cluster is configured: {0}; give --kubeconfig, or set KUBECONFIG, or run it in a pod")]
    NoCluster(#[source] kube::config::KubeconfigError),
    #[error("no client for the API server can be made: {0}")]
    Client(#[from] kube::Error),
    #[error("the admin address {0} cannot be used: {1}; give another --admin-address")]
    Admin(SocketAddr, std::io::Error),
    #[error("{0}")]
    Election(#[from] SettingsError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Telemetry(#[from] TracesError),
    #[error("the CRDs cannot be printed: {0}")]
    Crd(String),
}

/// Does what the command line says; 0 also after SIGTERM or SIGINT.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Crd => print_crds(),
        Command::Run(arguments) => run(*arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "error: {fatal}");
            ExitCode::FAILURE
        }
    }
}

fn print_crds() -> Result<(), Fatal> {
    let yaml = api::crd_yaml().map_err(|error| Fatal::Crd(error.to_string()))?;
    Ok(std::io::stdout().write_all(yaml.as_bytes())?)
}

fn run(arguments: Run) -> Result<(), Fatal> {
    let Run {
        kubeconfig,
        context,
        allow_network,
        bindings,
        watching,
        election,
        admin_address,
        integration_metrics,
        shutdown_grace_period,
        log_format,
        log_level,
        traces,
    } = arguments;
    election.check()?;
    // One thread: see docs/adr/0011-one-thread.md.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let traces = traces.start(log_format, log_level, runtime.handle())?;
    telemetry::hide_panic_payloads();
    runtime.block_on(async {
        let (health, metrics) = (Health::default(), Metrics::new(integration_metrics));
        let listener = admin::bind(admin_address).await.map_err(|error| Fatal::Admin(admin_address, error))?;
        // Port 0 takes any free one: the log says which.
        let admin_address = listener.local_addr()?;
        let admin = AbortOnDropHandle::new(tokio::spawn(admin::serve(listener, health.clone(), metrics.clone())));
        let stop = CancellationToken::new();
        let signals = AbortOnDropHandle::new(tokio::spawn(stop_on_signal(stop.clone())?));
        let config = config(kubeconfig, context).await?;
        let client = Client::try_from(config.clone())?;
        let (leading, campaign) = election.start(&client, &config, &health)?;
        let (guard, resolver) = (Guard::new(allow_network), Resolver::system());
        let settings = controller::Settings { guard, resolver, bindings, scope: watching.scope() };
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %admin_address, "starting");
        let work = controller::run(client, settings, health, metrics, leading, stop.clone());
        let end = work_until(work, &stop, shutdown_grace_period.get()).await;
        campaign.end().await;
        tracing::info!("stopped");
        traces.end(end.saturating_duration_since(Instant::now())).await;
        drop((admin, signals));
        Ok(())
    })
}

/// Does the work until it ends, or until the grace period after `stop` is over, which is given back: whatever else there
/// is to be done has to be done by then.
async fn work_until(work: impl Future<Output = ()>, stop: &CancellationToken, grace: Duration) -> Instant {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        () = &mut work => return Instant::now() + grace,
        () = stop.cancelled() => {}
    }
    let end = Instant::now() + grace;
    if timeout_at(end, work).await.is_err() {
        tracing::warn!("some work did not end within the grace period; it is abandoned");
    }
    end
}

/// KUBECONFIG (or the flag), then in-cluster, then `~/.kube/config`.
async fn config(kubeconfig: Option<PathBuf>, context: Option<String>) -> Result<Config, Fatal> {
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = if let Some(path) = kubeconfig {
        from_file(Kubeconfig::read_from(path)?, &options).await?
    } else if let Some(kubeconfig) = Kubeconfig::from_env()? {
        from_file(kubeconfig, &options).await?
    } else if options.context.is_none()
        && let Ok(config) = Config::incluster()
    {
        config
    } else {
        from_file(Kubeconfig::read().map_err(Fatal::NoCluster)?, &options).await.map_err(Fatal::NoCluster)?
    };
    // Retries are ours to make: the client's own would hold a write for minutes and hide what happens.
    config.default_retry = false;
    Ok(config)
}

/// What a kubeconfig says, and nothing from `HTTPS_PROXY`: the client is built without proxies, so one that the
/// environment names would keep the operator from starting. One that the file names still does.
async fn from_file(kubeconfig: Kubeconfig, options: &KubeConfigOptions) -> Result<Config, KubeconfigError> {
    let named = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref()).any(|it| it.proxy_url.is_some());
    let mut config = Config::from_custom_kubeconfig(kubeconfig, options).await?;
    if !named {
        config.proxy_url = None;
    }
    Ok(config)
}

/// Cancels `stop` on SIGTERM or SIGINT; a second one ends the process at once.
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<impl Future<Output = ()> + Send> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("a signal to stop came; finishing what is in flight");
            stop.cancel();
        }
    })
}
