//! What one instance knows of the Lease and does next: pure. Times are those of the local monotonic clock.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Leading;
use super::record::LeaseRecord;

/// What is known of the Lease at one moment, for [`step`].
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The record that was last seen; `None` when no Lease was ever seen.
    pub record: Option<&'a LeaseRecord>,
    /// Whether the Lease was there at the last look. If not, `record` is what it said before somebody deleted it.
    pub exists: bool,
    /// When this record was first seen, after the answer that held it.
    pub observed_at: Instant,
    /// Now, on the same clock.
    pub now: Instant,
    /// The wall clock, only to be written.
    pub wall: Timestamp,
    /// Who this instance is.
    pub identity: &'a str,
    /// This instance's own lease duration.
    pub lease_duration: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is no Lease: create one with this record.
    Create(LeaseRecord),
    /// Nobody holds it, or its holder is gone: replace it, if it is still the one that was judged.
    Acquire(LeaseRecord),
    /// This instance's name is in it: replace it, if it is still the one that was judged.
    Renew(LeaseRecord),
    /// Another holds it; unless it changes it expires after this long.
    Wait(Duration),
}

/// Decides what to do about the Lease as it is known.
///
/// Another's record holds for the duration that it names (the holder gave its word for that one), from when it was
/// first seen. A record with one's own name may be renewed however old it is: nobody else has taken it. A Lease that
/// was deleted still holds for those who saw it, but not longer than one's own duration: its holder will create it
/// again, and an absurd duration can be mended by deleting it. client-go takes a deleted Lease at once, and has two
/// leaders until the renew deadline.
#[must_use]
pub fn step(observed: &Observed) -> Action {
    let &Observed { record, exists, observed_at, now, wall, identity, lease_duration } = observed;
    let Some(record) = record else { return Action::Create(LeaseRecord::taken(None, identity, lease_duration, wall)) };
    let mut holds = match &record.holder {
        Some(holder) if holder != identity => record.duration.unwrap_or(lease_duration),
        _ => Duration::ZERO,
    };
    if !exists {
        holds = holds.min(lease_duration);
    }
    let left = holds.saturating_sub(now.saturating_duration_since(observed_at));
    if !left.is_zero() {
        Action::Wait(left)
    } else if !exists {
        Action::Create(LeaseRecord::taken(None, identity, lease_duration, wall))
    } else if record.is_held_by(identity) {
        Action::Renew(record.renewed(lease_duration, wall))
    } else {
        Action::Acquire(LeaseRecord::taken(Some(record), identity, lease_duration, wall))
    }
}

/// One instance's memory of the Lease. Who calls it does the reading and writing.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    lease_duration: Duration,
    renew_deadline: Duration,
    record: Option<LeaseRecord>,
    exists: bool,
    observed_at: Instant,
    leading: Leading,
    /// Terms so far.
    terms: u64,
}

impl Candidate {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(identity: String, lease_duration: Duration, renew_deadline: Duration, now: Instant) -> Self {
        let leading = Leading::Standby;
        let (record, exists, terms) = (None, false, 0);
        Self { identity, lease_duration, renew_deadline, record, exists, observed_at: now, leading, terms }
    }

    /// Takes in what a read found. `received` is a time after the answer came: a record may have been written any time
    /// before. Another's name in it ends one's own leadership, whatever the deadline.
    pub fn saw(&mut self, record: Option<LeaseRecord>, received: Instant) {
        self.exists = record.is_some();
        let Some(record) = record else { return };
        if !record.is_held_by(&self.identity) {
            self.leading = Leading::Standby;
        }
        if self.record.as_ref() != Some(&record) {
            self.record = Some(record);
            self.observed_at = received;
        }
    }

    /// Takes in that a write succeeded and what the Lease holds now. `sent` is a time before the request went out, so
    /// the write is not older than that.
    pub fn wrote(&mut self, record: LeaseRecord, sent: Instant, received: Instant) {
        let mine = record.is_held_by(&self.identity);
        self.saw(Some(record), received);
        if mine {
            self.terms += u64::from(self.leading == Leading::Standby);
            self.leading = Leading::Leader { term: self.terms, until: sent + self.renew_deadline };
        }
    }

    /// What to do about the Lease as it was last seen.
    #[must_use]
    pub fn next(&self, now: Instant, wall: Timestamp) -> Action {
        step(&Observed {
            record: self.record.as_ref(),
            exists: self.exists,
            observed_at: self.observed_at,
            now,
            wall,
            identity: &self.identity,
            lease_duration: self.lease_duration,
        })
    }

    /// Gives up leading, because the deadline has passed or the process ends. The Lease is not touched.
    pub fn stand_by(&mut self) {
        self.leading = Leading::Standby;
    }

    /// Whether it leads, and until when.
    #[must_use]
    pub fn leading(&self) -> Leading {
        self.leading
    }

    /// Whose name was last seen in the Lease.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.record.as_ref().filter(|_| self.exists)?.holder.as_deref()
    }

    /// The record last seen, if it has this instance's name.
    #[must_use]
    pub fn own_record(&self) -> Option<&LeaseRecord> {
        self.record.as_ref().filter(|record| self.exists && record.is_held_by(&self.identity))
    }
}
