//! What a process has taken of the machine, as Linux counts it.

use std::time::Duration;

use super::Result;

/// `USER_HZ`: what the times in `/proc` are counted in, on every Linux that Rust knows.
const TICKS: u64 = 100;

/// The processor time of a process so far, in steps of 10 ms.
///
/// # Errors
/// It does not run.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; the state is the first field behind it.
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<u64>().ok()).ok_or("no times in stat");
    let ticks = next()? + next()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// The most memory that a process ever held, in KiB.
///
/// # Errors
/// It does not run.
pub fn peak_kib(pid: u32) -> Result<u64> {
    of_status(pid, "VmHWM:")
}

/// The memory that a process holds now, in KiB.
///
/// # Errors
/// It does not run.
pub fn held_kib(pid: u32) -> Result<u64> {
    of_status(pid, "VmRSS:")
}

fn of_status(pid: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line in status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
