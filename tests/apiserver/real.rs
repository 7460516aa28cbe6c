//! The same requests as the real server takes them, and its answers as the abstract one gives them.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::generate::{Spec, Status};
use crate::server::{Change, Finalizer, Kind, Name, Propagation, Request};
use crate::support::Result;
use crate::support::controlplane::ControlPlane;

const GROUP: &str = "integrations.kognitiv.com/v1alpha1";
const ANNOTATION: &str = "integrations.kognitiv.com/check-requested-at";
/// The one label: which sequence an object belongs to.
const LABEL: &str = "sequence";
/// The limit of one request.
const LIMIT: Duration = Duration::from_secs(30);

/// An object of the real server, as far as the abstract one has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub name: Name,
    pub uid: String,
    pub version: u64,
    pub generation: u32,
    pub deleting: Option<Finalizer>,
    pub annotation: u8,
    pub spec: Spec,
    pub status: Status,
}

/// An answer of the real server.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    /// `metav1.Status`: its reason.
    pub reason: String,
    pub body: Value,
}

/// One connection for all: requests of many sequences side by side, and a watch that is left costs nothing.
#[derive(Clone)]
pub struct Real {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// Which of its objects a sequence means.
pub struct Place {
    pub namespace: String,
    pub sequence: u64,
}

impl Real {
    pub fn new(plane: &ControlPlane) -> Result<Self> {
        let config = plane.config()?;
        let roots = config.root_cert.unwrap_or_default();
        let roots =
            roots.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<std::result::Result<Vec<_>, _>>()?;
        let client = reqwest::Client::builder().tls_certs_only(roots).no_proxy().build()?;
        // The administrator stands first in the API server's own list.
        let tokens = std::fs::read_to_string(plane.folder().join("tokens.csv"))?;
        let token = tokens.split(',').next().unwrap_or_default().to_owned();
        Ok(Self { client, url: plane.url(), token })
    }

    /// Sends one request, and gives whatever is answered.
    pub async fn send(&self, method: &str, path: &str, body: Option<(&str, Value)>) -> Result<Reply> {
        let request = self.client.request(method.parse()?, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = match body {
            Some((kind, body)) => request.header("content-type", kind).body(serde_json::to_vec(&body)?),
            None => request,
        };
        let answer = request.timeout(LIMIT).send().await?;
        let code = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let reason = body["reason"].as_str().unwrap_or_default().to_owned();
        Ok(Reply { code, reason, body })
    }

    /// The first `count` events of a watch; fewer where the server ends it, or says nothing more until the limit.
    pub async fn watch(&self, place: &Place, kind: Kind, since: u64, count: usize) -> Result<Vec<(Change, Seen)>> {
        let path = format!(
            "{}?watch=true&resourceVersion={since}&labelSelector={LABEL}%3D{}",
            place.folder(kind),
            place.sequence
        );
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token).timeout(LIMIT);
        let mut answer = request.send().await?;
        if answer.status() != 200 {
            return Err(format!("a watch was answered {}", answer.status()).into());
        }
        let (mut events, mut text) = (Vec::new(), Vec::new());
        while events.len() < count {
            let Ok(Some(chunk)) = answer.chunk().await else { break };
            text.extend_from_slice(&chunk);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)?;
                let change = match event["type"].as_str() {
                    Some("ADDED") => Change::Added,
                    Some("MODIFIED") => Change::Modified,
                    Some("DELETED") => Change::Deleted,
                    _ => return Err(format!("an event of no known type: {event}").into()),
                };
                events.push((change, seen(kind, &event["object"])?));
            }
        }
        Ok(events)
    }
}

impl Place {
    /// The path of a kind.
    pub fn folder(&self, kind: Kind) -> String {
        let namespace = &self.namespace;
        match kind {
            Kind::Partner => format!("/apis/{GROUP}/partners"),
            Kind::Integration => format!("/apis/{GROUP}/namespaces/{namespace}/partnerintegrations"),
            Kind::Secret => format!("/api/v1/namespaces/{namespace}/secrets"),
            Kind::Lease => format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
        }
    }

    fn name(&self, name: Name) -> String {
        format!("s{}-{name}", self.sequence)
    }

    /// The path of an object.
    pub fn path(&self, kind: Kind, name: Name) -> String {
        format!("{}/{}", self.folder(kind), self.name(name))
    }

    /// Sends what was asked of the abstract server to the real one. `version` and `uid` are what it calls them there.
    pub async fn ask(
        &self,
        real: &Real,
        request: &Request<Spec, Status>,
        version: Option<String>,
        uid: Option<String>,
    ) -> Result<Reply> {
        match request {
            Request::Create { kind, name, spec, annotation } => {
                let body = self.object(*kind, *name, *spec, *annotation, None, None);
                real.send("POST", &self.folder(*kind), Some(("application/json", body))).await
            }
            Request::Get { kind, name } => real.send("GET", &self.path(*kind, *name), None).await,
            Request::List { kind } => {
                let path = format!("{}?labelSelector={LABEL}%3D{}", self.folder(*kind), self.sequence);
                real.send("GET", &path, None).await
            }
            Request::Replace { kind, name, spec, annotation, .. } => {
                let body = self.object(*kind, *name, *spec, *annotation, version, uid);
                real.send("PUT", &self.path(*kind, *name), Some(("application/json", body))).await
            }
            Request::Patch { kind, name, spec, annotation, release, .. } => {
                let mut body = spec.map_or_else(|| json!({}), |spec| content(*kind, spec));
                body["metadata"] = json!({});
                if let Some(annotation) = annotation {
                    body["metadata"]["annotations"] = json!({ANNOTATION: noted(*annotation)});
                }
                if *release {
                    body["metadata"]["finalizers"] = Value::Null;
                }
                name_them(&mut body, version, uid);
                real.send("PATCH", &self.path(*kind, *name), Some(("application/merge-patch+json", body))).await
            }
            Request::ApplyStatus { kind, name, status, .. } => {
                let (group, word) = type_of(*kind);
                let mut body = json!({"apiVersion": group, "kind": word, "metadata": {"name": self.name(*name)},
                    "status": said(*kind, *status)});
                name_them(&mut body, version, uid);
                let path = format!("{}/status?fieldManager=operator&force=true", self.path(*kind, *name));
                real.send("PATCH", &path, Some(("application/apply-patch+yaml", body))).await
            }
            Request::Delete { kind, name, propagation, .. } => {
                let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
                if version.is_some() || uid.is_some() {
                    body["preconditions"] = json!({"resourceVersion": version, "uid": uid});
                }
                if let Some(propagation) = propagation {
                    body["propagationPolicy"] = match propagation {
                        Propagation::Background => "Background",
                        Propagation::Foreground => "Foreground",
                        Propagation::Orphan => "Orphan",
                    }
                    .into();
                }
                real.send("DELETE", &self.path(*kind, *name), Some(("application/json", body))).await
            }
        }
    }

    fn object(
        &self,
        kind: Kind,
        name: Name,
        spec: Spec,
        annotation: u8,
        version: Option<String>,
        uid: Option<String>,
    ) -> Value {
        let (group, word) = type_of(kind);
        let mut body = content(kind, spec);
        body["apiVersion"] = group.into();
        body["kind"] = word.into();
        body["metadata"] = json!({"name": self.name(name), "labels": {LABEL: self.sequence.to_string()}});
        if annotation > 0 {
            body["metadata"]["annotations"] = json!({ANNOTATION: noted(annotation)});
        }
        name_them(&mut body, version, uid);
        body
    }
}

fn type_of(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Partner => (GROUP, "Partner"),
        Kind::Integration => (GROUP, "PartnerIntegration"),
        Kind::Secret => ("v1", "Secret"),
        Kind::Lease => ("coordination.k8s.io/v1", "Lease"),
    }
}

fn name_them(body: &mut Value, version: Option<String>, uid: Option<String>) {
    if let Some(version) = version {
        body["metadata"]["resourceVersion"] = version.into();
    }
    if let Some(uid) = uid {
        body["metadata"]["uid"] = uid.into();
    }
}

fn noted(annotation: u8) -> Option<String> {
    (annotation > 0).then(|| annotation.to_string())
}

/// A spec as users write it. Nulls take away what another one has; where nothing is patched they are left out.
fn content(kind: Kind, spec: Spec) -> Value {
    match kind {
        Kind::Partner => json!({"spec": {
            "displayName": "Partner",
            "regions": [{"name": "eu1", "endpoint": format!("https://{spec}.example.com")}],
            "authentication": {"bearer": {}},
            "check": {"path": "/"},
        }}),
        Kind::Integration => {
            let connect = spec & 1 > 0;
            json!({"spec": {
                "partner": "partner",
                "suspend": spec & 2 > 0,
                "region": connect.then_some("eu1"),
                "apiKeySecretRef": connect.then(|| json!({"name": "key", "key": "api-key"})),
            }})
        }
        Kind::Secret => json!({"data": {"api-key": BASE64_STANDARD.encode([b'0' + spec])}}),
        Kind::Lease => json!({"spec": {"holderIdentity": spec.to_string()}}),
    }
}

fn said(kind: Kind, status: Status) -> Value {
    let mut said = json!({"observedGeneration": i64::from(status) - 1});
    if kind != Kind::Partner {
        let condition = |word| {
            json!({"type": word, "status": "Unknown", "reason": "Pending", "message": "", "observedGeneration": status,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        said["phase"] = "Available".into();
        said["connected"] = false.into();
        said["conditions"] = json!([condition("Ready"), condition("Connected")]);
    }
    said
}

/// Reads an object. What does not fit the abstraction is an error: it would be overlooked otherwise.
pub fn seen(kind: Kind, object: &Value) -> Result<Seen> {
    let of = |pointer: &str| object.pointer(pointer);
    let text = |pointer: &str| of(pointer).and_then(Value::as_str).unwrap_or_default();
    let finalizers: Vec<_> = of("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten().collect();
    let deleting = match (of("/metadata/deletionTimestamp").is_some(), finalizers.as_slice()) {
        (true, [one]) if *one == "foregroundDeletion" => Some(Finalizer::Foreground),
        (true, [one]) if *one == "orphan" => Some(Finalizer::Orphan),
        // The last answer of an object that was released.
        (true, []) => Some(Finalizer::Foreground),
        (false, []) => None,
        _ => return Err(format!("finalizers {finalizers:?}").into()),
    };
    let spec = match kind {
        Kind::Partner => text("/spec/regions/0/endpoint")
            .trim_start_matches("https://")
            .split('.')
            .next()
            .unwrap_or_default()
            .parse()?,
        Kind::Integration => {
            let suspend = of("/spec/suspend").and_then(Value::as_bool).unwrap_or_default();
            u8::from(of("/spec/region").is_some()) | u8::from(suspend) << 1
        }
        Kind::Secret => BASE64_STANDARD.decode(text("/data/api-key"))?.first().ok_or("no data")? - b'0',
        Kind::Lease => text("/spec/holderIdentity").parse()?,
    };
    let status = of("/status/observedGeneration").and_then(Value::as_i64);
    Ok(Seen {
        name: text("/metadata/name").rsplit('-').next().unwrap_or_default().parse()?,
        uid: text("/metadata/uid").to_owned(),
        version: text("/metadata/resourceVersion").parse()?,
        generation: of("/metadata/generation").and_then(Value::as_u64).map_or(Ok(0), u32::try_from)?,
        deleting,
        annotation: of("/metadata/annotations")
            .and_then(|all| all.get(ANNOTATION))
            .and_then(Value::as_str)
            .map_or(Ok(0), str::parse)?,
        spec,
        status: status.map_or(Ok(0), |said| u8::try_from(said + 1))?,
    })
}
