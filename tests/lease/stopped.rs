//! A leader that does not run: its elector hangs, or the whole process is stopped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use partner_integration_operator::lease::Leading;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::LIMIT;
use crate::seat::{Room, SHORT, leader};
use crate::support::wait_for;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_the_end_of_leadership_though_the_elector_hangs() {
    let room = Room::new("hangs").await;
    let (config, (sender, leading)) = (room.plane.config().unwrap(), watch::channel(Leading::Standby));
    let (hang, stop) = (CancellationToken::new(), CancellationToken::new());
    // A runtime of one thread, which one task of it holds up.
    let thread = {
        let (hang, stop) = (hang.clone(), stop.clone());
        let (namespace, plane, client) = (room.namespace.clone(), room.plane, room.client.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let elector = Room { plane, client, namespace }.elector(config, "hangs", SHORT);
                let running = tokio::spawn(elector.run(stop, sender));
                hang.cancelled().await;
                std::thread::sleep(Duration::from_secs(8));
                running.await.unwrap();
            });
        })
    };
    wait_for("it to lead", LIMIT, async || leading.borrow().is_leader_now()).await.unwrap();
    let other = [room.seat("other", SHORT)];
    wait_for("it to look", LIMIT, async || !room.asked("other").is_empty()).await.unwrap();
    hang.cancel();
    let began = Instant::now();
    wait_for("it to end", LIMIT, async || !leading.borrow().is_leader_now()).await.unwrap();
    assert!(began.elapsed() < SHORT.1 + Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(matches!(*leading.borrow(), Leading::Leader { .. }), "only the clock has told: the elector hangs");
    room.leader(&other, LIMIT).await;
    // It wakes up meanwhile.
    while began.elapsed() < Duration::from_secs(10) {
        assert!(!leading.borrow().is_leader_now());
        assert_eq!(leader(&other), Some(0));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*leading.borrow(), Leading::Standby);
    stop.cancel();
    tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    assert_eq!(leader(&other), Some(0), "what another holds is not released");
}

/// Where the child process finds the API server and the namespace.
const CHILD: &str = "LEASE_TEST_CHILD";

/// Not a test by itself: the process that is stopped. It says each 2 ms when it asked, in ms since boot, and the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test"]
async fn a_leader_in_a_process_of_its_own() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (kubeconfig, namespace) = place.split_once('|').unwrap();
    crate::support::tls_provider();
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let settings = partner_integration_operator::lease::Settings {
        name: crate::seat::LEASE.to_owned(),
        namespace: namespace.to_owned(),
        identity: "stopped".to_owned(),
        lease_duration: SHORT.0,
        renew_deadline: SHORT.1,
        retry_period: SHORT.2,
    };
    let elector = partner_integration_operator::lease::Elector::new(client, settings).unwrap();
    let (sender, leading) = watch::channel(Leading::Standby);
    let running = tokio::spawn(elector.run(CancellationToken::new(), sender));
    let began = Instant::now();
    // Bounded, should nobody end it.
    while began.elapsed() < Duration::from_mins(1) && !running.is_finished() {
        let asked = since_boot();
        println!("\nasked {asked} {}", leading.borrow().is_leader_now());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// In ms, the same for all processes.
fn since_boot() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    let (seconds, hundredths) = text.split_whitespace().next().unwrap().split_once('.').unwrap();
    seconds.parse::<u64>().unwrap() * 1000 + hundredths.parse::<u64>().unwrap() * 10
}

/// Kills the child whatever happens.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Guard {
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_stopped_past_its_lease_and_resumed_never_says_that_it_leads() {
    let room = Room::new("sigstop").await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "stopped::a_leader_in_a_process_of_its_own"])
        .env(CHILD, format!("{}|{}", room.plane.kubeconfig().display(), room.namespace))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let guard = Guard(child);
    let (sender, said) = watch::channel(Vec::<(u64, bool)>::new());
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ');
            if words.next() == Some("asked") {
                let (at, leads) = (words.next().unwrap().parse().unwrap(), words.next() == Some("true"));
                sender.send_modify(|said| said.push((at, leads)));
            }
        }
    });
    wait_for("it to lead", LIMIT, async || said.borrow().last().is_some_and(|(_, leads)| *leads)).await.unwrap();
    let other = [room.seat("other", SHORT)];
    wait_for("it to look", LIMIT, async || !room.asked("other").is_empty()).await.unwrap();
    guard.signal("-STOP");
    room.leader(&other, LIMIT).await;
    let resumed = since_boot();
    guard.signal("-CONT");
    room.watch_for(Duration::from_secs(3), &other).await;
    assert_eq!(leader(&other), Some(0));
    drop(guard);
    reader.join().unwrap();
    let said = said.borrow();
    let after: Vec<_> = said.iter().filter(|(at, _)| *at >= resumed).collect();
    assert!(after.len() > 100, "it has run on: {}", after.len());
    assert!(after.iter().all(|(_, leads)| !leads), "it said that it leads after it was resumed");
}
