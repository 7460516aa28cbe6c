//! Which files are generated, and their text.

use std::error::Error;
use std::path::Path;

use partner_integration_operator::api;

use super::{chart, reference};

/// Every generated file: its path from the root of the repository, and its text.
///
/// # Errors
/// Where a CRD cannot be written as YAML, or a file cannot be read of which a copy is made.
pub fn all() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let crds = api::crds();
    let mut files = Vec::new();
    for crd in &crds {
        let path = match crd.spec.names.kind.as_str() {
            "Partner" => "crds/partners.yaml",
            _ => "crds/partnerintegrations.yaml",
        };
        let yaml = api::to_yaml(crd)?;
        files.push((path.to_owned(), format!("# Generated from src/api by `make generate`. Do not edit.\n{yaml}")));
    }
    files.extend(chart::files(Path::new(env!("CARGO_MANIFEST_DIR")), &files)?);
    files.push(("docs/reference/api.md".to_owned(), reference::page(&crds)));
    Ok(files)
}
