//! What the simulated partner has seen.

use std::collections::VecDeque;
use std::time::Instant;

/// How many requests are kept; older ones are forgotten, the counters are not.
const KEPT: usize = 50_000;

/// One request.
#[derive(Debug, Clone)]
pub struct Logged {
    /// When its head and body were read.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query as they came, the region's part too.
    pub path: String,
    /// The region that the path names, if the partner has it.
    pub region: Option<String>,
    /// Names (lower case) and values in their order; bytes that are no UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body, its first 64 KiB.
    pub body: Vec<u8>,
    /// The key that came: bearer token, password of Basic, or the value of a header of its own, without a prefix.
    pub key: Option<String>,
    /// Which connection, counted from 1.
    pub connection: u64,
    /// `h2` or `http/1.1`.
    pub alpn: String,
}

impl Logged {
    /// The value of a header (name in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// TCP connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// TLS handshakes that were completed.
    pub handshakes: u64,
    /// Requests read.
    pub requests: u64,
    /// Requests being answered now: falls at once when the client goes away.
    pub in_flight: u64,
    /// The most that were ever in flight at the same time.
    pub most_in_flight: u64,
}

/// The log itself.
#[derive(Default)]
pub struct Log {
    /// Totals.
    pub counters: Counters,
    requests: VecDeque<Logged>,
}

impl Log {
    /// Adds a request that is in flight from now on.
    pub fn add(&mut self, request: Logged) {
        self.counters.requests += 1;
        self.counters.in_flight += 1;
        self.counters.most_in_flight = self.counters.most_in_flight.max(self.counters.in_flight);
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// All that are kept, oldest first.
    pub fn requests(&self) -> Vec<Logged> {
        self.requests.iter().cloned().collect()
    }

    /// Forgets the requests, not the totals.
    pub fn clear(&mut self) {
        self.requests.clear();
    }
}
