//! What one large fleet serves: cold start, and then everything that happens to integrations that are connected.

use super::cold::{self, Peak};
use super::ground::Ground;
use super::report::Report;
use super::settings::Settings;
use super::{bare, edit, idle, rotation};
use crate::support::Result;

/// The scenarios on it, in the order in which they disturb each other least: what looks at a fleet that is idle comes before what
/// changes it.
const NAMES: [&str; 6] = ["cold-10000", "restart", "steady", "rotation", "edit", "memory"];

/// Runs those that are wanted; a cold start comes with any. Gives its memory.
///
/// # Errors
/// Something does not work at all; a goal that is missed is a row.
pub async fn run(settings: &Settings, report: &mut Report) -> Result<Option<Peak>> {
    if !NAMES.iter().any(|name| settings.wants(name)) {
        return Ok(None);
    }
    let ground = Ground::prepare(settings).await?;
    let (fleet, sim) = ground.fleet("large", settings.large, settings.namespaces).await?;
    let (operator, cold) = cold::start(&ground, &fleet, &sim).await?;
    let mut peak = cold.peak();
    operator.terminate().await?;
    // At once: minutes later the machine may be faster or slower.
    let bare = bare::write(&ground, &fleet).await?;
    cold::report("cold-10000", &[(cold, bare)], report)?;
    if !NAMES[1..5].iter().any(|name| settings.wants(name)) {
        return Ok(Some(peak));
    }
    let (operator, kib) = idle::restart(&ground, &fleet, &sim, report).await?;
    peak.kib = peak.kib.max(kib);
    if settings.wants("steady") {
        idle::steady(&ground, &operator, &fleet, &sim, settings, report).await?;
    }
    if settings.wants("rotation") {
        rotation::run(&ground, &fleet, &sim, settings, report).await?;
    }
    if settings.wants("edit") {
        edit::run(&ground, operator, settings, report).await?;
    } else {
        operator.terminate().await?;
    }
    Ok(Some(peak))
}
