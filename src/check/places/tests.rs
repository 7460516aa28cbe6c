use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures::FutureExt as _;
use proptest::prelude::*;

use super::*;

fn lane(host: &str) -> LaneKey {
    LaneKey { partner: "datadog".into(), host: host.into() }
}

/// A place that has to be there within ten (paused) minutes.
async fn soon(entering: impl Future<Output = Place>) -> Place {
    tokio::time::timeout(Duration::from_mins(10), entering).await.expect("a place")
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

impl Places {
    fn lanes(&self) -> usize {
        self.shared.lock().len()
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_the_limit_and_each_that_ends_lets_one_in() {
    let places = Places::new(64);
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(places.enter(lane("a"), None, Order::Repeat).now_or_never().unwrap());
    }
    let mut next = pin!(places.enter(lane("a"), None, Order::Unproved));
    assert!(next.as_mut().now_or_never().is_none());
    // Other hosts and other partners have lanes of their own.
    let other = LaneKey { partner: "mailgun".into(), host: "a".into() };
    assert!(places.enter(other, None, Order::Repeat).now_or_never().is_some());
    assert!(places.enter(lane("b"), None, Order::Repeat).now_or_never().is_some());
    assert_eq!(places.in_flight(&lane("a")), 64);
    held.pop();
    let place = next.as_mut().now_or_never().unwrap();
    assert_eq!(places.in_flight(&lane("a")), 64);
    drop((held, place));
    assert_eq!((places.in_flight(&lane("a")), places.lanes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_unproved_go_before_repeats_and_each_in_the_order_they_came() {
    let places = Places::new(1);
    let first = soon(places.enter(lane("a"), None, Order::Repeat)).await;
    let (log, mut came) = tokio::sync::mpsc::unbounded_channel();
    for (name, order) in
        [("r1", Order::Repeat), ("u1", Order::Unproved), ("r2", Order::Repeat), ("u2", Order::Unproved)]
    {
        let (places, log) = (places.clone(), log.clone());
        tokio::spawn(async move {
            let _place = soon(places.enter(lane("a"), None, order)).await;
            log.send(name).unwrap();
        });
        settle().await;
    }
    drop((first, log));
    let mut order = Vec::new();
    while let Some(name) = came.recv().await {
        order.push(name);
    }
    assert_eq!(order, ["u1", "u2", "r1", "r2"]);
    assert_eq!(places.lanes(), 0);
}

#[tokio::test(start_paused = true)]
async fn places_are_given_as_far_apart_as_the_rate_says() {
    let places = Places::new(64);
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..5 {
        drop(soon(places.enter(lane("a"), Some(10), Order::Repeat)).await);
        times.push(start.elapsed().as_millis());
    }
    assert_eq!(times, [0, 100, 200, 300, 400]);
    assert_eq!(places.lanes(), 1, "a lane that the rate holds back is kept, or the rate would start anew");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(places.lanes(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unproved_one_that_comes_later_goes_before_repeats_that_wait_for_the_rate() {
    let places = Places::new(64);
    drop(soon(places.enter(lane("a"), Some(1), Order::Repeat)).await);
    let mut repeat = pin!(places.enter(lane("a"), Some(1), Order::Repeat));
    assert!(repeat.as_mut().now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(900)).await;
    let mut unproved = pin!(places.enter(lane("a"), Some(1), Order::Unproved));
    assert!(unproved.as_mut().now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(repeat.as_mut().now_or_never().is_none());
    drop(unproved.as_mut().now_or_never().expect("its turn"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(repeat.as_mut().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_the_one_that_came_last() {
    let places = Places::new(64);
    drop(soon(places.enter(lane("a"), Some(1), Order::Repeat)).await);
    let start = Instant::now();
    let waiting = places.clone();
    let task = tokio::spawn(async move {
        for _ in 0..3 {
            drop(soon(waiting.enter(lane("a"), Some(1000), Order::Repeat)).await);
        }
    });
    task.await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(1010), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn giving_up_at_any_time_leaks_no_place() {
    let places = Places::new(1);
    let held = soon(places.enter(lane("a"), None, Order::Repeat)).await;
    // Gives up while it waits.
    drop(Box::pin(places.enter(lane("a"), None, Order::Unproved)).now_or_never());
    // Gives up after the place was given to it, before it looked.
    let (given, receiver) = places.queue(lane("a"), None, Order::Unproved);
    drop(held);
    drop((given, receiver));
    // Gives up with the receiver gone first.
    let held = soon(places.enter(lane("a"), None, Order::Repeat)).await;
    let (waiting, receiver) = places.queue(lane("a"), None, Order::Unproved);
    drop(receiver);
    drop(held);
    assert_eq!(places.in_flight(&lane("a")), 1);
    drop(waiting);
    assert_eq!(places.lanes(), 0);
    // A future that was never polled takes nothing.
    drop(places.enter(lane("a"), None, Order::Repeat));
    assert_eq!(places.lanes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_gives_its_place_back() {
    let places = Places::new(1);
    let inner = places.clone();
    let task = tokio::spawn(async move {
        let _place = soon(inner.enter(lane("a"), None, Order::Repeat)).await;
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(task.await.is_err());
    assert_eq!(places.lanes(), 0);
}

#[test]
fn a_waiting_check_costs_little() {
    fn size<F: Future>(_: impl FnOnce() -> F) -> usize {
        size_of::<F>()
    }
    let places = Places::new(1);
    let size = size(|| places.enter(lane("a"), Some(1), Order::Repeat));
    assert!(size <= 256, "{size}");
}

#[test]
fn the_host_is_the_one_that_the_client_dials() {
    for (endpoint, host) in [
        ("https://api.example:8443/base", "api.example"),
        ("https://api.example", "api.example"),
        ("https://0x08080808/", "8.8.8.8"),
        ("https://[2606:4700:0::1111]:1/", "[2606:4700::1111]"),
        ("no address", "no address"),
    ] {
        assert_eq!(host_of(endpoint), host);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter { lane: u8, unproved: bool, rate: Option<u32> },
    Poll(usize),
    Drop(usize),
    Sleep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_u8, any::<bool>(), prop::option::of(1..50_u32))
            .prop_map(|(lane, unproved, rate)| Step::Enter { lane, unproved, rate }),
        3 => any::<prop::sample::Index>().prop_map(|index| Step::Poll(index.index(1000))),
        3 => any::<prop::sample::Index>().prop_map(|index| Step::Drop(index.index(1000))),
        1 => (0..2000_u64).prop_map(Step::Sleep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is entered, given up and given back, in any order: the limit holds, and nothing is left over.
    #[test]
    fn the_limit_holds_and_nothing_leaks(steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let places = Places::new(2);
            let mut waiting = Vec::new();
            let mut held: Vec<(u8, Place)> = Vec::new();
            for step in steps {
                match step {
                    Step::Enter { lane: n, unproved, rate } => {
                        let order = if unproved { Order::Unproved } else { Order::Repeat };
                        let places = places.clone();
                        waiting.push((n, Box::pin(async move { places.enter(lane(&n.to_string()), rate, order).await })));
                    }
                    Step::Poll(at) if !waiting.is_empty() => {
                        let at = at % waiting.len();
                        let (n, future) = &mut waiting[at];
                        let n = *n;
                        if let Poll::Ready(place) = futures::poll!(future.as_mut()) {
                            held.push((n, place));
                            drop(waiting.swap_remove(at));
                        }
                    }
                    Step::Drop(at) if at % 2 == 0 && !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                    Step::Drop(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
                    Step::Sleep(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                    Step::Poll(_) | Step::Drop(_) => {}
                }
                for n in 0..2_u8 {
                    let held = held.iter().filter(|(lane, _)| *lane == n).count();
                    let in_flight = places.in_flight(&lane(&n.to_string()));
                    assert!(held <= in_flight && in_flight <= 2, "{held} {in_flight}");
                }
            }
            // Whoever still waits gets a place in the end.
            drop(held);
            let rest = waiting.into_iter().map(|(_, future)| async move { drop(future.await) });
            tokio::time::timeout(Duration::from_mins(10), futures::future::join_all(rest)).await.expect("places");
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(places.lanes(), 0);
        });
    }
}
