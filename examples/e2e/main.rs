//! `make e2e`: the operator as it is installed, on a real cluster: image, chart, pods, probes, upgrade, uninstall.
//!
//! `hack/e2e/run.sh` builds what this needs and finds a cluster. It makes the namespaces `partner-integration-system`, `shop`
//! and `acme`, and the CRDs, and refuses a cluster that has any of them already. It ends with exit code 0 when every step
//! came true; else it prints what it found in the cluster. Everything that it made is removed, unless `--keep` is given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod access;
mod bindings;
mod cluster;
mod diagnosis;
mod integrations;
mod release;
mod stage;
mod takeover;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use stage::Stage;

/// Any error; it is shown to a person.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result of anything in here.
pub type Result<T> = std::result::Result<T, Error>;

/// The operator end to end, on the cluster of KUBECONFIG.
#[derive(Parser)]
pub struct Options {
    /// The image of the operator, NAME:TAG; the cluster's nodes have it or can pull it.
    #[arg(long)]
    image: String,
    /// The image of the simulated partner, NAME:TAG.
    #[arg(long)]
    partner_image: String,
    /// The chart.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/partner-integration-operator"))]
    chart: PathBuf,
    /// The API server's audit log; without it the step about access is left out.
    #[arg(long)]
    audit_log: Option<PathBuf>,
    /// A command that runs `sh -c …` as root on the node, words split at spaces; without it the step about a hung process is
    /// left out.
    #[arg(long)]
    node_shell: Option<String>,
    /// Leave everything as it is at the end.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut stage = match Stage::set_up(options).await {
        Ok(stage) => stage,
        Err(error) => {
            eprintln!("e2e: {error}");
            return ExitCode::FAILURE;
        }
    };
    let played = tokio::select! {
        played = play(&mut stage) => played,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    stage.finish_step(played.is_ok());
    if let Err(error) = &played {
        eprintln!("\ne2e: {error}\n");
        diagnosis::print(&stage.cluster).await;
    }
    if stage.options.keep {
        println!("\nEverything stays as it is (--keep).");
    } else if let Err(error) = stage.clean_up().await {
        eprintln!("e2e: not everything could be removed: {error}");
        return ExitCode::FAILURE;
    }
    stage.summary();
    if played.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The story. Each step builds on those before it.
async fn play(stage: &mut Stage) -> Result<()> {
    stage.namespaces().await?;
    integrations::start_partner(stage).await?;
    release::install(stage).await?;

    integrations::catalogue(stage).await?;
    integrations::added(stage).await?;
    integrations::connected(stage).await?;
    integrations::wrong_key(stage).await?;
    integrations::rotation(stage).await?;
    integrations::partner_away(stage).await?;
    integrations::edited_all_the_time(stage).await?;
    bindings::application(stage).await?;

    takeover::leader_deleted(stage).await?;
    takeover::leader_hangs(stage).await?;

    release::upgrade(stage).await?;
    release::roll_back(stage).await?;
    access::judge(stage).await?;
    release::uninstall(stage).await?;
    release::install_again(stage).await
}
