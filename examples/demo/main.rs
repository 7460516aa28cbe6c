//! `make demo`: the main job, end to end, on a real API server with a real HTTPS partner.
//!
//! Usage: demo [OPERATOR-BINARY]; without one, the operator that was built beside it. It exits non-zero when a step does not come true. With KEEP=1 everything stays up after
//! the last step, until Ctrl-C or the end of standard input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod operator;
mod stage;

use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use stage::Stage;
use support::Result;
use support::partner::Behaviour;

#[tokio::main]
async fn main() -> ExitCode {
    let played = tokio::select! {
        played = play() => played,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<()> {
    let mut stage = Stage::set_up(&operator_binary()?).await?;

    stage.say("The partners that can be added: the catalogue has one.");
    stage.apply("partner.yaml").await?;
    stage.until_shown(&["get", "partners"], &["Acme Loyalty", "eu1,us1"]).await?;

    stage.say("Added, with neither region nor key: Available.");
    stage.apply("added.yaml").await?;
    stage.until_shown(PI, &["Acme Loyalty", "Available", "false"]).await?;

    stage.say("With a region and a key that the partner accepts: Enabled, and connected.");
    stage.apply("connected.yaml").await?;
    stage.until_shown(PI, &["Enabled", "true", "eu1"]).await?;

    stage.say("The Secret gets a wrong key: Failed at once, with the reason.");
    stage.set_key("wrong-key").await?;
    stage.until_shown(WIDE, &["Failed", "false", "CredentialRejected"]).await?;

    stage.say("The Secret is mended: Enabled again. Nobody restarted anything.");
    stage.set_key("good-key").await?;
    stage.until_shown(PI, &["Enabled", "true"]).await?;

    stage.say("The partner goes down, and somebody asks for a check now: Failed, as unavailable.");
    stage.partner.set_behaviour(Behaviour::Down503(None)).await?;
    stage.ask_for_a_check("while it is down").await?;
    stage.until_shown(WIDE, &["Failed", "PartnerUnavailable"]).await?;

    stage.say("The partner comes back: the operator tries again by itself, and it is Enabled.");
    stage.partner.set_behaviour(Behaviour::Normal).await?;
    stage.until_shown(PI, &["Enabled", "true"]).await?;

    stage.say("What GitOps tools wait for, and what `kubectl describe` tells a person:");
    stage
        .until_shown(&["-n", "shop", "wait", "pi/acme-loyalty", "--for=condition=Connected", "--timeout=10s"], &[])
        .await?;
    stage.until_shown(CONDITIONS, &["Ready=True", "Connected=True"]).await?;
    stage.count();

    if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0") {
        keep(&stage).await?;
    }
    stage.take_down().await
}

fn operator_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::args_os().nth(1) {
        return Ok(path.into());
    }
    // TARGET/PROFILE/examples/demo
    let profile = std::env::current_exe()?.ancestors().nth(2).ok_or("usage: demo OPERATOR-BINARY")?.to_owned();
    Ok(profile.join("partner-integration-operator"))
}

const PI: &[&str] = &["-n", "shop", "get", "partnerintegrations"];
const WIDE: &[&str] = &["-n", "shop", "get", "pi", "-o", "wide"];
const CONDITIONS: &[&str] = &[
    "-n",
    "shop",
    "get",
    "pi",
    "acme-loyalty",
    "-o",
    "jsonpath={range .status.conditions[*]}{.type}={.status}  {.reason}: {.message}{\"\\n\"}{end}",
];

/// Everything stays up; what is typed switches the partner.
async fn keep(stage: &Stage) -> Result<()> {
    println!("\nIt stays up. In another terminal:\n");
    println!("    export KUBECONFIG={}", stage.plane.kubeconfig().display());
    println!("    kubectl get pi -A -o wide   # any kubectl; one was built at {}", stage.plane.assets().display());
    println!("\nHere, type what the partner shall be: ok, down, slow, throttle or hang. Ctrl-C ends it all.");
    let (send, mut typed) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(word) = typed.recv().await {
        let behaviour = match word.trim() {
            "ok" => Behaviour::Normal,
            "down" => Behaviour::Down503(None),
            "slow" => Behaviour::Slow(Duration::from_secs(3)),
            "throttle" => Behaviour::Throttle429(Some("10".to_owned())),
            "hang" => Behaviour::HangForever,
            _ => {
                println!("ok, down, slow, throttle or hang");
                continue;
            }
        };
        stage.partner.set_behaviour(behaviour).await?;
        println!("the partner is {}", word.trim());
    }
    Ok(())
}
