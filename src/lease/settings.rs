//! How an election is held, and what must go together.

use std::time::Duration;

/// How much longer than the retry period a try may be late, for the check of the settings; as in client-go.
const JITTER: f64 = 1.2;

/// How the election is held. All instances that compete should have the same.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the Lease.
    pub name: String,
    /// Its namespace; see [`default_namespace`](super::default_namespace).
    pub namespace: String,
    /// This instance's name in the Lease; see [`identity`](super::identity).
    pub identity: String,
    /// How long a Lease that is not renewed keeps others out. Written in whole seconds, rounded up.
    pub lease_duration: Duration,
    /// How long after its last renewal a leader leads.
    pub renew_deadline: Duration,
    /// How often a leader renews and a standby looks, at least.
    pub retry_period: Duration,
}

/// Why an election cannot be held with these settings. It names the flags, and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Standbys would take over while the leader still leads.
    #[error(
        "--lease-duration ({lease:?}) must be longer than --renew-deadline ({renew:?}), or two instances could lead at \
         once: make --lease-duration longer or --renew-deadline shorter"
    )]
    LeaseDuration {
        /// The lease duration.
        lease: Duration,
        /// The renew deadline.
        renew: Duration,
    },
    /// A leader could miss its deadline without any fault.
    #[error(
        "--renew-deadline ({renew:?}) must be longer than 1.2 times --retry-period ({retry:?}), or a leader could not \
         renew in time: make --renew-deadline longer or --retry-period shorter"
    )]
    RenewDeadline {
        /// The renew deadline.
        renew: Duration,
        /// The retry period.
        retry: Duration,
    },
    /// It would ask without a pause.
    #[error("--retry-period must be longer than zero; 2s is the default")]
    RetryPeriod,
    /// A Lease has 32 bits for its seconds.
    #[error("--lease-duration ({0:?}) must be at most 68 years; 15s is the default")]
    TooLong(Duration),
    /// A name is missing.
    #[error("{0} must not be empty; leave it out to have the default")]
    Empty(&'static str),
}

impl Settings {
    /// Checks the settings against each other, as client-go does.
    ///
    /// # Errors
    /// As [`SettingsError`] says.
    pub fn check(&self) -> Result<(), SettingsError> {
        let Self { name, namespace, identity, lease_duration: lease, renew_deadline: renew, retry_period: retry } =
            self;
        let named = [("--lease-name", name), ("--lease-namespace", namespace), ("the identity", identity)];
        if let Some((what, _)) = named.into_iter().find(|(_, value)| value.is_empty()) {
            return Err(SettingsError::Empty(what));
        }
        if retry.is_zero() {
            return Err(SettingsError::RetryPeriod);
        }
        if lease <= renew {
            return Err(SettingsError::LeaseDuration { lease: *lease, renew: *renew });
        }
        if renew.as_secs_f64() <= JITTER * retry.as_secs_f64() {
            return Err(SettingsError::RenewDeadline { renew: *renew, retry: *retry });
        }
        if i32::try_from(lease.as_secs()).is_err() {
            return Err(SettingsError::TooLong(*lease));
        }
        Ok(())
    }
}
