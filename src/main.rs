//! `partner-integration-operator`: see the library for the map.

use std::process::ExitCode;

use clap::Parser;
use partner_integration_operator::cli;

fn main() -> ExitCode {
    cli::main(cli::Cli::parse())
}
