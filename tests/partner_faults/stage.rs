//! The operator as a process on a control plane of its own, and everything that it ever wrote into a status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use partner_integration_operator::api::{CHECK_REQUESTED_AT, Partner, PartnerIntegration};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

use super::behaviour::{Behaviour, Fault, KEY, Step};
use super::certificates::Certificates;
use super::dns::Dns;
use super::server::{Mode, Server};
use super::world::{BINARY, merge};
use crate::support::controlplane::{ControlPlane, Options, install_crds, namespace};
use crate::support::operator::{self, Operator};

/// Where a wait gives up; nothing in here is about speed.
pub const LIMIT: Duration = Duration::from_mins(5);

/// What is shared by all cases.
pub struct Stage {
    pub plane: ControlPlane,
    pub operator: Operator,
    pub certificates: Certificates,
    /// Where it can be had.
    pub dns: Option<Dns>,
    /// Where redirects point to: it must never be asked.
    pub elsewhere: Server,
    client: Client,
    namespace: String,
    history: History,
    /// Ends the watch when it is dropped.
    _watching: oneshot::Sender<()>,
    /// Requests of this test to the API server at a time.
    gate: Semaphore,
}

/// An integration at some moment. What it says was true before `at`.
#[derive(Clone)]
pub struct Seen {
    pub at: Timestamp,
    pub object: Arc<PartnerIntegration>,
}

impl Stage {
    /// A control plane, an operator on it, and a Secret with the key.
    pub async fn start() -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let client = plane.client().unwrap();
        install_crds(&client).await.unwrap();
        let namespace = namespace(&client, "partner-faults").await.unwrap();
        let kubeconfig = operator::kubeconfig(&plane).await.unwrap();
        let dns = Dns::start().await;
        let binary = match &dns {
            Some(dns) => dns.wrapped(BINARY, plane.folder()).unwrap().display().to_string(),
            None => BINARY.to_owned(),
        };
        let arguments = ["--allow-network", "127.0.0.0/8", "--no-leader-elect"];
        let operator = Operator::start(&binary, &plane, "operator", &kubeconfig, &arguments).await.unwrap();
        operator.ready(LIMIT).await.unwrap();
        let certificates = Certificates::new();
        let mut elsewhere = Server::start(Fault::Tcp(vec![Step::Close]), "localhost", &certificates).unwrap();
        elsewhere.set(Mode::Bad).await.unwrap();
        let history = Arc::default();
        let watching = watch_beside(&plane, &namespace, &history);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"api-key": KEY},
        });
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        let gate = Semaphore::new(16);
        Self { plane, operator, certificates, dns, elsewhere, client, namespace, history, _watching: watching, gate }
    }

    fn integrations(&self) -> Api<PartnerIntegration> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A catalogue entry for a behaviour, with these regions.
    pub async fn partner(&self, name: &str, behaviour: &Behaviour, regions: &[(String, String)], threshold: u32) {
        let regions: Vec<Value> =
            regions.iter().map(|(name, endpoint)| json!({"name": name, "endpoint": endpoint})).collect();
        let mut check = json!({"path": "/v1/validate", "interval": "10m", "failureThreshold": threshold});
        merge(&mut check, &behaviour.check);
        let manifest = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "Partner", "metadata": {"name": name},
            "spec": {
                "displayName": "Loyalty Platform",
                "regions": regions,
                "authentication": {"headers": [{"name": "X-Api-Key"}]},
                "check": check,
                "trustBundle": self.certificates.pem(),
            },
        });
        let partners: Api<Partner> = Api::all(self.client.clone());
        let _turn = self.gate.acquire().await.unwrap();
        let created = partners.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await;
        created.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// An integration with this region.
    pub async fn integration(&self, name: &str, partner: &str, region: &str) {
        let manifest = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
            "metadata": {"name": name},
            "spec": {"partner": partner, "region": region, "apiKeySecretRef": {"name": "key"}},
        });
        let integration = serde_json::from_value(manifest).unwrap();
        let _turn = self.gate.acquire().await.unwrap();
        let created = self.integrations().create(&PostParams::default(), &integration).await;
        created.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Asks for a check now.
    pub async fn ask(&self, name: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {CHECK_REQUESTED_AT: value}}}));
        let _turn = self.gate.acquire().await.unwrap();
        self.integrations().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Deletes an integration.
    pub async fn delete(&self, name: &str) {
        let _turn = self.gate.acquire().await.unwrap();
        self.integrations().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// What was seen of an integration so far, oldest first.
    pub fn history(&self, name: &str) -> Vec<Seen> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }

    /// Waits for the first version of an integration that is as wanted.
    pub async fn first(&self, name: &str, what: &str, wanted: impl Fn(&PartnerIntegration) -> bool) -> Seen {
        let began = std::time::Instant::now();
        loop {
            let history = self.history(name);
            if let Some(found) = history.iter().find(|seen| wanted(&seen.object)) {
                return found.clone();
            }
            let last = history.last().map(|seen| &seen.object.status);
            assert!(began.elapsed() < LIMIT, "{name} is not {what} after {LIMIT:?}; last seen: {last:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Versions of integrations by their names.
type History = Arc<Mutex<HashMap<String, Vec<Seen>>>>;

/// Watches on a thread of its own: partners that flood keep those of the test busy.
fn watch_beside(plane: &ControlPlane, namespace: &str, history: &History) -> oneshot::Sender<()> {
    let (end, ended) = oneshot::channel();
    let (config, namespace, history) = (plane.config().unwrap(), namespace.to_owned(), Arc::clone(history));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let api = Api::namespaced(Client::try_from(config).unwrap(), &namespace);
            tokio::select! {
                () = watch(api, history) => {}
                _ = ended => {}
            }
        });
    });
    end
}

/// Notes every version of every integration.
async fn watch(api: Api<PartnerIntegration>, history: History) {
    let mut events = Box::pin(watcher::watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let Some(name) = object.metadata.name.clone() else { continue };
                let seen = Seen { at: Timestamp::now(), object: Arc::new(object) };
                history.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().push(seen);
            }
            Ok(_) => {}
            // It begins anew by itself.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
