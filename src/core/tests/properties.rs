//! What holds of every decision, whatever is observed, and of every story, whatever happens in it.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::arbitrary::{verdicts, worlds};
use super::fixture::{Slot, World, failed};
use super::invariants::broken;
use crate::api::Phase;
use crate::core::{CheckOrder, Reason, Verdict, decide};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// `step` judges every status that is written: the invariants, S1, S5, and that it changes something.
    #[test]
    fn whatever_is_observed_there_is_a_decision_and_a_status_that_holds_together(mut world in worlds()) {
        let deleted = world.integration.metadata.deletion_timestamp.is_some();
        let before = world.integration.status.clone();
        let decision = world.step();
        if deleted {
            prop_assert_eq!((&decision.status, &decision.check), (&None, &CheckOrder::Cancel));
        } else if let CheckOrder::Start(plan) = &decision.check {
            prop_assert_eq!(&plan.tuple, &world.tuple(), "only what is wanted is checked");
            prop_assert_eq!(plan.began_with, crate::core::Fingerprint::of(world.integration.status.as_ref()));
        }
        // It looks again, unless only a change of a watched object can matter.
        let rests = deleted || matches!(world.integration.status.as_ref().map(|status| status.phase), Some(Phase::Available));
        prop_assert!(decision.next_look.is_some() || rests);
        prop_assert!(decision.next_look.is_none_or(|look| look <= Duration::from_secs(26 * 3600 + 1440)));
        // A status that is left as it is either holds together, or its T is being checked or will be.
        if !deleted && world.writes == 0 && before.as_ref().is_none_or(|status| broken(status).is_some()) {
            prop_assert!(world.is_open() || world.look.is_some());
        }
    }

    #[test]
    fn deciding_again_writes_nothing_and_starts_nothing(mut world in worlds()) {
        let first = world.step();
        let again = decide(&world.seen());
        prop_assert_eq!(&again.status, &None);
        prop_assert!(!matches!(again.check, CheckOrder::Start(_)), "{:?} after {:?}", again.check, first.check);
        prop_assert_eq!(&again.memory, &world.memory);
        if matches!(first.check, CheckOrder::Start(_)) {
            prop_assert_eq!(again.check, CheckOrder::Leave);
        } else {
            prop_assert_eq!(again.next_look, first.next_look);
        }
    }

    #[test]
    fn every_world_comes_to_a_status_that_holds_together(mut world in worlds(), verdict in verdicts()) {
        world.integration.metadata.deletion_timestamp = None;
        world.step();
        world.settle(&verdict);
        prop_assert_eq!(broken(world.status()), None);
        prop_assert_eq!(Some(world.status().observed_generation), world.integration.metadata.generation);
        let (writes, status) = (world.writes, world.status().clone());
        world.settle(&verdict);
        prop_assert_eq!((world.writes, world.status()), (writes, &status), "a stable state is not written");
    }
}

/// Starts of checks in `span` after an end at `first`, by the schedule that `delay` gives for each check's number.
fn expected_checks(first: Timestamp, span: Duration, mut delay: impl FnMut(u32) -> Duration, whole: bool) -> usize {
    let (end, mut at) = (first.checked_add(span).unwrap(), first);
    for number in 1.. {
        at = at.checked_add(delay(number)).unwrap();
        if whole {
            at = Timestamp::from_second(at.as_second() + i64::from(at.subsec_nanosecond() > 0)).unwrap();
        }
        if at > end {
            return usize::try_from(number - 1).unwrap();
        }
        at = at.checked_add(Duration::from_millis(100)).unwrap();
    }
    unreachable!()
}

const DAY: Duration = Duration::from_secs(86_400);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_connected_day_costs_the_scheduled_checks_and_no_write(
        interval in select(vec!["30s", "1m", "10m", "1h", "24h"]), draw in 0.0..1.0,
    ) {
        let mut world = World::new();
        world.draw = draw;
        world.partner.check.interval = interval.parse().unwrap();
        world.step();
        world.end(Verdict::Connected);
        let mut world = world.forget_counts();
        let each = world.partner.check.interval.get().mul_f64(0.9 + 0.2 * draw);
        let expected = expected_checks(world.now, DAY, |_| each, false);
        world.run(DAY, |_, _| Verdict::Connected);
        prop_assert_eq!((world.checks, world.writes), (expected, 0));
    }

    #[test]
    fn a_failed_day_costs_the_scheduled_checks_and_nine_writes(
        (reason, first, last) in select(vec![(Reason::Timeout, 1, 300), (Reason::CredentialRejected, 600, 3600)]),
        draw in 0.1..1.0,
    ) {
        let mut world = World::new();
        world.draw = draw;
        world.step();
        world.end(failed(reason));
        let mut world = world.forget_counts();
        let jitter = if reason == Reason::Timeout { draw } else { 1.0 };
        let delay = |count: u32| Duration::from_secs((first << (count.min(10) - 1)).min(last)).mul_f64(jitter);
        let expected = expected_checks(world.now, DAY, delay, true);
        world.run(DAY, |_, _| failed(reason));
        prop_assert_eq!((world.checks, world.writes), (expected, 9), "nothing more once the count is ten");
    }

    #[test]
    fn a_day_of_waiting_costs_nothing(absent in any::<bool>()) {
        let mut world = World::new();
        world.secret = if absent { crate::core::SecretSeen::Absent } else { crate::core::SecretSeen::Forbidden };
        world.step();
        world.run(DAY, |_, _| unreachable!("nothing can be sent"));
        prop_assert_eq!((world.checks, world.writes), (0, 1));
    }
}

/// A wall clock that somebody sets, over a time that runs on: the operator's timers go by the latter.
struct Clock {
    world: World,
    elapsed: Duration,
    wake: Option<Duration>,
    began: Vec<Duration>,
    ended: Vec<Duration>,
}

impl Clock {
    fn to(&mut self, elapsed: Duration) {
        self.world.advance(elapsed - self.elapsed);
        self.elapsed = elapsed;
    }

    fn step(&mut self) {
        let decision = self.world.step();
        self.wake = decision.next_look.map(|look| self.elapsed + look);
        if matches!(decision.check, CheckOrder::Start(_)) {
            self.began.push(self.elapsed);
        }
    }

    fn set(&mut self, by: i64) {
        let second = self.world.now.as_second() + by;
        self.world.now = Timestamp::from_second(second).unwrap();
    }

    /// Until `end`, with each check answered after 100 ms.
    fn run(&mut self, end: Duration, verdicts: &[Verdict], draws: &[f64]) {
        for round in 0..100_000 {
            self.world.draw = draws[round % draws.len()];
            if matches!(self.world.slot, Slot::Open { .. }) {
                let latency = Duration::from_millis(100);
                self.world.answer_after(latency, verdicts[self.began.len() % verdicts.len()].clone());
                self.elapsed += latency;
                self.ended.push(self.elapsed);
            } else {
                match self.wake {
                    Some(wake) if wake <= end => self.to(wake.max(self.elapsed)),
                    _ => break,
                }
            }
            self.step();
        }
        if self.elapsed < end {
            self.to(end);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Every time the clock is set, what was planned may be planned once more from then on; not more.
    #[test]
    fn a_hostile_clock_neither_stops_checks_nor_makes_a_hot_loop(
        changes in prop::collection::vec((0_u64..4 * 3600, -400_000_000_i64..400_000_000, any::<bool>()), 0..4),
        verdicts in prop::collection::vec(verdicts(), 1..6),
        draws in prop::collection::vec(0.2..1.0, 1..20),
        interval in select(vec!["30s", "10m", "1h"]),
    ) {
        let mut world = World::new();
        world.partner.check.interval = interval.parse().unwrap();
        let mut clock =
            Clock { world, elapsed: Duration::ZERO, wake: None, began: Vec::new(), ended: Vec::new() };
        clock.step();
        let mut changes = changes;
        changes.sort_by_key(|(at, ..)| *at);
        for (at, by, restart) in &changes {
            clock.run(Duration::from_secs(*at), &verdicts, &draws);
            clock.set(*by);
            if *restart {
                (clock.world.memory, clock.world.slot) = (crate::core::Memory::default(), Slot::Idle);
                clock.step();
            }
        }
        clock.run(Duration::from_secs(12 * 3600), &verdicts, &draws);
        let longest = Duration::from_secs(3600).mul_f64(1.1) + Duration::from_secs(1);
        let moments = clock.began.iter().copied().chain([clock.elapsed]);
        for (began, next) in clock.began.iter().zip(moments.skip(1)) {
            let changed = changes.iter().filter(|(at, ..)| (*began..next).contains(&Duration::from_secs(*at))).count();
            prop_assert!(next - *began <= longest * u32::try_from(changed + 1).unwrap(), "{began:?} to {next:?}");
        }
        for window in clock.began.windows(13) {
            prop_assert!(window[12] - window[0] > Duration::from_secs(60), "13 checks in a minute: {window:?}");
        }
    }
}
