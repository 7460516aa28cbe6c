//! What is measured, from the environment.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::support::Result;

/// What is measured, and at which size.
pub struct Settings {
    /// The operator's binary.
    pub operator: PathBuf,
    /// How many integrations the small fleet has.
    pub small: usize,
    /// How many the large one has.
    pub large: usize,
    /// In how many namespaces each of them lives.
    pub namespaces: usize,
    /// For how long a steady state is looked at.
    pub steady: Duration,
    /// For how long keys are rotated.
    pub rotation: Duration,
    picked: Option<Vec<String>>,
}

/// The large fleet, where nothing else is asked for.
pub const LARGE: usize = 10_000;

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// A number is none, or the operator is not there.
    pub fn read() -> Result<Self> {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/partner-integration-operator");
        let operator = std::env::var_os("OPERATOR").map_or(default, PathBuf::from);
        let operator = operator.canonicalize().map_err(|error| format!("{}: {error}", operator.display()))?;
        let picked = std::env::var("SCENARIOS").ok().filter(|names| !names.is_empty());
        let large: usize = number("BENCH_SIZE", LARGE)?;
        Ok(Self {
            operator,
            small: large.div_ceil(5).min(2000),
            large,
            namespaces: number("BENCH_NAMESPACES", 20)?,
            steady: Duration::from_secs(number("STEADY_SECONDS", 50)?),
            rotation: Duration::from_secs(number("ROTATION_SECONDS", 20)?),
            picked: picked.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }

    /// Whether a scenario of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.picked.as_ref().is_none_or(|picked| picked.iter().any(|wanted| wanted == name))
    }
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T> {
    match std::env::var(name).ok().filter(|value| !value.is_empty()) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| format!("{name} is no number: {value}").into()),
    }
}
