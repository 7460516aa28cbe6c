//! What every test here stands on: control planes with the policies as they are shipped, people, and what an answer says.
//!
//! Policies reach the API server's own caches a moment after they are stored, and so do Partners. So a test waits until a
//! probe is judged, by a dry run, before it says that something is not.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use crate::support::Result;
use crate::support::controlplane::{ControlPlane, Options, install_crds, namespace};
use crate::support::wait_for;

/// Where a test gives up.
pub const LIMIT: Duration = Duration::from_mins(1);
/// The group and version in a path.
pub const API: &str = "/apis/integrations.kognitiv.com/v1alpha1";
/// The policies as they are shipped: a region that is not offered is warned about.
pub const SHIPPED: &str = "deploy/policies";
/// The same, where it is refused.
pub const DENYING: &str = "deploy/policies-deny";

/// People. Each may do nothing until [`bind`] gives them a role in a namespace.
pub const PEOPLE: [&str; 4] = ["olivia", "edgar", "vera", "blanche"];
/// Whose namespace it is: Kubernetes' role `admin`.
pub const OWNER: &str = PEOPLE[0];
/// Kubernetes' role `edit`.
pub const EDITOR: &str = PEOPLE[1];
/// Kubernetes' role `view`.
pub const VIEWER: &str = PEOPLE[2];
/// May write integrations, may not read Secrets.
pub const BLIND: &str = PEOPLE[3];

/// The control plane with the policies as they are shipped.
pub async fn shipped() -> &'static ControlPlane {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    PLANE.get_or_init(|| installed(SHIPPED)).await
}

/// The control plane with the policies that deny.
pub async fn denying() -> &'static ControlPlane {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    PLANE.get_or_init(|| installed(DENYING)).await
}

/// A control plane with the CRDs, the roles for people and these policies, all of them at work.
pub async fn installed(policies: &str) -> ControlPlane {
    let plane = bare().await;
    apply(&plane, policies).await;
    let client = plane.client().unwrap();
    partner(&client, "probe", &["eu1"]).await;
    report_use(&client, "probe", 1).await;
    let namespace = namespace(&client, "probe").await.unwrap();
    let blind = bind(&plane, BLIND, "partnerintegrations-edit", &namespace).await;
    let probe = integration("probe", "probe", Some("eu1"));
    judged("may-read-secret", async || create(&blind, &namespace, &probe, true).await).await;
    judged("partner-in-use", async || delete(&client, &format!("{API}/partners/probe?dryRun=All")).await).await;
    plane
}

/// The same without policies.
pub async fn bare() -> ControlPlane {
    let people = PEOPLE.iter().fold(Options::default().controller_manager(), |options, name| {
        options.user(name, &format!("token-of-{name}"), &["system:authenticated"])
    });
    let plane = ControlPlane::start(people).await.unwrap();
    install_crds(&plane.client().unwrap()).await.unwrap();
    apply(&plane, "deploy/rbac/people").await;
    plane
}

/// `kubectl apply -k` of a folder of this repository, as the documentation says it.
pub async fn apply(plane: &ControlPlane, folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    plane.kubectl(&["apply", "-k", folder.to_str().unwrap()]).await.unwrap();
}

/// A client of one of the people.
pub fn client_of(plane: &ControlPlane, name: &str) -> Client {
    Client::try_from(plane.config_for(&format!("token-of-{name}")).unwrap()).unwrap()
}

/// Gives somebody a role in a namespace, and waits until the API server grants what it brings for integrations.
pub async fn bind(plane: &ControlPlane, name: &str, role: &str, namespace: &str) -> Client {
    let binding = format!("{name}-{role}");
    let arguments = ["create", "rolebinding", &binding, "--clusterrole", role, "--user", name, "-n", namespace];
    plane.kubectl(&arguments).await.unwrap();
    let client = client_of(plane, name);
    let verb = if role.ends_with("view") { "list" } else { "patch" };
    may(&client, namespace, verb, "integrations.kognitiv.com", "partnerintegrations").await;
    client
}

/// Waits until somebody may do something; roles take a moment to be aggregated and to be seen.
pub async fn may(client: &Client, namespace: &str, verb: &str, group: &str, resource: &str) {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let attributes = json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource});
    let review: SelfSubjectAccessReview =
        serde_json::from_value(json!({"metadata": {}, "spec": {"resourceAttributes": attributes}})).unwrap();
    wait_for(&format!("{verb} {resource} to be granted"), LIMIT, async || {
        let answer = reviews.create(&PostParams::default(), &review).await.map_err(|error| error.to_string())?;
        if answer.status.is_some_and(|status| status.allowed) { Ok(()) } else { Err("not allowed".to_owned()) }
    })
    .await
    .unwrap();
}

/// What the API server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The object, or the refusal.
    pub body: Value,
    /// The texts of the `Warning` headers, which kubectl prints.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether it was done.
    pub fn ok(&self) -> bool {
        self.code < 300
    }

    /// Everything that a person reads of it.
    pub fn says(&self) -> String {
        let refusal = if self.ok() { "" } else { self.body["message"].as_str().unwrap_or_default() };
        format!("{refusal}{}", self.warnings.join("\n"))
    }

    /// Whether a policy of this name had something to say.
    pub fn names(&self, policy: &str) -> bool {
        self.says().contains(&format!("ValidatingAdmissionPolicy '{policy}'"))
    }

    /// Done, and no policy has said anything; `what` is for the message.
    #[track_caller]
    pub fn allowed(self, what: &str) -> Value {
        assert!(self.ok() && self.warnings.is_empty(), "{what}: {} {}", self.code, self.says());
        self.body
    }

    /// Refused by the policy of this name, with these words.
    #[track_caller]
    pub fn refused(&self, policy: &str, words: &str, what: &str) {
        assert!(!self.ok() && self.names(policy), "{what}: {} {}", self.code, self.says());
        assert!(self.says().contains(words), "{what}: {}", self.says());
    }
}

/// One request.
pub async fn ask(client: &Client, method: &str, path: &str, content_type: &str, body: &Value) -> Result<Answer> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
    let response = client.send(request.body(Body::from(body))?).await?;
    let texts = response.headers().get_all("warning").into_iter().filter_map(|value| {
        // 299 - "the text", quoted as in HTTP.
        let text = value.to_str().ok()?.strip_prefix("299 - \"")?.strip_suffix('"')?;
        Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
    });
    let (warnings, code) = (texts.collect(), response.status().as_u16());
    let body = response.into_body().collect_bytes().await?;
    Ok(Answer { code, warnings, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

/// Creates an integration in a namespace.
pub async fn create(client: &Client, namespace: &str, manifest: &Value, dry: bool) -> Answer {
    let dry = if dry { "?dryRun=All" } else { "" };
    let path = format!("{API}/namespaces/{namespace}/partnerintegrations{dry}");
    ask(client, "POST", &path, "application/json", manifest).await.unwrap()
}

/// A JSON merge patch of the object of this path.
pub async fn edit(client: &Client, path: &str, change: &Value) -> Answer {
    ask(client, "PATCH", path, "application/merge-patch+json", change).await.unwrap()
}

/// Deletes the object of this path.
pub async fn delete(client: &Client, path: &str) -> Answer {
    ask(client, "DELETE", path, "application/json", &Value::Null).await.unwrap()
}

/// The path of an integration.
pub fn path(namespace: &str, name: &str) -> String {
    format!("{API}/namespaces/{namespace}/partnerintegrations/{name}")
}

/// Waits until a dry run that a policy has something against is judged.
pub async fn judged(policy: &str, probe: impl AsyncFn() -> Answer) {
    wait_for(&format!("{policy} to be at work"), LIMIT, async || {
        let answer = probe().await;
        if answer.names(policy) { Ok(()) } else { Err(format!("{} {}", answer.code, answer.says())) }
    })
    .await
    .unwrap();
}

/// Waits until the region policy knows that a partner does not offer a region.
pub async fn unknown_to(client: &Client, partner: &str, region: &str) {
    let manifest = integration("probe", partner, Some(region));
    judged("region-is-offered", async || create(client, "default", &manifest, true).await).await;
}

/// Creates a Partner with these regions, and waits until the region policy knows it.
pub async fn partner(client: &Client, name: &str, regions: &[&str]) {
    let manifest = partner_manifest(name, regions);
    let answer = ask(client, "POST", &format!("{API}/partners"), "application/json", &manifest).await.unwrap();
    answer.allowed(name);
    unknown_to(client, name, "nowhere").await;
}

/// A Partner.
pub fn partner_manifest(name: &str, regions: &[&str]) -> Value {
    let regions: Vec<_> = regions
        .iter()
        .map(|region| json!({"name": region, "endpoint": format!("https://{region}.api.example.com")}))
        .collect();
    json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "Partner",
        "metadata": {"name": name},
        "spec": {
            "displayName": "Acme Loyalty",
            "regions": regions,
            "authentication": {"bearer": {}},
            "check": {"path": "/v1/validate"},
        },
    })
}

/// An integration, with a region and a Secret named `key` or only added.
pub fn integration(name: &str, partner: &str, region: Option<&str>) -> Value {
    let mut manifest = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "PartnerIntegration",
        "metadata": {"name": name},
        "spec": {"partner": partner},
    });
    if let Some(region) = region {
        manifest["spec"]["region"] = json!(region);
        manifest["spec"]["apiKeySecretRef"] = json!({"name": "key"});
    }
    manifest
}

/// Says, as the operator does, how many integrations use a Partner.
pub async fn report_use(client: &Client, partner: &str, integrations: u32) {
    let status = json!({"status": {"observedGeneration": 1, "integrations": integrations}});
    let stored = edit(client, &format!("{API}/partners/{partner}/status"), &status).await.allowed(partner);
    assert_eq!(stored["status"]["integrations"], json!(integrations), "the CRD has no such field");
}
