//! When no status is being written: what comes behind status writes waits for that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// The status writes in flight.
#[derive(Default)]
pub struct StatusWrites {
    in_flight: AtomicUsize,
    none: Notify,
}

/// One of them, until it is dropped.
pub struct InFlight<'a>(&'a StatusWrites);

impl StatusWrites {
    /// Counts one, for as long as what is given lives.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Waits until none is in flight, but for no longer than this: what waits is late then, and not lost.
    pub async fn lull(&self, longest: Duration) {
        let none = async {
            loop {
                let ended = self.none.notified();
                if self.in_flight.load(Ordering::Relaxed) == 0 {
                    break;
                }
                ended.await;
            }
        };
        let _ = timeout(longest, none).await;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const LONGEST: Duration = Duration::from_secs(1);

    async fn waited(writes: &StatusWrites) -> Duration {
        let began = Instant::now();
        writes.lull(LONGEST).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lull_is_when_the_last_write_has_ended_and_comes_after_a_second_at_the_latest() {
        let writes = StatusWrites::default();
        assert_eq!(waited(&writes).await, Duration::ZERO);
        let (one, two) = (writes.begin(), writes.begin());
        assert_eq!(waited(&writes).await, LONGEST);
        drop(one);
        let ends = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(two);
        };
        let (waited, ()) = tokio::join!(waited(&writes), ends);
        assert_eq!(waited, Duration::from_millis(300));
    }
}
