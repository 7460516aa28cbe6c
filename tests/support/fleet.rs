//! Many integrations, each with a Secret of its own: made fast, looked at cheaply, and what it cost to connect them.

mod counts;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use partner_integration_operator::api::{Partner, PartnerIntegration, Phase};
use serde::Deserialize;
use serde_json::{Value, json};

use super::partner::SimPartner;
use super::{Result, wait_for};
pub use counts::{Costs, Meter};

/// The region that every partner of a fleet has.
pub const REGION: &str = "eu1";
/// Requests in flight while a fleet is made.
const AT_ONCE: usize = 32;
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(5);
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Integrations `NAME-0` … in some namespaces, all of one Partner, each with a Secret of its own name.
#[derive(Debug, Clone)]
pub struct Fleet {
    name: String,
    size: usize,
    namespaces: usize,
}

/// As much of a list as tells whether there is anything in it.
#[derive(Deserialize)]
struct Any {
    items: Vec<serde::de::IgnoredAny>,
}

/// When a fleet had come so far.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// The partner had been asked about every integration.
    pub checked: Instant,
    /// The last status said Enabled.
    pub enabled: Instant,
    /// How many lists of integrations it took to see that.
    pub looks: u64,
}

impl Fleet {
    /// A fleet that is not there yet; `name` is also that of its Partner.
    pub fn new(name: &str, size: usize, namespaces: usize) -> Self {
        Self { name: name.to_owned(), size, namespaces: namespaces.clamp(1, size.max(1)) }
    }

    /// How many integrations it has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The name of its Partner.
    pub fn partner(&self) -> &str {
        &self.name
    }

    /// The namespaces.
    pub fn namespaces(&self) -> Vec<String> {
        (0..self.namespaces).map(|number| format!("{}-{number}", self.name)).collect()
    }

    /// Where the integration of this number is, and what it and its Secret are called.
    pub fn place(&self, number: usize) -> (String, String) {
        (format!("{}-{}", self.name, number % self.namespaces), format!("{}-{number}", self.name))
    }

    /// The key of the integration of this number, after so many rotations.
    pub fn key(&self, number: usize, rotations: usize) -> String {
        format!("{}-{number}-key-{rotations:04}", self.name)
    }

    /// Creates the Partner, whose one region is this simulated one, with this JSON in its `check` besides the path.
    ///
    /// # Errors
    /// It is refused.
    pub async fn create_partner(&self, client: &Client, sim: &SimPartner, check: Value) -> Result<()> {
        let mut wanted = json!({"path": "/v1/validate", "timeout": "10s", "interval": "10m"});
        if let (Some(wanted), Value::Object(check)) = (wanted.as_object_mut(), check) {
            wanted.extend(check);
        }
        let partner: Partner = serde_json::from_value(json!({
            "apiVersion": Partner::api_version(&()),
            "kind": Partner::kind(&()),
            "metadata": {"name": self.name},
            "spec": {
                "displayName": "Loyalty Platform",
                "regions": [{"name": REGION, "endpoint": sim.endpoint_by_address(REGION)}],
                "authentication": {"headers": [{"name": "X-Api-Key"}]},
                "check": wanted,
                "trustBundle": sim.ca_pem(),
            },
        }))?;
        Api::<Partner>::all(client.clone()).create(&PostParams::default(), &partner).await?;
        Ok(())
    }

    /// Changes the check of the Partner, by a JSON merge patch of it.
    ///
    /// # Errors
    /// It is refused.
    pub async fn edit_check(&self, client: &Client, check: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"check": check}}));
        Api::<Partner>::all(client.clone()).patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Creates the namespaces, Secrets and integrations, and has the simulated partner accept their keys. `progress` is told how
    /// many integrations there are, now and then.
    ///
    /// # Errors
    /// The first object that is refused.
    pub async fn create(&self, client: &Client, sim: &SimPartner, progress: impl Fn(usize)) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for name in self.namespaces() {
            let namespace = Namespace { metadata: named(&name), ..Namespace::default() };
            namespaces.create(&PostParams::default(), &namespace).await?;
        }
        let done = AtomicUsize::new(0);
        stream::iter(0..self.size)
            .map(async |number| {
                sim.accept(REGION, &self.key(number, 0));
                self.create_one(client, number).await?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(500) || done == self.size {
                    progress(done);
                }
                Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn create_one(&self, client: &Client, number: usize) -> Result<()> {
        let (namespace, name) = self.place(number);
        let data = [("api-key".to_owned(), ByteString(self.key(number, 0).into_bytes()))];
        let secret = Secret { metadata: named(&name), data: Some(data.into()), ..Secret::default() };
        Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &secret).await?;
        let integration: PartnerIntegration = serde_json::from_value(json!({
            "apiVersion": PartnerIntegration::api_version(&()),
            "kind": PartnerIntegration::kind(&()),
            "metadata": {"name": name},
            "spec": {"partner": self.name, "region": REGION, "apiKeySecretRef": {"name": name}},
        }))?;
        Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &integration).await?;
        Ok(())
    }

    /// Gives the Secret of this number the key after so many rotations.
    ///
    /// # Errors
    /// It is refused.
    pub async fn rotate(&self, client: &Client, number: usize, rotations: usize) -> Result<()> {
        let (namespace, name) = self.place(number);
        let data = [("api-key", ByteString(self.key(number, rotations).into_bytes()))];
        let patch = Patch::Merge(json!({"data": std::collections::BTreeMap::from(data)}));
        Api::<Secret>::namespaced(client.clone(), &namespace).patch(&name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Whether every integration of the fleet is Enabled. One request that the API server answers from memory, with one object at
    /// most: cheap however large the fleet is. It counts as a list of integrations.
    ///
    /// # Errors
    /// It is not answered.
    pub async fn is_enabled(&self, client: &Client) -> Result<bool> {
        let selector = format!("status.phase%21%3DEnabled%2Cspec.partner%3D{}", self.name);
        let path = PartnerIntegration::url_path(&(), None);
        let request = http::Request::get(format!("{path}?limit=1&fieldSelector={selector}")).body(Vec::new())?;
        let left: Any = client.request(request).await?;
        Ok(left.items.is_empty())
    }

    /// Waits until [every one is Enabled](Self::is_enabled), looking every few milliseconds once the partner has seen `checks`
    /// requests in all: until then there is nothing to look for.
    ///
    /// # Errors
    /// Time is up; the error says how far it came.
    pub async fn enabled(&self, client: &Client, sim: &SimPartner, checks: u64, limit: Duration) -> Result<Reached> {
        let began = Instant::now();
        let (mut checked, mut looks) = (None, 0);
        while began.elapsed() < limit {
            if checked.is_none() && sim.counters().requests >= checks {
                checked = Some(Instant::now());
            }
            if let Some(checked) = checked {
                looks += 1;
                if self.is_enabled(client).await? {
                    return Ok(Reached { checked, enabled: Instant::now(), looks });
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        let seen = sim.counters().requests;
        Err(format!("{} is not Enabled after {limit:?}; {seen} of {checks} checks were made", self.name).into())
    }

    /// All of its integrations, in pages.
    ///
    /// # Errors
    /// A page is not answered.
    pub async fn list(&self, client: &Client) -> Result<Vec<PartnerIntegration>> {
        let api: Api<PartnerIntegration> = Api::all(client.clone());
        let mut params = ListParams::default().fields(&format!("spec.partner={}", self.name)).limit(PAGE);
        let mut all = Vec::with_capacity(self.size);
        loop {
            let page = api.list(&params).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// Judges every status: Enabled, connected, about the spec as it is, and proved.
    ///
    /// # Errors
    /// The first one that is not, or that some are missing.
    pub async fn verify(&self, client: &Client) -> Result<()> {
        let all = self.list(client).await?;
        if all.len() != self.size {
            return Err(format!("{} of {} integrations are there", all.len(), self.size).into());
        }
        for integration in all {
            let good = integration.status.as_ref().is_some_and(|status| {
                status.phase == Phase::Enabled
                    && status.connected
                    && status.verified.is_some()
                    && Some(status.observed_generation) == integration.metadata.generation
            });
            if !good {
                return Err(format!("{}: {:#?}", integration.name_any(), integration.status).into());
            }
        }
        Ok(())
    }
}

/// Waits until the API server has seen no write but those of Leases for two seconds.
///
/// # Errors
/// It is not quiet within the limit.
pub async fn quiet(plane: &super::controlplane::ControlPlane, limit: Duration) -> Result<()> {
    wait_for("the writes to end", limit, async || {
        let before = plane.requests().await.map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let added = plane.requests().await.map_err(|error| error.to_string())?.since(&before).writes();
        if added.0.is_empty() { Ok(()) } else { Err(format!("{added:?}")) }
    })
    .await
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
