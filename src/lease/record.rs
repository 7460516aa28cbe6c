//! What a Lease says, without the wrapping: pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The election's part of a Lease. Two that are equal mean that the holder has not renewed in between; so labels and
/// annotations, which others edit, are not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; `None` when nobody does: it was released.
    pub holder: Option<String>,
    /// How long after a renewal others must wait. `None` when the Lease has none that makes sense.
    pub duration: Option<Duration>,
    /// When the holder took it, by the holder's wall clock. For people.
    pub acquired: Option<Timestamp>,
    /// When the holder last renewed it, by the holder's wall clock. For people, and so that a renewal is a change.
    pub renewed: Option<Timestamp>,
    /// How often it went from one holder to another.
    pub transitions: i32,
}

impl LeaseRecord {
    /// Takes a Lease for `holder` from whatever was there before, `None` when there was no Lease. As in client-go,
    /// each taking counts as a transition, except the first and one that finds its own name.
    #[must_use]
    pub fn taken(previous: Option<&Self>, holder: &str, duration: Duration, wall: Timestamp) -> Self {
        let wall = microseconds(wall);
        Self {
            holder: Some(holder.to_owned()),
            duration: Some(whole_seconds(duration)),
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: previous.map_or(0, |previous| previous.transitions.saturating_add(1).max(0)),
        }
    }

    /// The same, renewed. The time goes forward even where the wall clock does not: the API server takes an equal
    /// record for no change, and others would not see that the holder is alive.
    #[must_use]
    pub fn renewed(&self, duration: Duration, wall: Timestamp) -> Self {
        let next = self.renewed.and_then(|last| last.checked_add(jiff::SignedDuration::from_micros(1)).ok());
        let renewed = microseconds(next.map_or(wall, |next| wall.max(next)));
        Self { duration: Some(whole_seconds(duration)), renewed: Some(renewed), ..self.clone() }
    }

    /// The same with nobody as the holder: whoever looks next may take it.
    #[must_use]
    pub fn released(&self, wall: Timestamp) -> Self {
        Self { holder: None, ..self.renewed(Duration::from_secs(1), wall) }
    }

    /// Whether `identity` holds it, as far as the record says; whether it has expired is another question.
    #[must_use]
    pub fn is_held_by(&self, identity: &str) -> bool {
        self.holder.as_deref() == Some(identity)
    }

    /// Writes it into a Lease, and leaves what is not the election's alone.
    pub fn write_into(self, spec: &mut LeaseSpec) {
        let Self { holder, duration, acquired, renewed, transitions } = self;
        spec.holder_identity = Some(holder.unwrap_or_default());
        spec.lease_duration_seconds = duration.map(|d| i32::try_from(d.as_secs()).unwrap_or(i32::MAX));
        spec.acquire_time = acquired.map(MicroTime);
        spec.renew_time = renewed.map(MicroTime);
        spec.lease_transitions = Some(transitions);
    }
}

impl From<&LeaseSpec> for LeaseRecord {
    fn from(spec: &LeaseSpec) -> Self {
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.clone().filter(|holder| !holder.is_empty()),
            duration: seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// A Lease counts in seconds. Up, never down: others must not take over before the holder has given up.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

/// A Lease holds microseconds.
fn microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
