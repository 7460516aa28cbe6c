//! A simulated partner application: real HTTPS on 127.0.0.1 with an authority of its own, HTTP/1.1 and HTTP/2, regions, keys
//! that it accepts and refuses, a log of what it was sent, and every kind of trouble on request.
//!
//! It lives in the runtime of its test and ends when it is dropped. What it keeps in memory is bounded.

mod behaviour;
mod http1;
mod http2;
mod keys;
mod listen;
mod log;
mod tls;

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use behaviour::Behaviour;
pub use log::{Counters, Logged};

use super::{Result, tls_provider};
use behaviour::Plan;
use log::Log;
use tls::Tls;

/// A running partner.
pub struct SimPartner {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What the connections share.
struct Shared {
    tls: Tls,
    state: Mutex<State>,
}

struct State {
    regions: BTreeMap<String, Region>,
    everywhere: Behaviour,
    log: Log,
    /// Cancelled when the connections of today have to go.
    connections: CancellationToken,
}

#[derive(Default)]
struct Region {
    keys: HashSet<String>,
    /// Instead of the behaviour everywhere.
    behaviour: Option<Behaviour>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimPartner {
    /// Starts one with these regions on a free port.
    pub async fn start(regions: &[&str]) -> Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), regions, &[]).await
    }

    /// The same without HTTP/2, in which some behaviours cannot be had.
    pub async fn start_http1(regions: &[&str]) -> Result<Self> {
        Self::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), regions, &[], &["http/1.1"]).await
    }

    /// The same at an address, with further names in the certificate besides localhost, 127.0.0.1 and `::1`.
    pub async fn start_at(address: SocketAddr, regions: &[&str], further_names: &[&str]) -> Result<Self> {
        Self::listen(address, regions, further_names, &["h2", "http/1.1"]).await
    }

    async fn listen(address: SocketAddr, regions: &[&str], further_names: &[&str], protocols: &[&str]) -> Result<Self> {
        tls_provider();
        let state = State {
            regions: regions.iter().map(|name| ((*name).to_owned(), Region::default())).collect(),
            everywhere: Behaviour::Normal,
            log: Log::default(),
            connections: CancellationToken::new(),
        };
        let shared = Arc::new(Shared { tls: Tls::new(further_names, protocols)?, state: Mutex::new(state) });
        let (address, task) = listen::open(address, Arc::clone(&shared)).await?;
        Ok(Self { shared, address, accepting: tokio::sync::Mutex::new(Some(task)) })
    }

    /// `https://localhost:PORT/REGION`.
    pub fn endpoint(&self, region: &str) -> String {
        format!("https://localhost:{}/{region}", self.address.port())
    }

    /// `https://127.0.0.1:PORT/REGION`.
    pub fn endpoint_by_address(&self, region: &str) -> String {
        format!("https://{}/{region}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed its certificate, PEM: for `spec.trustBundle`.
    pub fn ca_pem(&self) -> String {
        self.shared.tls.ca_pem()
    }

    /// From now on this key is accepted in this region.
    pub fn accept(&self, region: &str, key: &str) {
        self.shared.state().regions.entry(region.to_owned()).or_default().keys.insert(key.to_owned());
    }

    /// From now on this key is refused in this region.
    pub fn refuse(&self, region: &str, key: &str) {
        self.shared.state().regions.entry(region.to_owned()).or_default().keys.remove(key);
    }

    /// What every region does that has no behaviour of its own. When this returns, it is so: with
    /// [`RefuseConnections`](Behaviour::RefuseConnections) the port is closed, with any other it is open. A behaviour that
    /// concerns connections, and the change back from one, also closes those that are open.
    pub async fn set_behaviour(&self, behaviour: Behaviour) -> Result<()> {
        let mut accepting = self.accepting.lock().await;
        let close = behaviour == Behaviour::RefuseConnections;
        let about_connections = {
            let mut state = self.shared.state();
            let before = std::mem::replace(&mut state.everywhere, behaviour);
            before.is_about_connections() || state.everywhere.is_about_connections()
        };
        if close && let Some(task) = accepting.take() {
            task.abort();
            // Its end is the listener's end.
            let _ = task.await;
        }
        if about_connections {
            self.close_connections();
        }
        if !close && accepting.is_none() {
            *accepting = Some(listen::open(self.address, Arc::clone(&self.shared)).await?.1);
        }
        Ok(())
    }

    /// What one region does; `None`: as everywhere. A behaviour that concerns connections is an error: the region is known
    /// only when a request has been read.
    pub fn set_region_behaviour(&self, region: &str, behaviour: Option<Behaviour>) -> Result<()> {
        if behaviour.as_ref().is_some_and(Behaviour::is_about_connections) {
            return Err(format!("{behaviour:?} cannot be set for one region").into());
        }
        self.shared.state().regions.entry(region.to_owned()).or_default().behaviour = behaviour;
        Ok(())
    }

    /// Closes every open connection.
    pub fn close_connections(&self) {
        std::mem::take(&mut self.shared.state().connections).cancel();
    }

    /// The requests so far, oldest first; the last 50,000.
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.state().log.requests()
    }

    /// The requests that came with this key.
    pub fn requests_with(&self, key: &str) -> Vec<Logged> {
        let mut requests = self.requests();
        requests.retain(|request| request.key.as_deref() == Some(key));
        requests
    }

    /// Forgets the requests so far; the counters go on.
    pub fn forget_requests(&self) {
        self.shared.state().log.clear();
    }

    /// From now on the most in flight is counted anew.
    pub fn forget_most_in_flight(&self) {
        let counters = &mut self.shared.state().log.counters;
        counters.most_in_flight = counters.in_flight;
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        self.shared.state().log.counters
    }
}

impl Drop for SimPartner {
    fn drop(&mut self) {
        if let Some(task) = self.accepting.get_mut().take() {
            task.abort();
        }
        self.close_connections();
    }
}

/// One connection, as far as requests are concerned.
#[derive(Clone)]
struct Connection {
    id: u64,
    alpn: &'static str,
    shared: Arc<Shared>,
}

/// The head of a request.
struct Head {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

/// Counts a request as in flight for as long as it is held.
struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state().log.counters.in_flight -= 1;
    }
}

impl Connection {
    /// Logs a request and says what to do with it.
    fn plan(&self, head: Head, body: Vec<u8>) -> (Plan, InFlight) {
        let Head { method, path, headers } = head;
        let mut state = self.shared.state();
        let first = path.split(['/', '?']).nth(1).unwrap_or_default();
        let found = state.regions.get_key_value(first);
        let none = HashSet::new();
        let keys = found.map_or(&none, |(_, region)| &region.keys);
        let key = keys::find(&headers, keys);
        let accepted = key.as_ref().is_some_and(|key| keys.contains(key));
        let behaviour = found.and_then(|(_, region)| region.behaviour.as_ref()).unwrap_or(&state.everywhere);
        let region = found.map(|(name, _)| name.clone());
        let (connection, alpn) = (self.id, self.alpn.to_owned());
        let request = Logged { at: Instant::now(), method, path, region, headers, body, key, connection, alpn };
        let plan = behaviour.plan(accepted, &request);
        state.log.add(request);
        drop(state);
        (plan, InFlight(Arc::clone(&self.shared)))
    }
}
