//! Compiling the copy, and running its tests one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Result;
use super::table::{Killer, LIB};

/// How long one test may run. A fault that makes it hang is noticed, too.
const LIMIT: Duration = Duration::from_mins(2);
/// Whatever a run of cargo tells its children; the copy is a package of its own.
const CARGO: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The programs that hold the tests, by target.
pub struct Built {
    package: PathBuf,
    programs: BTreeMap<&'static str, PathBuf>,
}

/// How a test ended.
#[derive(Debug)]
pub enum Ran {
    /// It passed.
    Passed,
    /// It failed, or did not end.
    Failed,
    /// There is no test of this name.
    Missing,
}

/// Compiles the tests of the copy with the profile that this program was built with, into the same folder: the dependencies
/// are there already.
///
/// # Errors
/// It does not compile; the compiler's messages are shown.
pub fn build(package: &Path, targets: &BTreeSet<&'static str>) -> Result<Built> {
    let this = std::env::current_exe()?;
    let folder = this.ancestors().nth(2).ok_or("this program stands in no folder of cargo's")?;
    let target = folder.parent().ok_or("no target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => return Err("no profile".into()),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(package).env("CARGO_TARGET_DIR", target);
    for (name, _) in std::env::vars().filter(|(name, _)| CARGO.iter().any(|own| name.starts_with(own))) {
        command.env_remove(name);
    }
    command.args(["test", "--no-run", "--locked", "--message-format=json-render-diagnostics", "--profile", profile]);
    for target in targets {
        if *target == LIB {
            command.arg("--lib");
        } else {
            command.args(["--test", target]);
        }
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the copy with the seeded faults does not compile: see above".into());
    }
    let mut programs = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let (Some(program), Some(kind)) = (message["executable"].as_str(), message["target"]["kind"][0].as_str())
        else {
            continue;
        };
        let name = if kind == "lib" { LIB } else { message["target"]["name"].as_str().unwrap_or_default() };
        if let Some(target) = targets.iter().find(|target| **target == name && kind != "bin") {
            programs.insert(*target, PathBuf::from(program));
        }
    }
    Ok(Built { package: package.to_owned(), programs })
}

impl Built {
    /// Runs one test with this fault, or with none.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn run(&self, killer: &Killer, fault: Option<&str>) -> Result<Ran> {
        let program = self.programs.get(killer.target).ok_or_else(|| format!("{} was not built", killer.target))?;
        let mut command = Command::new(program);
        command.current_dir(&self.package).args(["--exact", killer.test]);
        // A property that fails would otherwise leave a file behind, and a snapshot a new one.
        command
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
            .env("INSTA_UPDATE", "no")
            .env("RUST_BACKTRACE", "0");
        match fault {
            Some(fault) => command.env("SEEDED_MUTANT", fault),
            None => command.env_remove("SEEDED_MUTANT"),
        };
        let log = tempfile::NamedTempFile::new()?;
        let mut child = command.stdin(Stdio::null()).stdout(log.reopen()?).stderr(Stdio::null()).spawn()?;
        let began = Instant::now();
        let passed = loop {
            if let Some(status) = child.try_wait()? {
                break status.success();
            }
            if began.elapsed() > LIMIT {
                child.kill()?;
                child.wait()?;
                break false;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if std::fs::read_to_string(log.path())?.contains("running 0 tests") {
            return Ok(Ran::Missing);
        }
        Ok(if passed { Ran::Passed } else { Ran::Failed })
    }
}
