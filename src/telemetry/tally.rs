//! Bounds the spans that wait for the collector, counts those that it never gets, and says so: once when it begins, once
//! when it is over, and not for each of them.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

/// Spans that wait at most, about 1 KiB each. The SDK has a queue of the same length behind this; it keeps its own
/// count of what finds no room to itself.
pub(super) const QUEUE: usize = 2048;
/// Between two lines that say that the queue was full.
const AGAIN: Duration = Duration::from_mins(1);

/// What the two ends of the queue know.
#[derive(Debug, Default)]
pub(super) struct Tally {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

impl Tally {
    /// Spans that no collector has got so far and that were not yet told of, those that still wait among them.
    pub(super) fn untold(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed) as u64
    }

    fn takes_one(&self) -> bool {
        let room = |waiting| (waiting < QUEUE).then_some(waiting + 1);
        let taken = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if !taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

/// A processor that takes a span if there is room, and never waits.
#[derive(Debug)]
pub(super) struct Bounded<P>(pub(super) P, pub(super) Arc<Tally>);

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // The processor behind drops those that are not sampled.
        if span.span_context.is_sampled() && self.1.takes_one() {
            self.0.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// An exporter whose failures are told of.
pub(super) struct Told<E> {
    exporter: E,
    tally: Arc<Tally>,
    row: Mutex<Row>,
}

impl<E> Told<E> {
    pub(super) fn new(exporter: E, tally: Arc<Tally>) -> Self {
        Self { exporter, tally, row: Mutex::default() }
    }
}

impl<E> fmt::Debug for Told<E> {
    // The exporter may hold headers with credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.tally.waiting.fetch_sub(spans, Ordering::Relaxed);
        let done = self.exporter.export(batch).await;
        let full = self.tally.lost.swap(0, Ordering::Relaxed);
        let lost = full + if done.is_err() { spans as u64 } else { 0 };
        let say = self.row.lock().unwrap_or_else(PoisonError::into_inner).after(done.is_err(), lost, Instant::now());
        match (say, &done) {
            (Some(Say::Failing), Err(error)) => tracing::warn!(
                %error,
                "traces are not taken by the collector, and are dropped until they are; does --otlp-endpoint name a port \
                 for OTLP over HTTP, usually 4318?"
            ),
            (Some(Say::Mended(dropped)), _) => tracing::info!(dropped, "traces are taken by the collector again"),
            (Some(Say::Full(dropped)), _) => {
                tracing::warn!(
                    dropped,
                    "more spans end than the collector takes; set OTEL_TRACES_SAMPLER to send fewer"
                );
            }
            _ => {}
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Failing,
    Mended(u64),
    Full(u64),
}

/// Exports in a row that failed, and what was lost since the last line.
#[derive(Debug, Default)]
struct Row {
    failing: bool,
    lost: u64,
    said: Option<Instant>,
}

impl Row {
    fn after(&mut self, failed: bool, lost: u64, now: Instant) -> Option<Say> {
        self.lost += lost;
        let was_failing = std::mem::replace(&mut self.failing, failed);
        match (was_failing, failed) {
            (false, true) => Some(Say::Failing),
            (true, true) => None,
            (true, false) => Some(Say::Mended(std::mem::take(&mut self.lost))),
            (false, false) => {
                let quiet = self.said.is_some_and(|said| now.duration_since(said) < AGAIN);
                if self.lost == 0 || quiet {
                    return None;
                }
                self.said = Some(now);
                Some(Say::Full(std::mem::take(&mut self.lost)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_is_told_of_once_and_its_end_says_how_many_spans_were_lost() {
        let (mut row, now) = (Row::default(), Instant::now());
        assert_eq!(row.after(false, 0, now), None);
        assert_eq!(row.after(true, 512, now), Some(Say::Failing));
        assert_eq!(row.after(true, 512, now), None);
        assert_eq!(row.after(true, 100, now), None);
        assert_eq!(row.after(false, 7, now), Some(Say::Mended(1131)));
        assert_eq!(row.after(false, 0, now), None);
    }

    #[test]
    fn a_full_queue_is_told_of_once_a_minute() {
        let (mut row, now) = (Row::default(), Instant::now());
        assert_eq!(row.after(false, 3, now), Some(Say::Full(3)));
        assert_eq!(row.after(false, 4, now), None);
        assert_eq!(row.after(false, 5, now + AGAIN), Some(Say::Full(9)));
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let tally = Tally::default();
        let taken = (0..QUEUE + 7).filter(|_| tally.takes_one()).count();
        assert_eq!((taken, tally.untold()), (QUEUE, QUEUE as u64 + 7));
    }
}
