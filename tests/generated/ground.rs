//! What all parts stand on: one real API server, one operator, one simulated partner, and a watch that judges every status.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, Status};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::rows;
use crate::schema::Kind;
use crate::support::controlplane::{ControlPlane, Options, install_crds, namespace};
use crate::support::operator::{Operator, allow_bindings, kubeconfig};
use crate::support::partner::SimPartner;
use crate::world::{ALLOW, BINARY};

/// The group and version in a path.
const API: &str = "/apis/integrations.kognitiv.com/v1alpha1";
/// The longest that anything is waited for: an answer takes a moment, and what exceeds the budget of checks a minute.
pub const LIMIT: Duration = Duration::from_secs(90);
/// Until an operator that was started is ready, beside many others on two cores.
const START: Duration = Duration::from_mins(1);
/// The key that the simulated partner takes in every region.
pub const KEY: &str = "the-good-key";

/// The newest of each object, by kind, namespace and name; null once it is deleted.
type Objects = Arc<Mutex<HashMap<String, Value>>>;

/// The ground.
pub struct Ground {
    plane: ControlPlane,
    operator: tokio::sync::Mutex<Option<Operator>>,
    config: PathBuf,
    pub client: Client,
    pub sim: SimPartner,
    objects: Objects,
    changed: watch::Receiver<u64>,
    operations: AtomicU64,
    violations: Arc<Mutex<Vec<String>>>,
    slowest: Mutex<(Duration, String)>,
}

impl Ground {
    /// Starts everything; `regions` are those of the simulated partner.
    pub async fn start(regions: &[&str]) -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let client = plane.client().unwrap();
        install_crds(&client).await.unwrap();
        let config = kubeconfig(&plane).await.unwrap();
        allow_bindings(&plane).await.unwrap();
        let sim = SimPartner::start(regions).await.unwrap();
        for region in regions {
            sim.accept(region, KEY);
        }
        let (objects, violations) = (Objects::default(), Arc::default());
        let (tell, changed) = watch::channel(0);
        for kind in [Kind::Partner, Kind::Integration] {
            let watching = follow(client.clone(), kind, Arc::clone(&objects), Arc::clone(&violations), tell.clone());
            tokio::spawn(watching);
        }
        let operations = AtomicU64::new(0);
        let slowest = Mutex::default();
        let operator = tokio::sync::Mutex::default();
        let ground = Self { plane, operator, config, client, sim, objects, changed, operations, violations, slowest };
        ground.restart().await;
        ground
    }

    /// Kills the operator, if it runs, and starts another one, which has to list everything anew.
    pub async fn restart(&self) {
        let mut operator = self.operator.lock().await;
        if let Some(operator) = operator.take() {
            operator.kill().await.unwrap();
        }
        let arguments = [&ALLOW[..], &["--bindings"]].concat();
        let started = Operator::start(BINARY, &self.plane, "operator", &self.config, &arguments).await.unwrap();
        started.ready(START).await.unwrap();
        *operator = Some(started);
    }

    /// What `/livez` answers.
    pub async fn live(&self) -> Result<u16, String> {
        let operator = self.operator.lock().await;
        let answer = operator.as_ref().ok_or("it does not run")?.admin("/livez").await;
        answer.map(|(code, _)| code).map_err(|error| error.to_string())
    }

    /// What the operator has logged.
    pub async fn log(&self) -> String {
        self.operator.lock().await.as_ref().map(Operator::log).unwrap_or_default()
    }

    /// A namespace of its own with the good key in the Secret `key`.
    pub async fn namespace(&self, prefix: &str) -> String {
        let name = namespace(&self.client, prefix).await.unwrap();
        self.secret(&name, "key", json!({"api-key": KEY})).await;
        name
    }

    /// Tells of something that must not be.
    pub fn violation(&self, what: String) {
        println!("violation: {what}");
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// All that were told of.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many writes were made.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// The longest wait so far, and for what.
    pub fn slowest(&self) -> (Duration, String) {
        self.slowest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One write; the error is the API server's refusal.
    pub async fn write(&self, method: &str, path: &str, body: &Value) -> Result<Value, Box<Status>> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let content_type = match method {
            "PATCH" if body.is_array() => "application/json-patch+json",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
        let body = if method == "DELETE" { Vec::new() } else { body.to_string().into_bytes() };
        match self.client.request(request.body(body).unwrap()).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => Err(status),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Creates an object under this name.
    pub async fn create(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        mut object: Value,
    ) -> Result<Value, Box<Status>> {
        object["metadata"]["name"] = json!(name);
        self.write("POST", &of_kind(kind, namespace), &object).await
    }

    /// Whether it would be created.
    pub async fn try_create(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        mut object: Value,
    ) -> Result<Value, Box<Status>> {
        object["metadata"]["name"] = json!(name);
        self.write("POST", &format!("{}?dryRun=All", of_kind(kind, namespace)), &object).await
    }

    /// Patches an object: a merge patch, or a JSON patch where it is a list.
    pub async fn patch(&self, kind: Kind, namespace: &str, name: &str, patch: &Value) -> Result<Value, Box<Status>> {
        self.write("PATCH", &format!("{}/{name}", of_kind(kind, namespace)), patch).await
    }

    /// Deletes an object, if it is there.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) {
        let _ = self.write("DELETE", &format!("{}/{name}", of_kind(kind, namespace)), &Value::Null).await;
    }

    /// Creates a Secret, or gives it this data.
    pub async fn secret(&self, namespace: &str, name: &str, data: Value) -> Value {
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        match self.write("POST", &path, &secret).await {
            Ok(secret) => secret,
            Err(_) => self.write("PATCH", &format!("{path}/{name}"), &json!({"stringData": data})).await.unwrap(),
        }
    }

    /// A Secret as it is; null where there is none.
    pub async fn get_secret(&self, namespace: &str, name: &str) -> Value {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        self.client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap_or_default()
    }

    /// Deletes a Secret, if it is there.
    pub async fn delete_secret(&self, namespace: &str, name: &str) {
        let _ = self.write("DELETE", &format!("/api/v1/namespaces/{namespace}/secrets/{name}"), &Value::Null).await;
    }

    /// The Secrets of a namespace that are labelled as the operator's.
    pub async fn bindings(&self, namespace: &str) -> Vec<Value> {
        let label = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dpartner-integration-operator";
        let request = http::Request::get(format!("/api/v1/namespaces/{namespace}/secrets?{label}"));
        let list: Value = self.client.request(request.body(Vec::new()).unwrap()).await.unwrap();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Deletes an integration and what it has published: no garbage collector runs here.
    pub async fn remove(&self, namespace: &str, name: &str) {
        let uid = self.newest(Kind::Integration, namespace, name)["metadata"]["uid"].clone();
        self.delete(Kind::Integration, namespace, name).await;
        for binding in self.bindings(namespace).await {
            if binding["metadata"]["ownerReferences"][0]["uid"] == uid {
                self.delete_secret(namespace, binding["metadata"]["name"].as_str().unwrap_or_default()).await;
            }
        }
    }

    /// The newest that the watch has shown of an object; null where it has shown none.
    pub fn newest(&self, kind: Kind, namespace: &str, name: &str) -> Value {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.get(&key(kind, namespace, name)).cloned().unwrap_or_default()
    }

    /// Waits until an object is as wanted; the error says what it is instead.
    pub async fn until(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let began = Instant::now();
        let mut changed = self.changed.clone();
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                let newest = self.newest(kind, namespace, name);
                if wanted(&newest) {
                    return newest;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        let found = found.await.map_err(|_| {
            let newest = self.newest(kind, namespace, name);
            format!(
                "{} {namespace}/{name} is not {what} after {LIMIT:?}: generation {}, spec {}, status {}",
                kind.name(),
                newest["metadata"]["generation"],
                newest["spec"],
                newest["status"]
            )
        });
        let took = began.elapsed();
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        if took > slowest.0 {
            *slowest = (took, format!("{} {namespace}/{name} {what}", kind.name()));
        }
        found
    }

    /// Waits until the operator has answered the spec of `stored`, or a newer one.
    pub async fn observed(&self, kind: Kind, namespace: &str, name: &str, stored: &Value) -> Result<Value, String> {
        let least = stored["metadata"]["generation"].as_i64();
        self.until(kind, namespace, name, "observed", |object| {
            object["metadata"]["generation"].as_i64() >= least && rows::is_observed(object)
        })
        .await
    }
}

fn of_kind(kind: Kind, namespace: &str) -> String {
    match kind {
        Kind::Partner => format!("{API}/partners"),
        Kind::Integration => format!("{API}/namespaces/{namespace}/partnerintegrations"),
    }
}

fn key(kind: Kind, namespace: &str, name: &str) -> String {
    let namespace = if kind == Kind::Partner { "" } else { namespace };
    format!("{}/{namespace}/{name}", kind.name())
}

/// Keeps the newest of each object of a kind, whatever is in it, and judges every status on its way.
async fn follow(
    client: Client,
    kind: Kind,
    objects: Objects,
    violations: Arc<Mutex<Vec<String>>>,
    tell: watch::Sender<u64>,
) {
    let gvk = GroupVersionKind::gvk("integrations.kognitiv.com", "v1alpha1", kind.name());
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk_with_plural(&gvk, kind.plural()));
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    loop {
        let (object, gone) = match events.try_next().await {
            Ok(Some(watcher::Event::Apply(object) | watcher::Event::InitApply(object))) => (object, false),
            Ok(Some(watcher::Event::Delete(object))) => (object, true),
            Ok(Some(_)) | Err(_) => continue,
            Ok(None) => return,
        };
        let object = serde_json::to_value(object).unwrap();
        let (namespace, name) = (object["metadata"]["namespace"].as_str(), object["metadata"]["name"].as_str());
        let key = key(kind, namespace.unwrap_or_default(), name.unwrap_or_default());
        if kind == Kind::Integration
            && let Some(wrong) = rows::wrong(&object)
        {
            println!("violation: {key}: {wrong}");
            violations.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{key}: {wrong}"));
        }
        let object = if gone { Value::Null } else { object };
        objects.lock().unwrap_or_else(PoisonError::into_inner).insert(key, object);
        tell.send_modify(|count| *count += 1);
    }
}
