//! When a T is checked again.

use std::time::Duration;

use jiff::Timestamp;

use super::standing::Standing;
use super::{Anchor, AnchorKind, Class, Reason};
use crate::api::{Failing, PartnerIntegrationStatus, Phase};

/// How often is looked at what should wake the operator by itself, in case a watch lost an event.
pub const SAFETY_LOOK: Duration = Duration::from_mins(10);
/// Failures of more than this many checks in a row are not counted any further.
pub const COUNT_STOPS_AT: u32 = 10;

const TRANSIENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
const NEEDS_PERSON: (Duration, Duration) = (Duration::from_mins(10), Duration::from_hours(1));
const BELOW_THRESHOLD: Duration = Duration::from_secs(10);
/// The longest delay that there is besides the interval; also what Retry-After is clamped to.
const LONGEST: Duration = Duration::from_hours(1);

/// The next check of a T that is proved or failing, counted from `anchor`.
///
/// `reason` is the one that `Connected` gives in `status`, `interval` the partner's.
pub fn next_check(
    standing: Standing,
    anchor: &Anchor,
    status: &PartnerIntegrationStatus,
    reason: Option<Reason>,
    interval: Duration,
) -> Timestamp {
    match (standing, anchor.kind) {
        (Standing::Unknown, _) => anchor.at,
        (Standing::Looked, _) => after(anchor.at, SAFETY_LOOK),
        (Standing::Proved, AnchorKind::Found) => {
            let soonest = Duration::from_mins(1).min(interval / 10);
            after(anchor.at, between(soonest, interval, anchor.draw))
        }
        (Standing::Proved, _) => after(anchor.at, interval.mul_f64(0.9 + 0.2 * anchor.draw)),
        (Standing::Failing(count), AnchorKind::Found) => {
            let full = full_delay(status.phase, reason, count, interval);
            let longest = jittered(status.phase, reason, count, interval, 1.0);
            match planned(status.failing.as_ref(), anchor.at, longest) {
                Some(at) => at,
                None => after(anchor.at, full.mul_f64(anchor.draw)),
            }
        }
        (Standing::Failing(count), kind) => {
            let asked = match kind {
                AnchorKind::Ended { retry_after } => retry_after.unwrap_or_default(),
                AnchorKind::Found | AnchorKind::Looked => Duration::ZERO,
            };
            let delay = jittered(status.phase, reason, count, interval, anchor.draw);
            whole_second(after(anchor.at, delay.max(asked)))
        }
    }
}

/// Before when a check request is not answered, because the partner asked for rest.
///
/// A process that finds a failing T cannot tell a plain outage from one with Retry-After, so it keeps to
/// `notBefore` for all that may have been one.
pub fn rest(anchor: &Anchor, status: &PartnerIntegrationStatus, reason: Option<Reason>) -> Option<Timestamp> {
    match anchor.kind {
        AnchorKind::Ended { retry_after } => retry_after.map(|asked| after(anchor.at, asked)),
        AnchorKind::Looked => None,
        AnchorKind::Found => match reason {
            Some(Reason::RateLimited | Reason::PartnerUnavailable | Reason::CheckFailing) => {
                planned(status.failing.as_ref(), anchor.at, LONGEST)
            }
            _ => None,
        },
    }
}

/// `notBefore`, while it lies ahead of `found`. One that lies further ahead than any delay can reach comes from a
/// clock that was wrong; it is brought back to the longest that it may be.
fn planned(failing: Option<&Failing>, found: Timestamp, longest: Duration) -> Option<Timestamp> {
    let at = failing?.not_before.0;
    (at > found).then(|| at.min(after(found, longest.max(LONGEST))))
}

/// first × 2^(count − 1), no longer than the last of its class.
fn full_delay(phase: Phase, reason: Option<Reason>, count: u32, interval: Duration) -> Duration {
    let (first, longest) = match (phase, reason.and_then(Reason::class)) {
        (Phase::Enabled, _) => (BELOW_THRESHOLD, interval),
        (_, Some(Class::NeedsPerson)) => NEEDS_PERSON,
        (_, Some(Class::Transient | Class::Waiting) | None) => TRANSIENT,
    };
    first.saturating_mul(1 << (count.clamp(1, COUNT_STOPS_AT) - 1)).min(longest)
}

/// The delay as drawn: ± 20 % below the threshold, full jitter for what is transient, none for what needs a person.
fn jittered(phase: Phase, reason: Option<Reason>, count: u32, interval: Duration, draw: f64) -> Duration {
    let full = full_delay(phase, reason, count, interval);
    match (phase, reason.and_then(Reason::class)) {
        (Phase::Enabled, _) => full.mul_f64(0.8 + 0.4 * draw).min(interval),
        (_, Some(Class::NeedsPerson)) => full,
        (_, Some(Class::Transient | Class::Waiting) | None) => full.mul_f64(draw),
    }
}

fn between(from: Duration, to: Duration, draw: f64) -> Duration {
    from + to.saturating_sub(from).mul_f64(draw)
}

fn after(at: Timestamp, delay: Duration) -> Timestamp {
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// Rounded up: a time in a status is whole seconds, and must not say less than was meant.
fn whole_second(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(at)
}
