//! Edits that return to where they began: whatever the way, the state is that of a fresh object of the same spec.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::cases::Bases;
use crate::end;
use crate::ground::{Ground, LIMIT};
use crate::rows;
use crate::schema::Kind;
use crate::state::{Edit, Elsewhere, NAME, State, Subject};

/// So many sequences are made side by side.
const TOGETHER: usize = 24;
/// What may still be on its way after the state is right: it must stay so.
const QUIET: Duration = Duration::from_millis(700);
/// The fewest edits before the way back.
const LEAST: usize = 5;
/// The budget of checks at once of one integration; the first one is its creation.
const CHECKS: usize = 9;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub sequences: AtomicU64,
    pub edits: AtomicU64,
    /// Those that ended connected; the others ended as their start says.
    pub connected: AtomicU64,
}

/// Makes so many sequences, or only that of this number.
pub async fn run(
    ground: &Ground,
    bases: &Bases,
    elsewhere: &Elsewhere,
    seed: u64,
    count: usize,
    only: Option<usize>,
) -> Seen {
    let counted = Seen::default();
    let counts = &counted;
    stream::iter((0..count).filter(|number| only.is_none_or(|only| only == *number)))
        .for_each_concurrent(TOGETHER, |number| async move {
            let namespace = ground.namespace("sequence").await;
            let subject = Subject { ground, bases, elsewhere, namespace };
            let mut way = Way::of(seed, number);
            if let Err(problem) = way.go(&subject, counts).await {
                let again = crate::again("sequences", number);
                ground.violation(format!("sequence {number}: {problem}\n  way: {:?}\n  again: {again}", way.made));
            }
            counts.sequences.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    counted
}

/// One sequence.
struct Way {
    random: StdRng,
    start: State,
    there: Vec<Edit>,
    /// What was done so far, for the report of a violation.
    made: Vec<Edit>,
}

impl Way {
    fn of(seed: u64, number: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let mut start = State::default();
        // Most begin connected, some with another state, which may be a failed one.
        for _ in 0..random.random_range(0..3) {
            start = start.after(Edit::any(&mut random));
        }
        let mut there = Vec::new();
        let (mut state, mut checks) = (start.clone(), 0);
        let length = random.random_range(LEAST..=LEAST + 3);
        while there.len() < length {
            let edit = Edit::any(&mut random);
            let after = state.after(edit);
            let back = after.towards(&start).into_iter().filter(|edit| edit.costs()).count();
            let fits = checks + usize::from(edit.costs()) + back <= CHECKS;
            if after != state && fits {
                checks += usize::from(edit.costs());
                state = after;
                there.push(edit);
            }
        }
        Self { random, start, there, made: Vec::new() }
    }

    async fn go(&mut self, subject: &Subject<'_>, seen: &Seen) -> Result<(), String> {
        let said = |status: Box<kube::core::Status>| format!("refused: {}", status.message);
        subject.prepare(&self.start).await.map_err(said)?;
        let created = subject.create(&self.start, NAME).await.map_err(said)?;
        subject.ground.observed(Kind::Integration, &subject.namespace, NAME, &created).await?;
        let mut state = self.start.clone();
        for edit in self.there.clone() {
            state = self.step(subject, &state, edit).await?;
        }
        let mut back = state.towards(&self.start);
        back.shuffle(&mut self.random);
        for edit in back {
            state = self.step(subject, &state, edit).await?;
        }
        assert_eq!(state, self.start);
        seen.edits.fetch_add(self.made.len() as u64, Ordering::Relaxed);
        let fresh = subject.create(&self.start, "fresh").await.map_err(said)?;
        let fresh = subject.ground.observed(Kind::Integration, &subject.namespace, "fresh", &fresh).await?;
        seen.connected.fetch_add(u64::from(rows::reason(&fresh, "Connected") == "Connected"), Ordering::Relaxed);
        compare(subject).await?;
        tokio::time::sleep(QUIET).await;
        compare(subject).await?;
        subject.ground.remove(&subject.namespace, NAME).await;
        subject.ground.remove(&subject.namespace, "fresh").await;
        subject.ground.delete(Kind::Partner, "", &subject.namespace).await;
        Ok(())
    }

    /// One edit, and a wait, or none: what is on its way must not matter.
    async fn step(&mut self, subject: &Subject<'_>, state: &State, edit: Edit) -> Result<State, String> {
        self.made.push(edit);
        let after = subject.edit(state, edit).await.map_err(|status| format!("refused: {}", status.message))?;
        match self.random.random_range(0..10) {
            0..4 => {}
            4..7 => tokio::time::sleep(Duration::from_millis(self.random.random_range(1..300))).await,
            _ => {
                let observed = rows::is_observed;
                let ground = subject.ground;
                ground.until(Kind::Integration, &subject.namespace, NAME, "observed on the way", observed).await?;
            }
        }
        Ok(after)
    }
}

/// Waits until the integration of the long way is as the fresh one.
async fn compare(subject: &Subject<'_>) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let of =
            async |name: &str| -> Result<Value, String> { end::of(subject.ground, &subject.namespace, name).await };
        let (way, fresh) = (of(NAME).await, of("fresh").await);
        if let (Ok(way), Ok(fresh)) = (&way, &fresh)
            && way == fresh
        {
            return Ok(());
        }
        if began.elapsed() > LIMIT {
            return Err(format!("the way matters:\n  way:   {way:?}\n  fresh: {fresh:?}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
