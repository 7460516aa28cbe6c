//! What of the Helm chart is generated: copies of what `deploy/` has too, and the table of values in its README.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The chart, from the root of the repository.
const CHART: &str = "charts/partner-integration-operator";
/// What stands around the table in the README.
const MARKS: [&str; 2] = ["<!-- values: made by `make generate` from values.yaml -->\n", "<!-- end of values -->\n"];

/// Folders of `deploy/` and where the chart has a copy of their objects: neither Helm nor kustomize reads outside of its folder.
const COPIED: [[&str; 2]; 2] = [["deploy/policies", "files/policies"], ["deploy/rbac/people", "files/people"]];

/// Every generated file of the chart and of `deploy/`; `crds` are the files of `crds/`.
///
/// # Errors
/// Where a source cannot be read, or the README has lost the marks of its table.
pub fn files(root: &Path, crds: &[(String, String)]) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut files = Vec::new();
    for (path, text) in crds {
        files.push((format!("{CHART}/files/{path}"), text.clone()));
        files.push((format!("deploy/{path}"), text.clone()));
    }
    for [from, to] in COPIED {
        for entry in fs::read_dir(root.join(from))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "kustomization.yaml" {
                files.push((format!("{CHART}/{to}/{name}"), fs::read_to_string(root.join(from).join(&name))?));
            }
        }
    }
    let readme = format!("{CHART}/README.md");
    let text = fs::read_to_string(root.join(&readme))?;
    let values = fs::read_to_string(root.join(CHART).join("values.yaml"))?;
    files.push((readme, with_table(&text, &values).ok_or("the chart's README has lost the marks of its table")?));
    Ok(files)
}

fn with_table(readme: &str, values: &str) -> Option<String> {
    let (before, rest) = readme.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some(format!("{before}{}{}{}{after}", MARKS[0], table(values), MARKS[1]))
}

/// A row for each key of values.yaml that has a comment above it: its path, its default, the comment. From a line on that
/// begins with the name of a linter, a comment is for readers of values.yaml.
fn table(values: &str) -> String {
    let mut rows = String::from("| value | default | |\n|---|---|---|\n");
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let (mut comment, mut skip) = (Vec::new(), false);
    for line in values.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(said) = text.strip_prefix("# ") {
            skip |= said.starts_with("kube-score ") || said.starts_with("checkov ");
            if !skip {
                comment.push(said);
            }
            continue;
        }
        if let Some((key, default)) = text.split_once(':').filter(|_| !text.starts_with(['-', '#'])) {
            parents.retain(|(depth, _)| *depth < indent);
            parents.push((indent, key));
            let path = parents.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            if !comment.is_empty() {
                let default = default.trim();
                let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
                let said = comment.join(" ").replace('|', "\\|");
                let _ = writeln!(rows, "| `{path}` | {default} | {said} |");
            }
        }
        comment.clear();
        skip = false;
    }
    rows
}
