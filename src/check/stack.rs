//! Threads with a deep stack, for the CEL parser and evaluator.
//!
//! Both recurse, and overflowing a stack ends the process: 17 nested brackets want more than the 2 MiB that a
//! thread has by default in a debug build. So they run on threads of their own, never on the runtime's,
//! within the limits of nesting that [`super::expression`] sets first. A panic in there ends with the thread.

use std::thread::Builder;

use tokio::sync::{Semaphore, oneshot};

/// Address space; memory is used only as deep as a stack grows. Twice of what the limits were seen to need.
const STACK: usize = 16 * 1024 * 1024;

/// Runs `job` and waits for it. `None` when it panicked or there is no thread to be had.
pub(super) fn run_blocking<R: Send>(job: impl FnOnce() -> R + Send) -> Option<R> {
    std::thread::scope(|scope| {
        Builder::new().name("cel-parse".into()).stack_size(STACK).spawn_scoped(scope, job).ok()?.join().ok()
    })
}

/// A bounded number of such threads.
pub(super) struct DeepThreads {
    slots: std::sync::Arc<Semaphore>,
}

impl DeepThreads {
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: std::sync::Arc::new(Semaphore::new(limit)) }
    }

    /// Runs `job` once a thread is free. `None` when it panicked or there is no thread to be had.
    ///
    /// Dropping the future gives up waiting. A job that has begun goes on and holds its slot until it ends; what
    /// bounds that are the rules that an expression has to keep.
    pub(super) async fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let _ = sender.send(job());
            drop(slot);
        };
        // Not joined: the channel tells of the end, also of one by panic, which drops the sender and the slot.
        Builder::new().name("cel".into()).stack_size(STACK).spawn(work).ok()?;
        receiver.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_no_answer_and_gives_its_slot_back() {
        let threads = DeepThreads::new(1);
        for _ in 0..3 {
            assert_eq!(threads.run(|| -> u8 { std::panic::resume_unwind(Box::new(())) }).await, None);
        }
        assert_eq!(threads.run(|| 7).await, Some(7));
        assert_eq!(run_blocking(|| -> u8 { std::panic::resume_unwind(Box::new(())) }), None);
    }

    #[tokio::test]
    async fn no_more_run_at_once_than_the_limit() {
        let threads = Arc::new(DeepThreads::new(2));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..10).map(|_| {
            let (threads, now, most) = (threads.clone(), now.clone(), most.clone());
            async move {
                threads
                    .run(move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(5));
                        now.fetch_sub(1, Ordering::SeqCst);
                    })
                    .await
            }
        });
        assert!(futures::future::join_all(jobs).await.into_iter().all(|done| done.is_some()));
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
