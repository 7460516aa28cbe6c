//! Where it was measured, and what.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Cores, processor, memory, kernel, and the commit; what cannot be told is null.
pub fn facts(operator: &Path) -> Value {
    let cpu = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned());
    let dirty = said("git", &["status", "--porcelain"]).map(|lines| !lines.is_empty());
    json!({
        "cores": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        "processor": cpu,
        "memory": memory,
        "kernel": kernel,
        "load": std::fs::read_to_string("/proc/loadavg").ok().map(|text| text.trim().to_owned()),
        "commit": said("git", &["rev-parse", "HEAD"]),
        "changed": dirty,
        "operator": operator.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(operator).display().to_string(),
    })
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
