//! What one plan runs on: a namespace, a simulated partner, a proxy and an operator of its own, on a control plane that all
//! plans share. What the plan's driver itself does to them is kept, for the judge.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::facts::{Facts, History};
use crate::objects::{condition, configured, last_status, of, version};
use crate::support::controlplane::{ControlPlane, namespace};
use crate::support::operator::{NAMESPACE, Operator};
use crate::support::partner::{Behaviour, SimPartner};
use crate::support::proxy::Proxy;
use crate::support::{Result, wait_for};

/// What all plans share.
pub struct Ground {
    pub plane: ControlPlane,
    pub client: Client,
    pub token: String,
}

/// What a step waits for at most: the longest backoffs of the operator, several times.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The operator's binary.
const BINARY: &str = env!("CARGO_BIN_EXE_partner-integration-operator");
/// A crash is followed by the wait for the Lease: as short as whole seconds and a busy machine allow.
const ELECTION: [&str; 6] = [
    "--lease-duration=3s",
    "--renew-deadline=2s",
    "--retry-period=500ms",
    "--lease-namespace",
    NAMESPACE,
    "--bindings",
];
/// The regions of the partner.
const REGIONS: [&str; 3] = ["eu1", "us1", "eu2"];
/// Keys that are accepted everywhere. Any other is refused.
pub const GOOD: [&str; 2] = ["good-1", "good-2"];
const GROUP: &str = "/apis/integrations.kognitiv.com/v1alpha1";

/// See the module.
pub struct Stage<'a> {
    pub ground: &'a Ground,
    pub namespace: String,
    pub sim: SimPartner,
    pub proxy: Proxy,
    kubeconfig: PathBuf,
    operator: tokio::sync::Mutex<Option<Operator>>,
    history: Mutex<History>,
}

impl<'a> Stage<'a> {
    /// An empty stage: no operator runs, nothing is in the namespace but a Secret of somebody else.
    pub async fn new(ground: &'a Ground) -> Result<Self> {
        let namespace = namespace(&ground.client, "fault").await?;
        let sim = SimPartner::start(&REGIONS).await?;
        for (region, key) in REGIONS.iter().flat_map(|region| GOOD.map(|key| (region, key))) {
            sim.accept(region, key);
        }
        let proxy = Proxy::start_named(&ground.plane, &namespace).await?;
        proxy.keep_journal();
        proxy.show_only("partners", &namespace);
        let kubeconfig = proxy.kubeconfig(&ground.token)?;
        let (operator, history) = (tokio::sync::Mutex::default(), Mutex::default());
        let stage = Self { ground, namespace, sim, proxy, kubeconfig, operator, history };
        stage.foreign("foreign").await?;
        Ok(stage)
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the operator.
    pub async fn start(&self) -> Result<()> {
        let mut operator = self.operator.lock().await;
        self.history().started();
        let arguments = [&ELECTION[..], &["--namespace", &self.namespace, "--lease-name", &self.namespace]].concat();
        let arguments = [&arguments[..], &["--partner-status", "--allow-network=127.0.0.0/8"]].concat();
        let (plane, name) = (&self.ground.plane, &self.namespace);
        *operator = Some(Operator::start(BINARY, plane, name, &self.kubeconfig, &arguments).await?);
        Ok(())
    }

    /// Stops the operator in good order.
    pub async fn terminate(&self) -> Result<()> {
        let running = self.operator.lock().await.take().ok_or("no operator runs")?;
        match running.terminate().await? {
            0 => Ok(()),
            code => Err(format!("the operator ended with {code} after SIGTERM").into()),
        }
    }

    /// Kills the operator.
    pub async fn kill(&self) -> Result<()> {
        match self.operator.lock().await.take() {
            Some(running) => running.kill().await,
            None => Ok(()),
        }
    }

    /// Kills the operator whenever a fault says so, and starts it anew. Ends with an error only.
    pub async fn undertake(&self, crashes: &mut UnboundedReceiver<()>) -> Result<()> {
        while crashes.recv().await.is_some() {
            self.kill().await?;
            self.start().await?;
        }
        Err("the proxy has ended".into())
    }

    /// Everything that the operator has logged.
    pub fn log(&self) -> String {
        self.ground.plane.log(&self.namespace)
    }

    /// Asks the API server, past the proxy.
    pub async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        Ok(self.ground.client.request(request.body(body)?).await?)
    }

    /// The same for what may not be there.
    pub async fn look(&self, path: &str) -> Result<Option<Value>> {
        match self.ask("GET", path, &Value::Null).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.to_string().contains("NotFound") || error.to_string().contains("not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn integrations(&self) -> String {
        format!("{GROUP}/namespaces/{}/partnerintegrations", self.namespace)
    }

    pub fn partner(&self) -> String {
        format!("{GROUP}/partners/{}", self.namespace)
    }

    pub fn secrets(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    /// Does something, and keeps what is so from then on.
    async fn change(&self, work: impl Future<Output = Result<Value>>, so: impl FnOnce(&mut Facts)) -> Result<Value> {
        let before = Instant::now();
        let done = work.await?;
        self.history().change(before, so);
        Ok(done)
    }

    /// Puts the partner into the catalogue.
    pub async fn create_partner(&self, threshold: u32) -> Result<()> {
        let region = |name: &str| json!({"name": name, "endpoint": self.sim.endpoint_by_address(name)});
        let manifest = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "Partner",
            "metadata": {"name": self.namespace},
            "spec": {
                "displayName": "Loyalty Platform",
                "regions": [region("eu1"), region("us1")],
                "authentication": {"headers": [{"name": "X-Api-Key"}]},
                "check": {"path": "/v1/validate", "timeout": "5s", "interval": "10m", "failureThreshold": threshold},
                "trustBundle": self.sim.ca_pem(),
            },
        });
        let path = format!("{GROUP}/partners");
        let create = self.ask("POST", &path, &manifest);
        let regions = ["eu1", "us1"].map(|name| (name.to_owned(), name.to_owned()));
        self.change(create, |facts| facts.regions = regions.into()).await?;
        Ok(())
    }

    /// Gives eu1 another address, and the partner another name.
    pub async fn move_partner(&self) -> Result<()> {
        let region = |name: &str, at: &str| json!({"name": name, "endpoint": self.sim.endpoint_by_address(at)});
        let spec = json!({"displayName": "Loyalty", "regions": [region("eu1", "eu2"), region("us1", "us1")]});
        let path = self.partner();
        let edit = json!({"spec": spec});
        let edit = self.ask("PATCH", &path, &edit);
        self.change(edit, |facts| drop(facts.regions.insert("eu1".to_owned(), "eu2".to_owned()))).await?;
        Ok(())
    }

    pub async fn delete_partner(&self) -> Result<()> {
        let path = self.partner();
        self.change(self.ask("DELETE", &path, &Value::Null), |facts| facts.regions.clear()).await?;
        Ok(())
    }

    /// Puts a key into the Secret of that name.
    pub async fn key(&self, value: &str) -> Result<()> {
        let path = format!("{}/key", self.secrets());
        let known = self.look(&path).await?.is_some();
        let manifest = json!({"metadata": {"name": "key"}, "stringData": {"api-key": value}});
        let (method, path) = if known { ("PATCH", path) } else { ("POST", self.secrets()) };
        let write = self.ask(method, &path, &manifest);
        let secret = self.change(write, |facts| facts.key = Some(value.to_owned())).await?;
        let mut history = self.history();
        history.keys.insert(version(&secret), value.to_owned());
        history.order.push(version(&secret));
        Ok(())
    }

    pub async fn delete_key(&self) -> Result<()> {
        let path = format!("{}/key", self.secrets());
        self.change(self.ask("DELETE", &path, &Value::Null), |facts| facts.key = None).await?;
        Ok(())
    }

    /// A Secret of somebody else, which looks as much like one of ours as it can.
    pub async fn foreign(&self, name: &str) -> Result<()> {
        let labels = json!({"app.kubernetes.io/managed-by": "partner-integration-operator"});
        let manifest = json!({
            "metadata": {"name": name, "labels": labels},
            "type": "servicebinding.io/partner",
            "stringData": {"api-key": "theirs"},
        });
        let secret = self.ask("POST", &self.secrets(), &manifest).await?;
        self.history().foreign.insert(name.to_owned(), version(&secret));
        Ok(())
    }

    pub async fn delete_foreign(&self, name: &str) -> Result<()> {
        self.history().foreign.remove(name);
        self.ask("DELETE", &format!("{}/{name}", self.secrets()), &Value::Null).await?;
        Ok(())
    }

    /// Adds the integration, with this spec besides the partner.
    pub async fn integrate(&self, mut spec: Value) -> Result<()> {
        spec["partner"] = json!(self.namespace);
        let manifest = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "PartnerIntegration",
            "metadata": {"name": "it"},
            "spec": spec,
        });
        let path = self.integrations();
        let region = spec["region"].as_str().map(str::to_owned);
        let made = self.change(self.ask("POST", &path, &manifest), |facts| facts.region = region).await?;
        self.history().integration = Some(of(&made));
        Ok(())
    }

    /// The same, with everything that there is to set.
    pub async fn connect(&self) -> Result<()> {
        self.integrate(configured()).await
    }

    /// Merges this into the integration.
    pub async fn edit(&self, patch: Value) -> Result<()> {
        let it = format!("{}/it", self.integrations());
        let edit = self.ask("PATCH", &it, &patch);
        let spec = patch["spec"].clone();
        let so = |facts: &mut Facts| {
            if let Some(region) = spec["region"].as_str() {
                facts.region = Some(region.to_owned());
            }
            if let Some(suspended) = spec["suspend"].as_bool() {
                facts.suspended = suspended;
            }
        };
        let edited = self.change(edit, so).await?;
        self.history().integration = Some(of(&edited));
        Ok(())
    }

    pub async fn delete(&self) -> Result<()> {
        let path = format!("{}/it", self.integrations());
        self.change(self.ask("DELETE", &path, &Value::Null), |facts| facts.region = None).await?;
        self.history().integration = None;
        Ok(())
    }

    /// What the garbage collector does: Secrets go whose owner is no more.
    pub async fn collect(&self) -> Result<()> {
        let alive = self.history().integration.clone().map(|(uid, _)| uid);
        let listed = self.ask("GET", &self.secrets(), &Value::Null).await?;
        for secret in listed["items"].as_array().into_iter().flatten() {
            let owner = secret["metadata"]["ownerReferences"][0]["uid"].as_str();
            if owner.is_some() && owner != alive.as_deref() {
                let name = secret["metadata"]["name"].as_str().unwrap_or_default();
                let uid = json!({"preconditions": {"uid": secret["metadata"]["uid"]}});
                // The operator may have been faster.
                let _ = self.ask("DELETE", &format!("{}/{name}", self.secrets()), &uid).await;
                self.history().collected.push((name.to_owned(), Instant::now()));
            }
        }
        Ok(())
    }

    /// The partner answers 503 to everything.
    pub async fn down(&self) -> Result<()> {
        self.sim.set_behaviour(Behaviour::Down503(None)).await?;
        self.history().down.push((Instant::now(), None));
        Ok(())
    }

    /// It is back.
    pub async fn up(&self) -> Result<()> {
        if let Some(last) = self.history().down.last_mut() {
            last.1 = Some(Instant::now());
        }
        self.sim.set_behaviour(Behaviour::Normal).await
    }

    /// Waits until the status that was written last, of the integration as it is now, is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        wait_for(what, PATIENCE, async || {
            let Some((uid, generation)) = self.history().integration.clone() else { return Err("none".to_owned()) };
            let (_, last) = self.proxy.journal(|journal| last_status(journal.exchanges()));
            let status = &last["status"];
            let is = last["metadata"]["uid"] == uid && status["observedGeneration"] == generation && wanted(status);
            if is { Ok(()) } else { Err(status.to_string()) }
        })
        .await
    }

    /// The same for a reason of Connected.
    pub async fn reaches(&self, reason: &str) -> Result<()> {
        self.until(reason, |status| condition(status, "Connected") == reason).await
    }

    /// The same for a connection with its binding in place, made from the key as it is now.
    pub async fn bound(&self) -> Result<()> {
        self.bound_to("bound").await
    }

    pub async fn bound_to(&self, name: &str) -> Result<()> {
        let now = self.history().key_version();
        self.until("bound", |status| {
            status["connected"] == true
                && status["binding"]["name"] == name
                && now.as_ref().is_some_and(|now| status["verified"]["secretResourceVersion"] == now.1)
        })
        .await
    }

    /// How long nothing has passed the proxy besides renewals of the Lease and watches that wait.
    pub fn quiet(&self) -> Duration {
        let last = self.proxy.journal(|journal| {
            let requests = journal.exchanges().iter().rev().filter(|it| !it.asked.path.contains("/leases"));
            let request = requests.map(|it| it.done.unwrap_or(it.asked.at).max(it.asked.at)).next();
            request.max(journal.events().last().map(|event| event.at))
        });
        let checked = self.sim.requests().last().map(|request| request.at);
        last.max(checked).map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Waits until it has been quiet for this long.
    pub async fn quiet_for(&self, time: Duration) -> Result<()> {
        wait_for("quiet", PATIENCE, async || self.quiet() >= time).await
    }

    /// Leaves nothing behind that would make later plans slower.
    pub async fn clear(self, keep_log: bool) -> Result<()> {
        self.kill().await?;
        for path in [self.integrations(), self.secrets()] {
            self.ask("DELETE", &path, &Value::Null).await?;
        }
        if self.look(&self.partner()).await?.is_some() {
            self.ask("DELETE", &self.partner(), &Value::Null).await?;
        }
        if !keep_log {
            // It is in a folder that goes with the control plane anyway.
            let _ = std::fs::remove_file(self.ground.plane.folder().join(format!("{}.log", self.namespace)));
        }
        Ok(())
    }
}
