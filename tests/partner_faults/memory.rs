//! What floods cost: bytes of memory, measured over many checks at once.

use std::time::Duration;

use super::behaviour::Behaviour;
use super::case::{Case, Prior};
use super::server::Mode;
use super::stage::Stage;
use super::world::{is_observed, reason};

/// Checks at once.
const AT_ONCE: usize = 8;
/// What one check may hold at its most, in MiB: 64 KiB of body take about 2 MiB as JSON and again as CEL, where it is
/// nothing but empty lists; buffers of TLS and HTTP are below one.
const EACH_MIB: u64 = 6;

/// One flood, for a few integrations at once. Gives by how many KiB the process grew at most.
pub async fn measure(stage: &Stage, behaviour: &Behaviour) -> u64 {
    let mut cases = Vec::new();
    for n in 0..AT_ONCE {
        let mut case = Case::new(stage, behaviour, &format!("flood-{n}"), Prior::Available);
        case.set(stage, Mode::Bad).await;
        cases.push(case);
    }
    let partner = format!("{}-flood", behaviour.name);
    let regions: Vec<_> = cases.iter().enumerate().map(|(n, case)| (format!("r{n}"), case.endpoint())).collect();
    stage.partner(&partner, behaviour, &regions, 1).await;
    let pid = stage.operator.pid();
    let before = kib(pid, "VmRSS:");
    // The highest so far is forgotten: what is read later was reached from here.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    let names: Vec<_> = (0..AT_ONCE).map(|n| format!("{partner}-{n}")).collect();
    for (name, (region, _)) in names.iter().zip(&regions) {
        stage.integration(name, &partner, region).await;
    }
    for name in &names {
        let found = stage.first(name, "judged", |it| is_observed(it) && reason(it) != "Pending").await;
        let why = reason(&found.object);
        assert!(why == behaviour.reason || behaviour.or == Some(why), "{name}: {why}");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let grown = kib(pid, "VmHWM:").saturating_sub(before);
    for name in &names {
        stage.delete(name).await;
    }
    let most = AT_ONCE as u64 * EACH_MIB * 1024;
    assert!(grown <= most, "{}: {AT_ONCE} checks took {grown} KiB, more than {most}", behaviour.name);
    grown
}

fn kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
