//! Leader election against a real API server. Takeover times are those that users are promised; other limits are only
//! the points where a test gives up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "lease/faults.rs"]
mod faults;
#[path = "lease/seat.rs"]
mod seat;
#[path = "lease/stopped.rs"]
mod stopped;
mod support;

use std::time::{Duration, Instant};

use futures::future::join_all;
use seat::{DEFAULT, Room, SHORT};
use support::wait_for;

/// A machine that is busy with other tests is slow.
const LIMIT: Duration = Duration::from_secs(30);
/// What a clean takeover may take, and what a dead leader's may take beyond the lease duration.
const TAKEOVER: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_that_start_together_exactly_one_leads_and_it_alone_writes() {
    let room = Room::new("five").await;
    let seats: Vec<_> = (0..5).map(|number| room.seat(&format!("elector-{number}"), SHORT)).collect();
    let leader = room.leader(&seats, LIMIT).await;
    room.watch_for(Duration::from_secs(5), &seats).await;
    assert!(seats[leader].leads(), "it leads on");
    let lease = room.lease().await.unwrap().spec.unwrap();
    assert_eq!(lease.holder_identity.as_deref(), Some(seats[leader].identity.as_str()));
    assert_eq!((lease.lease_duration_seconds, lease.lease_transitions), (Some(3), Some(0)));
    assert!(lease.renew_time.unwrap() > lease.acquire_time.unwrap());
    for (number, seat) in seats.iter().enumerate() {
        let asked = room.asked(&seat.identity);
        let writes = asked.iter().filter(|seen| seen.is_write() && seen.code < 300).count();
        if number == leader {
            // A renewal is one request: it knows what it wrote last.
            assert!((8..=16).contains(&writes), "{writes} writes in 5 s");
            assert!(asked.len() - writes <= 3, "{asked:#?}");
        } else {
            assert_eq!(writes, 0, "{asked:#?}");
            assert!(asked.iter().all(|seen| matches!(seen.verb.as_str(), "get" | "create")), "{asked:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_within_three_seconds_with_the_default_settings() {
    let room = Room::new("handover").await;
    let mut seats = vec![room.seat("first", DEFAULT)];
    room.leader(&seats, LIMIT).await;
    let mut times = Vec::new();
    for turn in 1..=3 {
        seats.push(room.seat(&format!("next-{turn}"), DEFAULT));
        let waits = seats[1].identity.clone();
        wait_for("the standby to have looked", LIMIT, async || !room.asked(&waits).is_empty()).await.unwrap();
        let began = Instant::now();
        let first = seats.remove(0);
        let stopped = first.stop();
        let (_, ended) = tokio::join!(room.leader(&seats, TAKEOVER), async { stopped.await.map(|()| began.elapsed()) });
        times.push(began.elapsed());
        assert!(ended.unwrap() < TAKEOVER);
        assert_eq!(room.lease().await.unwrap().spec.unwrap().lease_transitions, Some(turn));
    }
    println!("takeover after a clean stop: {times:.1?}");
    assert!(times.iter().all(|time| *time <= TAKEOVER), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_released_with_nobody_there_is_empty_and_a_standby_that_stops_leaves_it_alone() {
    let room = Room::new("released").await;
    let leader = room.seat("leader", SHORT);
    room.leader(std::slice::from_ref(&leader), LIMIT).await;
    let standby = room.seat("standby", SHORT);
    wait_for("it to look", LIMIT, async || !room.asked("standby").is_empty()).await.unwrap();
    let watched = standby.leading.clone();
    standby.stop().await.unwrap();
    assert!(!watched.borrow().is_leader_now());
    assert!(leader.leads());
    assert!(room.asked("standby").iter().all(|seen| !seen.is_write()));
    let watched = leader.leading.clone();
    leader.stop().await.unwrap();
    assert!(!watched.borrow().is_leader_now());
    let lease = room.lease().await.unwrap().spec.unwrap();
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some(""), Some(0)));
}

/// The leader's task vanishes, as with SIGKILL; then the successor's.
async fn dies(seconds: u64, settings: seat::Times) {
    let room = Room::new("death").await;
    let mut seats = vec![room.seat("first", settings)];
    room.leader(&seats, LIMIT).await;
    seats.push(room.seat("second", settings));
    wait_for("it to look", LIMIT, async || !room.asked("second").is_empty()).await.unwrap();
    tokio::time::sleep(settings.2).await;
    let began = Instant::now();
    let dead = seats.remove(0);
    let last_words = dead.leading.clone();
    dead.kill();
    room.leader(&seats, Duration::from_secs(seconds) + TAKEOVER).await;
    let took = began.elapsed();
    println!("takeover after a silent death with a lease of {seconds} s: {took:.1?}");
    assert!(took <= Duration::from_secs(seconds) + TAKEOVER, "{took:?}");
    assert!(!last_words.borrow().is_leader_now());
    assert_eq!(room.lease().await.unwrap().spec.unwrap().lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leaders_lease_is_taken_over_within_the_lease_duration_and_three_seconds() {
    join_all([(3, SHORT), (15, DEFAULT)].map(|(seconds, settings)| dies(seconds, settings))).await;
}
