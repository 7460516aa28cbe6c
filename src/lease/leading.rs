//! What the rest of the operator sees of the election.

use std::time::Duration;

use tokio::time::Instant;

/// Whether this instance leads. Ask [`is_leader_now`](Self::is_leader_now) before whatever only a leader may do; the
/// variant alone can be stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leading {
    /// Another instance leads, or nobody does.
    #[default]
    Standby,
    /// This one leads, unless the clock says otherwise.
    Leader {
        /// Which of this process's terms it is, from 1 on. It stays the same while the Lease is renewed in time.
        term: u64,
        /// By when it must have renewed, on the monotonic clock of this machine. From then on it leads no more.
        until: Instant,
    },
}

impl Leading {
    /// Of an instance that works alone: leads for longer than anything runs.
    #[must_use]
    pub fn without_election() -> Self {
        const A_LIFETIME: Duration = Duration::from_hours(30 * 365 * 24);
        Self::Leader { term: 1, until: Instant::now() + A_LIFETIME }
    }

    /// Whether this instance leads at this moment. False from the renew deadline on, also when the elector hangs, or
    /// when the whole process was stopped and goes on after it.
    #[must_use]
    pub fn is_leader_now(&self) -> bool {
        self.is_leader_at(Instant::now())
    }

    /// The same at a given time.
    #[must_use]
    pub fn is_leader_at(&self, now: Instant) -> bool {
        matches!(self, Self::Leader { until, .. } if now < *until)
    }
}
