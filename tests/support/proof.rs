//! What a part of `make prove` has shown: kept as a file, for the table at its end.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, json};

use super::Result;

/// Writes what a part has shown to `target/proof/PART.json`: its figures in the order in which they are told, how many
/// violations were found, and how long it took. Written also where there are violations, before the test fails.
pub fn record(part: &str, figures: &[(&str, u64)], violations: u64, took: Duration) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/proof");
    std::fs::create_dir_all(&folder)?;
    let figures: Vec<_> = figures.iter().map(|(name, figure)| json!({"name": name, "figure": figure})).collect();
    let part_of = [
        ("part".to_owned(), json!(part)),
        ("figures".to_owned(), json!(figures)),
        ("violations".to_owned(), json!(violations)),
        ("seconds".to_owned(), json!(took.as_secs())),
    ];
    let text = serde_json::to_string_pretty(&part_of.into_iter().collect::<Map<_, _>>())?;
    Ok(std::fs::write(folder.join(format!("{part}.json")), text)?)
}
