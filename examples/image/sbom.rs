//! A `CycloneDX` 1.6 list of what is linked into the operator, from Cargo's own answers and the lock file.
//!
//! Written here because the tools for it (cargo-cyclonedx, cargo-sbom) read `cargo metadata` alone, which mixes in what the
//! tests switch on, and know neither the C library that a static binary carries nor the binary itself. `cargo tree` resolves as
//! the build does; what the binary then says of its own sources is compared with the list.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::elf::Arch;
use super::oci::{Binary, sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Name and version.
type Package = (String, String);

const LOCK: &str = include_str!("../../Cargo.lock");

/// Lists what `binary` is made of: each crate that is linked for its architecture, Rust's standard library, the C library.
///
/// The same binary and lock file give the same list: it has no serial number of its own, and its time is the commit's.
///
/// # Errors
/// Cargo fails, or the binary holds a crate that the list lacks.
pub fn of(binary: &Binary, revision: &str, created: Timestamp) -> Result<Value> {
    let linked = linked(binary.arch)?;
    if let Some((name, version)) = sources(&binary.bytes).difference(&linked).next() {
        return Err(format!(
            "{name} {version} is in the binary, but no dependency of it: was it built from this tree?"
        )
        .into());
    }
    let metadata = metadata(binary.arch)?;
    let checksums = checksums(LOCK);
    let root = reference(&own());
    let mut components = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let key = key(package);
        if linked.contains(&key) && key != own() {
            components.push(component(package, checksums.get(&key)));
        }
    }
    let runtime = runtime(&binary.bytes)?;
    let mut dependencies = graph(&metadata, &linked);
    for part in &runtime {
        let Some(on) = dependencies.iter_mut().find(|each| each["ref"] == root.as_str()) else { continue };
        if let Some(on) = on["dependsOn"].as_array_mut() {
            on.push(part["bom-ref"].clone());
        }
    }
    components.extend(runtime);
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": created.to_string(),
            "tools": {"components": [{
                "type": "application", "name": "examples/image", "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": binary.name,
                "version": env!("CARGO_PKG_VERSION"),
                "description": env!("CARGO_PKG_DESCRIPTION"),
                "licenses": [{"expression": env!("CARGO_PKG_LICENSE")}],
                "purl": root,
                "hashes": [{"alg": "SHA-256", "content": sha256(&binary.bytes)}],
                "properties": [
                    {"name": "target", "value": binary.arch.target()},
                    {"name": "revision", "value": revision},
                ],
            },
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn own() -> Package {
    (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned())
}

/// The packages that a build of the binary links, this one among them. Procedural macros run in the compiler and are left out.
fn linked(arch: Arch) -> Result<BTreeSet<Package>> {
    let edges = "normal,no-proc-macro";
    let tree = cargo(&["tree", "--edges", edges, "--target", arch.target(), "--prefix", "none", "--format", "{p}"])?;
    let tree = String::from_utf8(tree)?;
    let named = |line: &str| {
        let (name, version) = line.split_once(" v")?;
        Some((name.to_owned(), version.split(' ').next()?.to_owned()))
    };
    Ok(tree.lines().filter_map(named).collect())
}

/// What `cargo metadata` knows of the packages of an architecture.
fn metadata(arch: Arch) -> Result<Value> {
    Ok(serde_json::from_slice(&cargo(&["metadata", "--format-version", "1", "--filter-platform", arch.target()])?)?)
}

fn cargo(arguments: &[&str]) -> Result<Vec<u8>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo).args(arguments).arg("--locked").current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(format!("cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr)).into())
}

fn key(package: &Value) -> Package {
    let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
    (text("name"), text("version"))
}

/// The package URL; `+`, which parts off build metadata, has to be escaped in it.
fn reference((name, version): &Package) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn component(package: &Value, checksum: Option<&String>) -> Value {
    let key = key(package);
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(&key),
        "name": key.0,
        "version": key.1,
        "purl": reference(&key),
    });
    if let Some(license) = package["license"].as_str() {
        // Cargo's old way to say OR.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(checksum) = checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(repository) = package["repository"].as_str() {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}

/// Who needs whom, among what is linked.
fn graph(metadata: &Value, linked: &BTreeSet<Package>) -> Vec<Value> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let names: BTreeMap<&str, Package> = packages
        .map(|package| (package["id"].as_str().unwrap_or_default(), key(package)))
        .filter(|(_, key)| linked.contains(key))
        .collect();
    let mut graph = Vec::new();
    for node in metadata["resolve"]["nodes"].as_array().into_iter().flatten() {
        let Some(from) = node["id"].as_str().and_then(|id| names.get(id)) else { continue };
        let deps = node["deps"].as_array().into_iter().flatten();
        let normal =
            deps.filter(|dep| dep["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null()));
        let to: BTreeSet<String> = normal.filter_map(|dep| names.get(dep["pkg"].as_str()?)).map(reference).collect();
        graph.push(json!({"ref": reference(from), "dependsOn": to}));
    }
    graph
}

/// The checksums of a lock file.
fn checksums(lock: &str) -> BTreeMap<Package, String> {
    let field = |block: &str, name: &str| {
        block
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned()))
    };
    lock.split("[[package]]")
        .filter_map(|block| Some(((field(block, "name")?, field(block, "version")?), field(block, "checksum")?)))
        .collect()
}

/// The crates whose sources a binary names in its panic messages: `…/registry/src/<index>/<name>-<version>/…`.
fn sources(binary: &[u8]) -> BTreeSet<Package> {
    let marker = b"/registry/src/";
    let mut found = BTreeSet::new();
    for at in binary.windows(marker.len()).enumerate().filter(|(_, window)| window == marker).map(|(at, _)| at) {
        let rest = &binary[at + marker.len()..binary.len().min(at + 300)];
        let mut parts = rest.split(|byte| *byte == b'/');
        // A part that is not followed by a slash is no folder.
        if let (Some(_), Some(folder), Some(_)) = (parts.next(), parts.next(), parts.next()) {
            found.extend(std::str::from_utf8(folder).ok().and_then(package));
        }
    }
    found
}

/// `name-1.2.3`: the version begins after the first dash that a digit and, somewhere, a dot follow.
fn package(folder: &str) -> Option<Package> {
    let (name, version) = folder
        .match_indices('-')
        .map(|(at, _)| (&folder[..at], &folder[at + 1..]))
        .find(|(_, version)| version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.'))?;
    Some((name.to_owned(), version.to_owned()))
}

/// What no lock file names, but a static binary carries: Rust's standard library, and the C library if it says which it is.
fn runtime(binary: &[u8]) -> Result<Vec<Value>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = String::from_utf8(
        Command::new(rustc).arg("--version").current_dir(env!("CARGO_MANIFEST_DIR")).output()?.stdout,
    )?;
    let version = said.split(' ').nth(1).ok_or("rustc does not say its version")?;
    let generic = |name: &str, version: &str, license: &str| {
        let purl = format!("pkg:generic/{name}@{}", version.replace('+', "%2B"));
        json!({
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "licenses": [{"expression": license}],
        })
    };
    let mut parts = vec![generic("rust-std", version, "MIT OR Apache-2.0")];
    if let Some(version) = glibc(binary) {
        parts.push(generic("glibc", &version, "LGPL-2.1-or-later"));
    }
    Ok(parts)
}

/// glibc's own words: `GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.`
fn glibc(binary: &[u8]) -> Option<String> {
    let marker = b"GNU C Library (";
    let at = binary.windows(marker.len()).position(|window| window == marker)?;
    let text = std::str::from_utf8(&binary[at + marker.len()..binary.len().min(at + 120)]).ok()?;
    let text = text.split_once(')')?.0;
    Some(text.rsplit(' ').next()?.to_owned())
}
