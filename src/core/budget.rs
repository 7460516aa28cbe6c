//! How many checks at once one integration may have: a burst of 10, then one a minute.

use jiff::{SignedDuration, Timestamp};

const BURST: i32 = 10;
const PERIOD: SignedDuration = SignedDuration::from_secs(60);

/// A bucket of [`BURST`] tokens that gains one every [`PERIOD`], kept as the one moment at which it will be full
/// again (the generic cell rate algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    full_at: Option<Timestamp>,
}

impl Budget {
    /// The earliest moment for a check at once: `now`, or when the next token comes.
    #[must_use]
    pub fn earliest(self, now: Timestamp) -> Timestamp {
        let full = self.full_at(now);
        full.checked_sub(PERIOD * (BURST - 1)).map_or(now, |at| at.max(now))
    }

    /// The budget after a check at `now`.
    #[must_use]
    pub fn spend(self, now: Timestamp) -> Self {
        Self { full_at: self.full_at(now).checked_add(PERIOD).ok() }
    }

    /// The budget as it is to be remembered at `now`: never more than a whole bucket ahead.
    ///
    /// Otherwise a clock that was set back would hold checks until it has caught up.
    #[must_use]
    pub fn seen_at(self, now: Timestamp) -> Self {
        let latest = now.checked_add(PERIOD * BURST).unwrap_or(now);
        Self { full_at: self.full_at.map(|at| at.min(latest)) }
    }

    fn full_at(self, now: Timestamp) -> Timestamp {
        self.seen_at(now).full_at.map_or(now, |at| at.max(now))
    }
}
