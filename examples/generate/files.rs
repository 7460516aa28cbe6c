//! Which files are generated, and their text.

use partner_integration_operator::api;

use super::reference;

/// Every generated file: its path from the root of the repository, and its text.
///
/// # Errors
/// Where a CRD cannot be written as YAML.
pub fn all() -> Result<Vec<(&'static str, String)>, serde_saphyr::ser::Error> {
    let crds = api::crds();
    let mut files = vec![("docs/reference/api.md", reference::page(&crds))];
    for crd in &crds {
        let path = match crd.spec.names.kind.as_str() {
            "Partner" => "crds/partners.yaml",
            _ => "crds/partnerintegrations.yaml",
        };
        let yaml = api::to_yaml(crd)?;
        files.push((path, format!("# Generated from src/api by `make generate`. Do not edit.\n{yaml}")));
    }
    Ok(files)
}
