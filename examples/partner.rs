//! A partner to play with: `cargo run --example partner -- --listen 127.0.0.1:9443 --ca-out ca.pem --region eu1 --accept KEY`.
//!
//! Real HTTPS with an authority of its own, whose certificate goes to `--ca-out` (for `spec.trustBundle`). A second port on
//! loopback, plain HTTP, takes orders: `curl -X POST 'http://127.0.0.1:9444/control?behaviour=down'`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use clap::Parser;
use support::Result;
use support::partner::{Behaviour, SimPartner};

/// What `behaviour=` may be.
const WORDS: &str = "ok, down, slow, throttle, hang, refuse, reset, redirect, html, echo, trickle, badcert";

/// A simulated partner application.
#[derive(Parser)]
struct Arguments {
    /// Where it serves HTTPS; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:9443")]
    listen: SocketAddr,
    /// Where it takes orders, plain HTTP; only loopback makes sense, or a pod's own address.
    #[arg(long, default_value = "127.0.0.1:9444")]
    control: SocketAddr,
    /// The file that its authority's certificate is written to.
    #[arg(long)]
    ca_out: Option<PathBuf>,
    /// A region: the first part of the path. May be repeated.
    #[arg(long, default_value = "eu1")]
    region: Vec<String>,
    /// A key that every region accepts; `REGION=KEY` for one region only. May be repeated.
    #[arg(long)]
    accept: Vec<String>,
    /// One more name in its certificate. May be repeated.
    #[arg(long)]
    name: Vec<String>,
}

#[derive(Default)]
struct Order {
    behaviour: String,
    region: Option<String>,
    /// For `slow`, and the Retry-After of `down` and `throttle`.
    seconds: Option<u64>,
}

impl Order {
    fn parse(query: &str) -> Self {
        let mut order = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "behaviour" => order.behaviour = value.into_owned(),
                "region" => order.region = Some(value.into_owned()),
                "seconds" => order.seconds = value.parse().ok(),
                _ => {}
            }
        }
        order
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let regions: Vec<&str> = arguments.region.iter().map(String::as_str).collect();
    let names: Vec<&str> = arguments.name.iter().map(String::as_str).collect();
    let partner = SimPartner::start_at(arguments.listen, &regions, &names).await?;
    for key in &arguments.accept {
        match key.split_once('=').filter(|(region, _)| regions.contains(region)) {
            Some((region, key)) => partner.accept(region, key),
            None => regions.iter().for_each(|region| partner.accept(region, key)),
        }
    }
    if let Some(file) = &arguments.ca_out {
        std::fs::write(file, partner.ca_pem())?;
        println!("its authority's certificate: {}", file.display());
    }
    for region in &regions {
        println!("region {region}: {}", partner.endpoint(region));
    }
    let listener = tokio::net::TcpListener::bind(arguments.control).await?;
    let control = listener.local_addr()?;
    println!("orders: curl -X POST 'http://{control}/control?behaviour=down', also with &region=… and &seconds=…");
    println!("behaviours: {WORDS}; GET /control counts what it has seen, GET /ca gives its authority's certificate");
    let orders = post(order).get(count);
    let app = axum::Router::new().route("/control", orders).route("/ca", get(authority)).with_state(Arc::new(partner));
    let stop = async {
        // Without a signal handler there is nothing to wait for but the end.
        let _ = tokio::signal::ctrl_c().await;
    };
    tokio::select! {
        served = async { axum::serve(listener, app).await } => served?,
        () = stop => {}
    }
    Ok(())
}

async fn order(State(partner): State<Arc<SimPartner>>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let order = Order::parse(&query.unwrap_or_default());
    let Some(behaviour) = behaviour(&order) else {
        return (StatusCode::BAD_REQUEST, format!("behaviour is one of {WORDS}\n"));
    };
    let said = format!("{}: {behaviour:?}\n", order.region.as_deref().unwrap_or("every region"));
    let done = match &order.region {
        Some(region) => partner.set_region_behaviour(region, Some(behaviour)),
        None => partner.set_behaviour(behaviour).await,
    };
    match done {
        Ok(()) => {
            print!("{said}");
            (StatusCode::OK, said)
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

async fn authority(State(partner): State<Arc<SimPartner>>) -> String {
    partner.ca_pem()
}

async fn count(State(partner): State<Arc<SimPartner>>) -> String {
    format!("{:?}\n", partner.counters())
}

fn behaviour(order: &Order) -> Option<Behaviour> {
    let retry_after = order.seconds.map(|seconds| seconds.to_string());
    Some(match order.behaviour.as_str() {
        "ok" => Behaviour::Normal,
        "down" => Behaviour::Down503(retry_after),
        "slow" => Behaviour::Slow(Duration::from_secs(order.seconds.unwrap_or(5))),
        "throttle" => Behaviour::Throttle429(retry_after),
        "hang" => Behaviour::HangForever,
        "refuse" => Behaviour::RefuseConnections,
        "reset" => Behaviour::ResetOnAccept,
        "redirect" => Behaviour::Redirect(302, "https://elsewhere.example/".to_owned()),
        "html" => Behaviour::Html,
        "echo" => Behaviour::EchoKey(400),
        "trickle" => Behaviour::TrickleBody,
        "badcert" => Behaviour::OtherAuthority,
        _ => return None,
    })
}
