//! What every test here begins with: a namespace, a simulated partner, and ways to create, edit and wait.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use partner_integration_operator::api::{CHECK_REQUESTED_AT, Partner, PartnerIntegration, Phase};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::controlplane::{Audited, ControlPlane, Options, install_crds, namespace, shared};
use crate::support::operator::{self, Operator, USER};
use crate::support::partner::SimPartner;
use crate::support::wait_for;

/// Where a test gives up; what has a limit of its own in the design is measured.
pub const LIMIT: Duration = Duration::from_secs(40);
/// The operator's binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_partner-integration-operator");
/// The simulated partners are on loopback.
pub const ALLOW: [&str; 3] = ["--allow-network", "127.0.0.0/8", "--no-leader-elect"];

/// One test's part of a cluster.
pub struct World<'a> {
    pub plane: &'a ControlPlane,
    pub client: Client,
    /// Its namespace, which is also the name of its Partner.
    pub namespace: String,
    pub sim: SimPartner,
    regions: Vec<String>,
}

/// The operator that most tests share, and its control plane.
pub async fn cluster() -> (&'static ControlPlane, &'static Operator) {
    static SHARED: OnceCell<Operator> = OnceCell::const_new();
    let plane = shared().await.unwrap();
    let start = async || {
        install_crds(&plane.client().unwrap()).await.unwrap();
        let kubeconfig = operator::kubeconfig(plane).await.unwrap();
        let operator = Operator::start(BINARY, plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
        operator.ready(LIMIT).await.unwrap();
        operator
    };
    (plane, SHARED.get_or_init(start).await)
}

/// A part of the shared cluster, with a partner that has these regions. Its Partner is not in the catalogue yet.
pub async fn world(prefix: &str, regions: &[&str]) -> World<'static> {
    World::on(cluster().await.0, prefix, regions).await
}

/// A control plane of its own with the CRDs, and the operator's kubeconfig for it.
pub async fn own_plane() -> (ControlPlane, PathBuf) {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    install_crds(&plane.client().unwrap()).await.unwrap();
    let kubeconfig = operator::kubeconfig(&plane).await.unwrap();
    (plane, kubeconfig)
}

/// An operator on a control plane of its own, ready.
pub async fn own_operator(plane: &ControlPlane, kubeconfig: &Path, arguments: &[&str]) -> Operator {
    let operator = Operator::start(BINARY, plane, "operator", kubeconfig, arguments).await.unwrap();
    operator.ready(LIMIT).await.unwrap();
    operator
}

/// The reason of the condition Connected.
pub fn reason(integration: &PartnerIntegration) -> &str {
    condition(integration, "Connected").map_or("", |condition| condition.reason.as_str())
}

/// A condition.
pub fn condition<'a>(integration: &'a PartnerIntegration, kind: &str) -> Option<&'a Condition> {
    integration.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the status is about the spec as it is.
pub fn is_observed(integration: &PartnerIntegration) -> bool {
    integration.status.as_ref().map(|status| status.observed_generation) == integration.metadata.generation
}

/// The row of section 3 of the design: phase, Ready and its reason, and which of Reconciling and Stalled there is.
fn row(reason: &str) -> (Phase, &'static str, &str, Option<&'static str>) {
    match reason {
        "Suspended" => (Phase::Available, "True", reason, None),
        "NotConfigured" => (Phase::Available, "True", "Added", None),
        "Connected" | "CheckFailing" => (Phase::Enabled, "True", reason, None),
        "PartnerNotFound" | "SecretNotFound" | "SecretKeyNotFound" | "SecretForbidden" | "DNSFailure"
        | "ConnectFailed" | "Timeout" | "RateLimited" | "PartnerUnavailable" => {
            (Phase::Failed, "False", reason, Some("Reconciling"))
        }
        "PartnerInvalid" | "RegionNotFound" | "EndpointForbidden" | "InvalidCredential" | "CredentialRejected"
        | "RedirectRefused" | "TLSFailed" | "UnexpectedResponse" => (Phase::Failed, "False", reason, Some("Stalled")),
        other => panic!("no such reason: {other}"),
    }
}

/// Everything that the design says of a status with this reason.
pub fn assert_row(integration: &PartnerIntegration, reason: &str) {
    let (mut phase, ready, ready_reason, extra) = row(reason);
    if reason == "PartnerNotFound" && integration.spec.region.is_none() {
        phase = Phase::Available;
    }
    let status = integration.status.as_ref().unwrap();
    let connected = phase == Phase::Enabled;
    assert_eq!((status.phase, status.connected), (phase, connected), "{reason}: {status:#?}");
    assert_eq!(Some(status.observed_generation), integration.metadata.generation, "{reason}");
    let says = |kind: &str| condition(integration, kind).map(|found| (found.status.as_str(), found.reason.as_str()));
    assert_eq!(says("Ready"), Some((ready, ready_reason)), "{reason}: {status:#?}");
    assert_eq!(says("Connected"), Some((if connected { "True" } else { "False" }, reason)), "{reason}: {status:#?}");
    for kind in ["Reconciling", "Stalled"] {
        assert_eq!(says(kind), (extra == Some(kind)).then_some(("True", reason)), "{reason}: {status:#?}");
    }
    for condition in &status.conditions {
        assert_eq!(condition.observed_generation, integration.metadata.generation, "{reason}: {status:#?}");
        assert!(!condition.message.is_empty());
    }
    assert_eq!(status.verified.is_some(), connected, "{reason}: {status:#?}");
}

impl<'a> World<'a> {
    pub async fn on(plane: &'a ControlPlane, prefix: &str, regions: &[&str]) -> Self {
        Self::with(plane, prefix, regions, SimPartner::start(regions).await.unwrap()).await
    }

    pub async fn with(plane: &'a ControlPlane, prefix: &str, regions: &[&str], sim: SimPartner) -> Self {
        let client = plane.client().unwrap();
        let namespace = namespace(&client, prefix).await.unwrap();
        let regions = regions.iter().map(ToString::to_string).collect();
        Self { plane, client, namespace, sim, regions }
    }

    pub fn integrations(&self) -> Api<PartnerIntegration> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn partners(&self) -> Api<Partner> {
        Api::all(self.client.clone())
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Partner, with this JSON merge patch.
    pub async fn create_partner(&self, patch: Value) -> Partner {
        let regions: Vec<_> = self
            .regions
            .iter()
            .map(|name| json!({"name": name, "endpoint": self.sim.endpoint_by_address(name)}))
            .collect();
        let mut manifest = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "Partner",
            "metadata": {"name": self.namespace},
            "spec": {
                "displayName": "Loyalty Platform",
                "regions": regions,
                "authentication": {"headers": [{"name": "X-Api-Key"}]},
                "check": {"path": "/v1/validate", "timeout": "5s", "interval": "10m"},
                "trustBundle": self.sim.ca_pem(),
            },
        });
        merge(&mut manifest, &patch);
        let partner: Partner = serde_json::from_value(manifest).unwrap();
        self.partners().create(&PostParams::default(), &partner).await.unwrap()
    }

    pub async fn edit_partner(&self, patch: Value) -> Partner {
        self.partners().patch(&self.namespace, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Creates a Secret with `api-key`, or gives it another value.
    pub async fn put_secret(&self, name: &str, key: &[u8]) -> Secret {
        let data = Some([("api-key".to_owned(), ByteString(key.to_vec()))].into());
        let secret = Secret { metadata: named(name), data, ..Secret::default() };
        let params = PatchParams::apply("test").force();
        let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": secret.metadata, "data": secret.data});
        self.secrets().patch(name, &params, &Patch::Apply(value)).await.unwrap()
    }

    pub async fn delete_secret(&self, name: &str) {
        self.secrets().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// An integration that has only been added.
    pub async fn add(&self, name: &str) {
        self.create(json!({"metadata": {"name": name}, "spec": {"partner": self.namespace}})).await;
    }

    /// An integration with this region, and the key in the Secret of this name, which may come later.
    pub async fn configure(&self, name: &str, region: &str, secret: &str) {
        let spec = json!({"partner": self.namespace, "region": region, "apiKeySecretRef": {"name": secret}});
        self.create(json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    /// The same with a Secret of its own, of the same name.
    pub async fn connect(&self, name: &str, region: &str, key: &str) {
        self.put_secret(name, key.as_bytes()).await;
        self.configure(name, region, name).await;
    }

    pub async fn create(&self, mut manifest: Value) {
        let kind = json!({"apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration"});
        merge(&mut manifest, &kind);
        let integration: PartnerIntegration = serde_json::from_value(manifest).unwrap();
        self.integrations().create(&PostParams::default(), &integration).await.unwrap();
    }

    pub async fn edit(&self, name: &str, patch: Value) -> PartnerIntegration {
        self.integrations().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Merges this into the status, as nobody but the operator should; null takes it away.
    pub async fn spoil(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.integrations().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Asks for a check now.
    pub async fn ask(&self, name: &str, value: &str) {
        self.edit(name, json!({"metadata": {"annotations": {CHECK_REQUESTED_AT: value}}})).await;
    }

    pub async fn get(&self, name: &str) -> PartnerIntegration {
        self.integrations().get(name).await.unwrap()
    }

    /// Waits, by a watch, until an integration is as wanted; gives it and how long that took.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&PartnerIntegration) -> bool,
    ) -> (PartnerIntegration, Duration) {
        let began = Instant::now();
        let Some(found) = watch_for(self.integrations(), name, wanted).await else {
            let status = self.get(name).await.status;
            panic!("{}/{name} is not {what} after {LIMIT:?}: {status:#?}", self.namespace)
        };
        (found, began.elapsed())
    }

    /// Waits until Connected has this reason for the spec as it is, and judges the whole row.
    pub async fn reaches(&self, name: &str, wanted: &str) -> PartnerIntegration {
        self.reaches_timed(name, wanted).await.0
    }

    /// The same, with how long it took.
    pub async fn reaches_timed(&self, name: &str, wanted: &str) -> (PartnerIntegration, Duration) {
        let (found, took) = self.until(name, wanted, |object| reason(object) == wanted && is_observed(object)).await;
        assert_row(&found, wanted);
        (found, took)
    }

    /// Waits for a Partner.
    pub async fn partner_until(&self, what: &str, wanted: impl Fn(&Partner) -> bool) -> Partner {
        match watch_for(self.partners(), &self.namespace, wanted).await {
            Some(found) => found,
            None => panic!("the Partner is not {what}: {:#?}", self.partners().get(&self.namespace).await),
        }
    }

    /// How many checks the partner has seen.
    pub fn checks(&self) -> usize {
        self.sim.requests().len()
    }

    /// How many with this key.
    pub fn checks_with(&self, key: &str) -> usize {
        self.sim.requests_with(key).len()
    }

    /// The operator's status writes to the integrations of this namespace, refused ones too.
    pub fn status_writes(&self) -> Vec<Audited> {
        let mut writes = self.plane.audit().unwrap();
        writes.retain(|seen| {
            seen.user == USER
                && seen.is_write()
                && seen.namespace == self.namespace
                && seen.resource == "partnerintegrations"
                && seen.subresource == "status"
        });
        writes
    }

    /// So many checks the partner has seen, and so many status writes of one integration have succeeded. The audit log
    /// is a moment behind the watch, so this waits for too few; for too many the test waits before it asks.
    pub async fn cost(&self, name: &str, checks: usize, writes: usize) {
        let what = format!("{checks} checks and {writes} status writes of {}/{name}", self.namespace);
        wait_for(&what, Duration::from_secs(5), async || {
            let written = self.status_writes();
            let written = written.iter().filter(|seen| seen.name == name && seen.code == 200).count();
            let seen = (self.checks(), written);
            if seen == (checks, writes) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await
        .unwrap();
    }
}

/// Waits, by a watch that is begun anew where it fails, for an object to be as wanted; `None` when time is up.
async fn watch_for<K>(api: Api<K>, name: &str, wanted: impl Fn(&K) -> bool) -> Option<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let search = async {
        loop {
            let condition = |object: Option<&K>| object.is_some_and(&wanted);
            if let Ok(Some(found)) = await_condition(api.clone(), name, condition).await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, search).await.ok()
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// A JSON merge patch (RFC 7386): null takes a field out, a list takes the place of a list.
pub fn merge(base: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *base = patch.clone();
        return;
    };
    if !base.is_object() {
        *base = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut base[name], value);
        }
    }
}
