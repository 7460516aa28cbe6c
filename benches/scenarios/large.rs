//! What one large fleet serves: cold start, and then everything that happens to integrations that are connected.

use super::bare;
use super::cold;
use super::ground::Ground;
use super::report::Report;
use super::settings::Settings;
use crate::support::Result;

/// The scenarios on it, in the order in which they leave each other alone.
const NAMES: [&str; 1] = ["cold-10000"];

/// Runs those that are wanted.
///
/// # Errors
/// Something does not work at all; a goal that is missed is a row.
pub async fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    if !NAMES.iter().any(|name| settings.wants(name)) {
        return Ok(());
    }
    let ground = Ground::prepare(settings).await?;
    let (fleet, sim) = ground.fleet("large", settings.large, settings.namespaces).await?;
    let (operator, cold) = cold::start(&ground, &fleet, &sim).await?;
    operator.terminate().await?;
    let bare = bare::write(&ground, &fleet).await?;
    cold.report("cold-10000", bare, report)
}
