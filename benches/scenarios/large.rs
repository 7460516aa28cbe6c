//! What one large fleet serves: cold start, and then everything that happens to integrations that are connected.

use super::cold::{self, Peak};
use super::ground::Ground;
use super::report::Report;
use super::settings::Settings;
use super::{bare, edit, idle, rotation};
use crate::support::Result;

/// The scenarios on it, in the order in which they leave each other alone: rotations first, because no other check is due in the
/// first nine minutes; then what a restart costs, and the minute after it, in which no check is due either.
const NAMES: [&str; 6] = ["cold-10000", "rotation", "restart", "steady", "edit", "memory"];

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
    let (mut operator, cold) = cold::start(&ground, &fleet, &sim).await?;
    let mut peak = cold.peak();
    if settings.wants("rotation") {
        rotation::run(&ground, &fleet, &sim, settings, report).await?;
    }
    if settings.wants("restart") || settings.wants("steady") {
        operator.terminate().await?;
        let kib;
        (operator, kib) = idle::restart(&ground, &fleet, &sim, report).await?;
        peak.kib = peak.kib.max(kib);
    }
    if settings.wants("steady") {
        idle::steady(&ground, &operator, &fleet, &sim, settings, report).await?;
    }
    let edited = if settings.wants("edit") { Some(edit::run(&ground, &operator, settings).await?) } else { None };
    operator.terminate().await?;
    if let Some(edited) = edited {
        edited.report(&ground, report).await?;
    }
    let bare = bare::write(&ground, &fleet, 1).await?;
    cold.report("cold-10000", &bare, report)?;
    Ok(Some(peak))
}
