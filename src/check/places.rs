//! Places: how many checks are in flight for one host of a partner, how fast they start, and who goes first.

use std::collections::btree_map::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use url::Url;

/// Checks that share a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// The name of the `Partner`.
    pub partner: String,
    /// The host of the region's endpoint; see [`host_of`].
    pub host: String,
}

/// Who goes first. Within one order: first come, first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Order {
    /// A T that is not proved yet.
    Unproved,
    /// The repeat of a connected one.
    Repeat,
}

/// The places of all lanes. Cheap to clone.
#[derive(Clone)]
pub struct Places {
    shared: Arc<Shared>,
}

struct Shared {
    limit: usize,
    lanes: Mutex<HashMap<Arc<LaneKey>, Lane>>,
}

/// A place: one check may be in flight for as long as this lives.
#[must_use = "the place is given back when this is dropped"]
pub struct Place {
    shared: Arc<Shared>,
    key: Arc<LaneKey>,
    ticket: Ticket,
}

/// Position in a lane's queue: the order, then a number that grows.
type Ticket = (Order, u64);

#[derive(Default)]
struct Lane {
    in_flight: usize,
    waiting: BTreeMap<Ticket, oneshot::Sender<()>>,
    next_number: u64,
    /// What `maxPerSecond` said last.
    rate: Option<u32>,
    /// The earliest time at which the next place may be given.
    not_before: Option<Instant>,
    /// Whether a task sleeps until then.
    has_timer: bool,
}

impl Places {
    /// Places for at most `limit` checks in flight in each lane.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { shared: Arc::new(Shared { limit: limit.max(1), lanes: Mutex::default() }) }
    }

    /// Waits for a place, from this call on and not only once the future is polled: it holds no more than the place.
    ///
    /// `rate` is the Partner's `maxPerSecond`: places of the lane are given at least `1/rate` seconds apart; the value
    /// that came last counts for all who wait. Who goes next is decided when a place can be given, so an
    /// [`Order::Unproved`] that comes while repeats wait for the rate goes before them.
    ///
    /// Dropping the future gives up waiting, at any time. A waiting check is a map entry and a channel, no task.
    pub fn enter(&self, lane: LaneKey, rate: Option<u32>, order: Order) -> impl Future<Output = Place> + use<> {
        let (place, given) = self.queue(lane, rate, order);
        async move {
            // The sender is dropped unsent only with the lane, and a lane with somebody waiting is never removed.
            let _ = given.await;
            place
        }
    }

    /// Checks in flight now.
    #[must_use]
    pub fn in_flight(&self, lane: &LaneKey) -> usize {
        self.shared.lock().get(lane).map_or(0, |lane| lane.in_flight)
    }

    /// Checks in flight now of each partner that has any, or that somebody waits for.
    #[must_use]
    pub fn in_flight_by_partner(&self) -> HashMap<String, u64> {
        let mut partners = HashMap::new();
        for (key, lane) in &*self.shared.lock() {
            let count: &mut u64 = partners.entry(key.partner.clone()).or_default();
            *count += u64::try_from(lane.in_flight).unwrap_or(u64::MAX);
        }
        partners
    }

    fn queue(&self, lane: LaneKey, rate: Option<u32>, order: Order) -> (Place, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let mut lanes = self.shared.lock();
        let entry = lanes.entry(Arc::new(lane));
        let key = Arc::clone(entry.key());
        let lane = entry.or_default();
        lane.rate = rate;
        let ticket = (order, lane.next_number);
        lane.next_number += 1;
        lane.waiting.insert(ticket, sender);
        let place = Place { shared: Arc::clone(&self.shared), key: Arc::clone(&key), ticket };
        self.shared.advance(&mut lanes, &key);
        drop(lanes);
        (place, receiver)
    }
}

impl Drop for Place {
    /// Gives the place back, or the position in the queue where there is no place yet.
    fn drop(&mut self) {
        let mut lanes = self.shared.lock();
        if let Some(lane) = lanes.get_mut(&self.key)
            && lane.waiting.remove(&self.ticket).is_none()
        {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        self.shared.advance(&mut lanes, &self.key);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<LaneKey>, Lane>> {
        // Nothing in here panics while it holds the lock; were it so, the counts would still be whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what can be given, sees to it that somebody comes back for the rest, and removes a lane that is idle.
    fn advance(self: &Arc<Self>, lanes: &mut HashMap<Arc<LaneKey>, Lane>, key: &Arc<LaneKey>) {
        let Entry::Occupied(mut entry) = lanes.entry(Arc::clone(key)) else { return };
        let lane = entry.get_mut();
        let now = Instant::now();
        lane.give(self.limit, now);
        // The lane outlives its last check until the rate allows the next one: a fresh lane would forget when that is.
        match lane.not_before.filter(|then| *then > now) {
            Some(then) if lane.in_flight < self.limit && !lane.has_timer => {
                lane.has_timer = self.come_back(then, Arc::clone(key));
            }
            None if lane.in_flight == 0 && lane.waiting.is_empty() && !lane.has_timer => {
                entry.remove();
            }
            _ => {}
        }
    }

    /// Advances the lane again at `then`. One task for a lane at most, and it holds nothing alive. False where there
    /// is no runtime any more, as when places are dropped after it: then nobody waits either.
    fn come_back(self: &Arc<Self>, then: Instant, key: Arc<LaneKey>) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return false };
        let shared = Arc::downgrade(self);
        runtime.spawn(async move {
            sleep_until(then).await;
            if let Some(shared) = shared.upgrade() {
                let mut lanes = shared.lock();
                if let Some(lane) = lanes.get_mut(&key) {
                    lane.has_timer = false;
                }
                shared.advance(&mut lanes, &key);
            }
        });
        true
    }
}

impl Lane {
    fn give(&mut self, limit: usize, now: Instant) {
        while self.in_flight < limit && self.not_before.is_none_or(|then| then <= now) {
            let Some((_, sender)) = self.waiting.pop_first() else { return };
            self.in_flight += 1;
            // From the moment it was given, not from when it could have been: never two closer than the rate allows.
            self.not_before = self.rate.map(|rate| now + Duration::from_secs(1) / rate.max(1));
            // Who gave up while being given the place gives it back by dropping it.
            let _ = sender.send(());
        }
    }
}

/// The host of an endpoint, as the client reads it, without the port; the whole text when it is no address.
#[must_use]
pub fn host_of(endpoint: &str) -> String {
    Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| endpoint.to_owned())
}

#[cfg(test)]
mod tests;
