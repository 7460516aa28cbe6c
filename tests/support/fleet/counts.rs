//! What was asked of the API server and of a partner between two moments.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::support::Result;
use crate::support::controlplane::{ControlPlane, Kind, Requests};
use crate::support::partner::{Counters, SimPartner};

/// The beginning.
pub struct Meter {
    requests: Requests,
    counters: Counters,
}

/// Exact counts of what happened since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Status writes of integrations that succeeded.
    pub status_writes: u64,
    /// Those that did not.
    pub refused_status_writes: u64,
    /// Every other write but those of Leases, by verb and resource.
    pub other_writes: BTreeMap<String, u64>,
    /// Reads, by verb and resource, without those of whoever measures. A watch counts when it has ended.
    pub reads: BTreeMap<String, u64>,
    /// Requests that the partner was sent.
    pub checks: u64,
    /// Connections that the partner accepted.
    pub connections: u64,
    /// The most requests in flight at the partner at once.
    pub most_in_flight: u64,
}

impl Meter {
    /// Begins to count.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn begin(plane: &ControlPlane, sim: &SimPartner) -> Result<Self> {
        sim.forget_most_in_flight();
        Ok(Self { requests: plane.requests().await?, counters: sim.counters() })
    }

    /// How many requests the partner had been sent when it began.
    pub fn checks_before(&self) -> u64 {
        self.counters.requests
    }

    /// What came since; `looks` lists of integrations were those of whoever measures.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn end(&self, plane: &ControlPlane, sim: &SimPartner, looks: u64) -> Result<Costs> {
        let (requests, counters) = (plane.requests().await?.since(&self.requests), sim.counters());
        let is_status = |kind: &Kind| kind.resource == "partnerintegrations" && kind.subresource == "status";
        let writes = requests.writes();
        let status_writes = writes.count(|kind| is_status(kind) && kind.code == "200");
        let reads = requests.0.iter().filter(|(kind, _)| !kind.resource.is_empty() && !writes.0.contains_key(*kind));
        let mut reads = by_name(reads.filter(|(kind, _)| kind.resource != "leases"));
        if let Some(lists) = reads.get_mut("LIST partnerintegrations") {
            *lists = lists.saturating_sub(looks);
        }
        reads.retain(|_, count| *count > 0);
        Ok(Costs {
            status_writes,
            refused_status_writes: writes.count(is_status) - status_writes,
            other_writes: by_name(writes.0.iter().filter(|(kind, _)| !is_status(kind))),
            reads,
            checks: counters.requests - self.counters.requests,
            connections: counters.connections - self.counters.connections,
            most_in_flight: counters.most_in_flight,
        })
    }
}

fn by_name<'a>(requests: impl Iterator<Item = (&'a Kind, &'a u64)>) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (Kind { verb, resource, subresource, .. }, count) in requests {
        let slash = if subresource.is_empty() { "" } else { "/" };
        *named.entry(format!("{verb} {resource}{slash}{subresource}")).or_default() += count;
    }
    named
}
