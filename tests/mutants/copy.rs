//! The copy of the package with all faults in it, each behind its switch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Result;
use super::table::Mutant;

/// What is not copied: what was built, what was fetched, the history.
const LEFT_OUT: [&str; 4] = ["target", ".git", ".cache", "node_modules"];
/// Where the name of the operator's binary stands: it is another one in the copy, since both are built into one folder.
const BINARY: &str = "CARGO_BIN_EXE_partner-integration-operator";
const SEEDED_BINARY: &str = "CARGO_BIN_EXE_seeded-operator";

/// The switch, as the copy has it. Read once: some of what asks for it runs millions of times.
const SWITCH: &str = r#"
/// Whether this fault is on.
#[allow(missing_docs)]
pub(crate) fn seeded(name: &str) -> bool {
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var("SEEDED_MUTANT").ok()).as_deref() == Some(name)
}
"#;

/// Writes the copy and gives its folder. What is the same as last time is not touched, so that cargo builds what changed.
///
/// # Errors
/// A snippet that does not stand in its file exactly once, and what the file system says.
pub fn package(mutants: &[Mutant]) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = root.join("target/mutants/package");
    let mut files = BTreeMap::new();
    gather(root, Path::new(""), &mut files)?;
    for mutant in mutants {
        let path = Path::new(mutant.file);
        let text = files.get_mut(path).ok_or_else(|| format!("{}: there is no {}", mutant.name, mutant.file))?;
        let seeded = seed(mutant, std::str::from_utf8(text)?)?;
        *text = seeded.into_bytes();
    }
    edit(&mut files, "src/lib.rs", |text| format!("#![allow(warnings)]\n{text}{SWITCH}"))?;
    edit(&mut files, "Cargo.toml", |text| {
        let own = "\n[[bin]]\nname = \"seeded-operator\"\npath = \"src/main.rs\"\n";
        text.replace("default-run = \"partner-integration-operator\"", "default-run = \"seeded-operator\"") + own
    })?;
    for path in ["Cargo.toml", "Cargo.lock"] {
        another_version(&mut files, path)?;
    }
    for (path, text) in &mut files {
        if path.starts_with("tests") && !path.starts_with("tests/mutants") {
            *text = replaced(text, BINARY, SEEDED_BINARY);
        }
    }
    for (path, text) in &files {
        let target = copy.join(path);
        if std::fs::read(&target).is_ok_and(|there| there == *text) {
            continue;
        }
        std::fs::create_dir_all(target.parent().ok_or("a file without a folder")?)?;
        std::fs::write(&target, text)?;
        if path.extension().is_some_and(|extension| extension == "sh") {
            std::fs::set_permissions(&target, std::fs::metadata(root.join(path))?.permissions())?;
        }
    }
    forget(&copy, Path::new(""), &files)?;
    link_cache(root, &copy)?;
    Ok(copy)
}

/// The file with this fault in it: the marked part becomes a choice between what it is and what it is with the fault.
fn seed(mutant: &Mutant, text: &str) -> Result<String> {
    let Mutant { name, at, becomes, .. } = mutant;
    let (before, rest) = at.split_once('«').ok_or_else(|| format!("{name}: no « in its snippet"))?;
    let (marked, after) = rest.split_once('»').ok_or_else(|| format!("{name}: no » in its snippet"))?;
    let snippet = format!("{before}{marked}{after}");
    let count = text.matches(&snippet).count();
    if count != 1 {
        return Err(format!("{name}: its snippet stands {count} times in {}: {snippet}", mutant.file).into());
    }
    let choice = format!("{before}(if crate::seeded(\"{name}\") {{ {becomes} }} else {{ {marked} }}){after}");
    Ok(text.replacen(&snippet, &choice, 1))
}

/// Cargo takes two packages of one name and version in one target folder for the same, wherever they are: what it compiled
/// here would count as the package itself, and a change of that would then not be tested.
fn another_version(files: &mut BTreeMap<PathBuf, Vec<u8>>, path: &str) -> Result<()> {
    let of_package = format!("name = \"{}\"\nversion = \"{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let seeded = format!("{of_package}+seeded");
    edit(files, path, |text| text.replace(&of_package, &seeded))?;
    let text = std::str::from_utf8(&files[Path::new(path)])?;
    if text.contains(&seeded) { Ok(()) } else { Err(format!("{path} does not say {of_package}").into()) }
}

fn edit(files: &mut BTreeMap<PathBuf, Vec<u8>>, path: &str, change: impl FnOnce(String) -> String) -> Result<()> {
    let text = files.get_mut(Path::new(path)).ok_or_else(|| format!("there is no {path}"))?;
    *text = change(String::from_utf8(std::mem::take(text))?).into_bytes();
    Ok(())
}

/// Text with a word replaced; what is no text stays.
fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    std::str::from_utf8(text).map_or_else(|_| text.to_vec(), |text| text.replace(from, to).into_bytes())
}

fn gather(root: &Path, under: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(root.join(under))? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|out| *out == name) {
            continue;
        }
        let path = under.join(name);
        if entry.file_type()?.is_dir() {
            gather(root, &path, files)?;
        } else {
            files.insert(path, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Takes away what the package no longer has.
fn forget(copy: &Path, under: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(copy.join(under))? {
        let entry = entry?;
        let path = under.join(entry.file_name());
        if LEFT_OUT.iter().any(|out| path == Path::new(out)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            forget(copy, &path, files)?;
        } else if !files.contains_key(&path) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The control plane that was built is that of the package.
fn link_cache(root: &Path, copy: &Path) -> Result<()> {
    let (cache, link) = (root.join(".cache"), copy.join(".cache"));
    if cache.exists() && !link.exists() {
        std::os::unix::fs::symlink(cache.canonicalize()?, link)?;
    }
    Ok(())
}
