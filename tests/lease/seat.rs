//! Electors of a test: each with its own client, by whose name the audit log tells them apart.

use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::USER_AGENT;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use partner_integration_operator::lease::{Elector, Leading, Settings};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::controlplane::{Audited, ControlPlane, namespace, shared};
use crate::support::{Result, wait_for};

/// Lease duration, renew deadline, retry period.
pub type Times = (Duration, Duration, Duration);
pub const DEFAULT: Times = (Duration::from_secs(15), Duration::from_secs(10), Duration::from_secs(2));
pub const SHORT: Times = (Duration::from_secs(3), Duration::from_secs(2), Duration::from_millis(500));

pub const LEASE: &str = "the-lease";

/// A namespace with one Lease that is fought for.
pub struct Room {
    pub plane: &'static ControlPlane,
    pub client: Client,
    pub namespace: String,
}

/// One elector.
pub struct Seat {
    pub identity: String,
    pub leading: watch::Receiver<Leading>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Seat {
    pub fn leads(&self) -> bool {
        self.leading.borrow().is_leader_now()
    }

    /// Cancels it, and gives its end to wait for.
    pub fn stop(self) -> impl Future<Output = Result<()>> {
        self.stop.cancel();
        async { Ok(tokio::time::timeout(Duration::from_secs(20), self.task).await??) }
    }

    /// Ends it without a word.
    pub fn kill(self) {
        self.task.abort();
    }
}

impl Room {
    pub async fn new(prefix: &str) -> Self {
        Self::on(shared().await.unwrap(), prefix).await
    }

    pub async fn on(plane: &'static ControlPlane, prefix: &str) -> Self {
        let client = plane.client().unwrap();
        let namespace = namespace(&client, prefix).await.unwrap();
        Self { plane, client, namespace }
    }

    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn lease(&self) -> kube::Result<Lease> {
        self.leases().get(LEASE).await
    }

    pub fn settings(&self, identity: &str, times: Times) -> Settings {
        Settings {
            name: LEASE.to_owned(),
            namespace: self.namespace.clone(),
            identity: identity.to_owned(),
            lease_duration: times.0,
            renew_deadline: times.1,
            retry_period: times.2,
        }
    }

    /// An elector of the administrator.
    pub fn seat(&self, identity: &str, times: Times) -> Seat {
        self.seat_with(self.plane.config().unwrap(), identity, times)
    }

    pub fn seat_with(&self, config: Config, identity: &str, times: Times) -> Seat {
        let elector = self.elector(config, identity, times);
        let stop = CancellationToken::new();
        let (sender, leading) = watch::channel(Leading::Standby);
        let task = tokio::spawn(elector.run(stop.clone(), sender));
        Seat { identity: identity.to_owned(), leading, stop, task }
    }

    pub fn elector(&self, mut config: Config, identity: &str, times: Times) -> Elector {
        let agent = format!("{}/{identity}", self.namespace);
        config.headers.push((USER_AGENT, HeaderValue::from_str(&agent).unwrap()));
        Elector::new(Client::try_from(config).unwrap(), self.settings(identity, times)).unwrap()
    }

    /// What this elector has asked the API server.
    pub fn asked(&self, identity: &str) -> Vec<Audited> {
        let agent = format!("{}/{identity}", self.namespace);
        let mut seen = self.plane.audit().unwrap();
        seen.retain(|seen| seen.user_agent == agent);
        seen
    }

    /// Waits until one leads, and gives its place. Two are a failure at once.
    pub async fn leader(&self, seats: &[Seat], limit: Duration) -> usize {
        wait_for("a leader", limit, async || leader(seats)).await.unwrap()
    }

    /// Looks for a while that never two lead.
    pub async fn watch_for(&self, time: Duration, seats: &[Seat]) {
        let began = Instant::now();
        while began.elapsed() < time {
            leader(seats);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Who leads, if anybody does.
pub fn leader(seats: &[Seat]) -> Option<usize> {
    let leaders: Vec<_> = (0..seats.len()).filter(|place| seats[*place].leads()).collect();
    assert!(leaders.len() <= 1, "{leaders:?} lead");
    leaders.first().copied()
}
