//! The flags of leader election, and the election as the process runs it.

use clap::{ArgAction, Args};
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::health::Health;
use crate::lease::{self, Elector, Leading, Settings, SettingsError};

/// Of several instances one works. The defaults are those of client-go.
#[derive(Debug, Args)]
pub(super) struct Election {
    /// Take part in leader election.
    #[arg(
        long,
        env = "PARTNER_INTEGRATION_LEADER_ELECT",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    leader_elect: bool,
    /// Work without leader election: for a single instance. Needs no access to Leases.
    #[arg(long, env = "PARTNER_INTEGRATION_NO_LEADER_ELECT")]
    no_leader_elect: bool,
    /// The Lease. Several installations in one namespace need names of their own.
    #[arg(
        long,
        env = "PARTNER_INTEGRATION_LEASE_NAME",
        value_name = "NAME",
        default_value = "partner-integration-operator"
    )]
    lease_name: String,
    /// Its namespace; without it the pod's, outside a pod the context's, else `default`.
    #[arg(long, env = "PARTNER_INTEGRATION_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// How long a Lease that is not renewed keeps other instances out.
    #[arg(long, env = "PARTNER_INTEGRATION_LEASE_DURATION", value_name = "DURATION", default_value = "15s")]
    lease_duration: api::Duration,
    /// How long after its last renewal an instance stays the leader.
    #[arg(long, env = "PARTNER_INTEGRATION_RENEW_DEADLINE", value_name = "DURATION", default_value = "10s")]
    renew_deadline: api::Duration,
    /// How often the leader renews and the others look.
    #[arg(long, env = "PARTNER_INTEGRATION_RETRY_PERIOD", value_name = "DURATION", default_value = "2s")]
    retry_period: api::Duration,
}

impl Election {
    /// Whether the flags go together, before anything else is tried.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.is_wanted() { self.settings(|| "default".to_owned()).check() } else { Ok(()) }
    }

    fn is_wanted(&self) -> bool {
        self.leader_elect && !self.no_leader_elect
    }

    fn settings(&self, namespace: impl FnOnce() -> String) -> Settings {
        Settings {
            name: self.lease_name.clone(),
            namespace: self.lease_namespace.clone().unwrap_or_else(namespace),
            identity: lease::identity(),
            lease_duration: self.lease_duration.get(),
            renew_deadline: self.renew_deadline.get(),
            retry_period: self.retry_period.get(),
        }
    }

    /// Starts it: what follows it, and what ends it, releasing the Lease.
    pub(super) fn start(
        &self,
        client: &Client,
        config: &Config,
        health: &Health,
    ) -> Result<(watch::Receiver<Leading>, Campaign), SettingsError> {
        let stop = CancellationToken::new();
        if !self.is_wanted() {
            return Ok(alone(stop));
        }
        let settings = self.settings(|| lease::default_namespace(config));
        let Settings { name: lease, namespace, identity, .. } = &settings;
        tracing::info!(lease, namespace, identity, "taking part in leader election");
        let elector = Elector::new(client.clone(), settings)?.reporting(health.lease());
        let (sender, leading) = watch::channel(Leading::Standby);
        let task = tokio::spawn(elector.run(stop.clone(), sender));
        Ok((leading, Campaign { stop, task }))
    }
}

/// No election: one that works alone leads from the start.
fn alone(stop: CancellationToken) -> (watch::Receiver<Leading>, Campaign) {
    let (sender, leading) = watch::channel(Leading::without_election());
    // The sender goes with the campaign, and with it the office.
    let task = tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            drop(sender);
        }
    });
    (leading, Campaign { stop, task })
}

/// An election that goes on.
pub(super) struct Campaign {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Campaign {
    /// Ends it, after the work that needs leadership has ended: the Lease is released, and another can lead at once.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // It ends within half the renew deadline; a panic in it is a release that did not happen, and no more.
        let _ = self.task.await;
    }
}
