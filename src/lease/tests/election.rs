//! Elections in which everything is late: each instance has a clock of its own rate, wall clocks that jump or stand,
//! pauses anywhere, answers that are lost, and writes that arrive after their sender has given up on them.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::lease::candidate::{Action, Candidate};
use crate::lease::record::LeaseRecord;

const LEASE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// The Lease in memory: a version that no two states share, and compare-and-swap.
#[derive(Default)]
struct Server {
    version: u64,
    record: Option<LeaseRecord>,
}

/// A write on its way: replaces the version that was read, or creates (`None`).
#[derive(Clone)]
struct Write {
    expects: Option<u64>,
    record: LeaseRecord,
}

impl Server {
    fn apply(&mut self, write: &Write) -> Option<(u64, LeaseRecord)> {
        if write.expects != self.record.as_ref().map(|_| self.version) {
            return None;
        }
        self.version += 1;
        self.record = Some(write.record.clone());
        Some((self.version, write.record.clone()))
    }
}

/// Where an instance is between two pauses.
enum Phase {
    Idle,
    /// The server has answered the read.
    Answered(Option<(u64, LeaseRecord)>),
    /// A write was sent at this local time.
    Sent(Write, Instant),
    /// The server has answered the write.
    Written(Option<(u64, LeaseRecord)>, Instant),
}

struct Instance {
    candidate: Candidate,
    /// In thousandths: how much local time passes in a second.
    rate: u32,
    local: Instant,
    wall: Timestamp,
    version: Option<u64>,
    phase: Phase,
    releases: bool,
}

impl Instance {
    fn new(number: usize, rate: u32) -> Self {
        // Clocks have nothing in common, not even the beginning.
        let local = Instant::now() + Duration::from_secs(1000 * number as u64);
        let candidate = Candidate::new(format!("instance-{number}"), LEASE, DEADLINE, local);
        let wall = Timestamp::from_second(1_800_000_000).unwrap();
        Self { candidate, rate, local, wall, version: None, phase: Phase::Idle, releases: false }
    }

    fn leads(&self) -> bool {
        self.candidate.leading().is_leader_at(self.local)
    }

    /// Goes on to the next point where it could be paused. A leader that knows the version writes without a look, as
    /// the elector does.
    fn proceed(&mut self, server: &mut Server) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle if self.leads() && self.version.is_some() => self.decide(),
            Phase::Idle => Phase::Answered(server.record.clone().map(|record| (server.version, record))),
            Phase::Answered(answer) => {
                self.version = answer.as_ref().map(|(version, _)| *version);
                self.candidate.saw(answer.map(|(_, record)| record), self.local);
                self.decide()
            }
            Phase::Sent(write, sent) => Phase::Written(server.apply(&write), sent),
            Phase::Written(answer, sent) => {
                self.version = answer.as_ref().map(|(version, _)| *version);
                if let Some((_, record)) = answer {
                    self.candidate.wrote(record, sent, self.local);
                }
                Phase::Idle
            }
        };
    }

    fn decide(&mut self) -> Phase {
        if std::mem::take(&mut self.releases) {
            self.candidate.stand_by();
            let Some(own) = self.candidate.own_record() else { return Phase::Idle };
            return Phase::Sent(Write { expects: self.version, record: own.released(self.wall) }, self.local);
        }
        let (expects, record) = match self.candidate.next(self.local, self.wall) {
            Action::Wait(_) => return Phase::Idle,
            Action::Create(record) => (None, record),
            Action::Acquire(record) | Action::Renew(record) => (self.version, record),
        };
        Phase::Sent(Write { expects, record }, self.local)
    }

    /// Gives up on what is under way. A write that was sent may still arrive.
    fn lose(&mut self) -> Option<Write> {
        self.version = None;
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Sent(write, _) => Some(write),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// Time passes, in ms.
    Pass(u64),
    /// An instance goes on; the others are paused.
    Proceed(usize),
    /// What an instance waits for is lost or timed out.
    Lose(usize),
    /// A write that was given up on arrives.
    Late(usize),
    /// A wall clock is set, in seconds from a common time.
    Set(usize, i64),
    /// An instance is asked to stop: it releases, and begins anew under its name, which is worse than a new one.
    Release(usize),
    /// The Lease gets an unknown holder, or its label is edited (`false`).
    Edit(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u64..3_000).prop_map(Event::Pass),
        1 => (0_u64..20_000).prop_map(Event::Pass),
        16 => (0_usize..3).prop_map(Event::Proceed),
        1 => (0_usize..3).prop_map(Event::Lose),
        1 => (0_usize..4).prop_map(Event::Late),
        1 => (0_usize..3, -20_i64..20).prop_map(|(which, second)| Event::Set(which, second)),
        1 => (0_usize..3).prop_map(Event::Release),
        1 => Just(Event::Edit(false)),
    ]
}

struct World {
    server: Server,
    instances: Vec<Instance>,
    late: Vec<Write>,
}

impl World {
    /// With the rates of the clocks, in thousandths.
    fn new(rates: &[u32]) -> Self {
        let instances = rates.iter().enumerate().map(|(number, rate)| Instance::new(number, *rate)).collect();
        Self { server: Server::default(), instances, late: Vec::new() }
    }

    fn pass(&mut self, time: Duration) {
        for instance in &mut self.instances {
            let local = time * instance.rate / 1000;
            instance.local += local;
            // Some wall clocks stand still: renewals are to be seen all the same.
            if instance.rate % 2 == 0 {
                instance.wall += local;
            }
        }
    }

    fn happens(&mut self, event: &Event) {
        let count = self.instances.len();
        match *event {
            Event::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Event::Proceed(which) => self.instances[which % count].proceed(&mut self.server),
            Event::Lose(which) => self.late.extend(self.instances[which % count].lose()),
            Event::Late(which) if !self.late.is_empty() => {
                let write = self.late.swap_remove(which % self.late.len());
                self.server.apply(&write);
            }
            Event::Late(_) => {}
            Event::Set(which, second) => {
                self.instances[which % count].wall = Timestamp::from_second(1_800_000_000 + second).unwrap();
            }
            Event::Release(which) => self.release(which % count),
            Event::Edit(holder) => self.edit(holder),
        }
    }

    fn release(&mut self, which: usize) {
        let instance = &mut self.instances[which];
        instance.candidate.stand_by();
        instance.releases = true;
        let lost = instance.lose();
        self.late.extend(lost);
    }

    fn edit(&mut self, holder: bool) {
        self.server.version += 1;
        if holder {
            let somebody = LeaseRecord::taken(None, "somebody", LEASE, self.instances[0].wall);
            self.server.record = Some(somebody);
        }
    }

    fn leading(&self) -> Vec<bool> {
        self.instances.iter().map(Instance::leads).collect()
    }

    fn leaders(&self) -> usize {
        self.instances.iter().filter(|instance| instance.leads()).count()
    }

    /// All faults over: everyone goes on every retry period. Gives how long it took until somebody led.
    fn calm(&mut self) -> Option<Duration> {
        for instance in &mut self.instances {
            instance.lose();
            instance.releases = false;
        }
        let mut passed = Duration::ZERO;
        while passed < Duration::from_mins(2) {
            for which in 0..self.instances.len() {
                for _ in 0..4 {
                    self.instances[which].proceed(&mut self.server);
                }
            }
            if self.leaders() == 1 {
                return Some(passed);
            }
            self.pass(RETRY);
            passed += RETRY;
        }
        None
    }
}

/// Two or three clocks whose rates differ by less than 15 to 10: the fastest gains nearly half.
fn rates() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(1000_u32..1500, 2..=3)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec(event(), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Leadership begins only at an event and ends by itself, so a look after each event misses nothing.
    #[test]
    fn no_two_lead_at_the_same_time(rates in rates(), events in events()) {
        let mut world = World::new(&rates);
        for (number, event) in events.iter().enumerate() {
            world.happens(event);
            prop_assert!(world.leaders() <= 1, "two lead after event {number}, {event:?}");
        }
    }

    #[test]
    fn somebody_leads_soon_after_the_faults_are_over_and_goes_on_leading(
        rates in rates(),
        events in events(),
        deleted in any::<bool>(),
        taken in any::<bool>(),
    ) {
        let mut world = World::new(&rates);
        for event in &events {
            world.happens(event);
        }
        if taken {
            world.edit(true);
        }
        if deleted {
            world.server = Server { version: world.server.version + 1, record: None };
            // No clock stands still from one Lease to the next, so a new one never looks like the one before.
            for instance in &mut world.instances {
                instance.wall += Duration::from_micros(1);
            }
        }
        // The slowest clock needs 15 s for another's lease; looking takes two periods more.
        let took = world.calm();
        prop_assert!(took.is_some_and(|took| took <= LEASE + 3 * RETRY), "{took:?}");
        for _ in 0..60 {
            let before = world.leading();
            world.pass(RETRY);
            for instance in &mut world.instances {
                (0..4).for_each(|_| instance.proceed(&mut world.server));
            }
            prop_assert_eq!(world.leading(), before, "leadership moved without a cause");
        }
    }
}

#[test]
fn with_clocks_that_differ_more_two_can_lead_so_the_model_is_able_to_fail() {
    // The second clock gains so much that it waits less real time than the first one leads.
    let mut world = World::new(&[1000, 2000]);
    for event in [0, 0, 0, 0].map(Event::Proceed) {
        world.happens(&event);
    }
    assert_eq!(world.leading(), [true, false]);
    for event in [1, 1].map(Event::Proceed) {
        world.happens(&event);
    }
    world.pass(Duration::from_secs(8));
    for event in [1, 1, 1, 1].map(Event::Proceed) {
        world.happens(&event);
    }
    assert_eq!(world.leaders(), 2);
}

#[test]
fn a_late_write_of_a_leader_that_gave_up_on_it_takes_nothing_from_its_successor() {
    let mut world = World::new(&[1000, 1000]);
    [0, 0, 0, 0].map(Event::Proceed).iter().for_each(|event| world.happens(event));
    // A renewal goes out and hangs; the standby has seen the record before it.
    [1, 1, 0].map(Event::Proceed).iter().for_each(|event| world.happens(event));
    world.happens(&Event::Lose(0));
    world.pass(LEASE);
    [1, 1, 1, 1].map(Event::Proceed).iter().for_each(|event| world.happens(event));
    assert_eq!(world.leading(), [false, true]);
    world.happens(&Event::Late(0));
    assert_eq!(world.server.record.as_ref().unwrap().holder.as_deref(), Some("instance-1"));
    assert_eq!(world.leading(), [false, true]);
}
