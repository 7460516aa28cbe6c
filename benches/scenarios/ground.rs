//! What a scenario stands on: a control plane without an audit log, partners, and the operator as users run it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::Client;
use serde::Serialize;

use super::settings::Settings;
use crate::support::controlplane::{ControlPlane, Options, install_crds};
use crate::support::fleet::{Fleet, REGION};
use crate::support::operator::{self, NAMESPACE, Operator};
use crate::support::partner::SimPartner;
use crate::support::{Result, usage};

/// Where a scenario gives up: nothing here is judged by it.
pub const LIMIT: Duration = Duration::from_mins(10);

/// Every five minutes the API server reads all objects from etcd, to see whether its cache still holds the same. That is seconds of
/// processor time for a large fleet, in the middle of whatever is measured then: an edit, or the bare writes beside it.
const QUIET_BETWEEN: &str = "--feature-gates=DetectCacheInconsistency=false";

/// The defaults of the operator but for where partners are, and where its rights to a Lease are.
const ARGUMENTS: [&str; 4] = ["--allow-network", "127.0.0.0/8", "--lease-namespace", NAMESPACE];

/// A control plane and who may work on it.
pub struct Ground {
    /// The control plane.
    pub plane: ControlPlane,
    /// The administrator.
    pub client: Client,
    /// The operator's own identity: its token is judged and its rights are looked up as they are for the operator.
    pub as_operator: Client,
    kubeconfig: PathBuf,
    binary: String,
}

/// The processor time that each part took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Busy {
    /// The operator.
    pub operator: f64,
    /// This program: the partners, and looking.
    pub partner_and_bench: f64,
    /// kube-apiserver.
    pub apiserver: f64,
    /// etcd.
    pub etcd: f64,
    /// By the clock.
    pub clock: f64,
}

/// The processor time at one moment.
pub struct Clock {
    at: Instant,
    times: [Duration; 4],
}

impl Ground {
    /// Starts a control plane and installs everything but the operator.
    ///
    /// # Errors
    /// It does not start.
    pub async fn prepare(settings: &Settings) -> Result<Self> {
        let options = Options::default().without_audit().apiserver_flag(QUIET_BETWEEN);
        let plane = ControlPlane::start(options).await?;
        let client = plane.client()?;
        install_crds(&client).await?;
        let token = operator::access(&plane).await?;
        let kubeconfig = plane.kubeconfig_for(operator::NAME, &token)?;
        let as_operator = Client::try_from(plane.config_for(&token)?)?;
        let binary = settings.operator.display().to_string();
        Ok(Self { plane, client, as_operator, kubeconfig, binary })
    }

    /// Creates a fleet with a partner of its own, and says so on the way.
    ///
    /// # Errors
    /// Something is refused.
    pub async fn fleet(&self, name: &str, size: usize, namespaces: usize) -> Result<(Fleet, SimPartner)> {
        let (fleet, sim) = (Fleet::new(name, size, namespaces), SimPartner::start(&[REGION]).await?);
        let began = Instant::now();
        fleet.create_partner(&self.client, &sim, serde_json::json!({})).await?;
        fleet.create(&self.client, &sim, |done| eprint!("\r{done} of {size} integrations of {name} ")).await?;
        eprintln!("made in {:.1} s", began.elapsed().as_secs_f64());
        Ok((fleet, sim))
    }

    /// The command of an operator, with these arguments beside what every one here needs.
    pub fn command(&self, arguments: &[&str]) -> Vec<String> {
        let kubeconfig = self.kubeconfig.display().to_string();
        let fixed = [&self.binary, "run", "--kubeconfig", &kubeconfig];
        fixed.iter().chain(&ARGUMENTS).chain(arguments).map(ToString::to_string).collect()
    }

    /// Starts the operator, with its defaults but for the network of the partners.
    ///
    /// # Errors
    /// It does not start.
    pub async fn operator(&self) -> Result<Operator> {
        Operator::start_as_users_do(&self.binary, &self.plane, "operator", &self.kubeconfig, &ARGUMENTS).await
    }

    /// The processor time of the parts now; `operator` is a process id.
    ///
    /// # Errors
    /// One does not run.
    pub fn clock(&self, operator: u32) -> Result<Clock> {
        let of = |name: &str| -> Result<Duration> {
            let pid = std::fs::read_to_string(self.plane.folder().join(format!("{name}.pid")))?;
            usage::cpu(pid.trim().parse()?)
        };
        let bench = usage::cpu(std::process::id())?;
        Ok(Clock { at: Instant::now(), times: [usage::cpu(operator)?, bench, of("kube-apiserver")?, of("etcd")?] })
    }
}

impl Clock {
    /// What was taken from here until `end`.
    pub fn until(&self, end: &Self) -> Busy {
        let [operator, partner_and_bench, apiserver, etcd] =
            std::array::from_fn(|part| end.times[part].saturating_sub(self.times[part]).as_secs_f64());
        Busy { operator, partner_and_bench, apiserver, etcd, clock: (end.at - self.at).as_secs_f64() }
    }

    /// The same for an operator that was started after this moment: all that it took.
    pub fn of_a_new_operator(&self, end: &Self) -> Busy {
        Busy { operator: end.times[0].as_secs_f64(), ..self.until(end) }
    }
}
