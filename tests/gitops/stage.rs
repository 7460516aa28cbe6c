//! Brings integrations and partners into every state, by the real operator, a real API server and a simulated partner.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{Patch, PatchParams};
use partner_integration_operator::api::PartnerIntegration;
use serde_json::{Value, json};

use crate::support::controlplane::ControlPlane;
use crate::support::operator::{NAME, Operator, allow_bindings};
use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{ALLOW, LIMIT, World, condition, is_observed, own_operator, own_plane};

/// What each region of the partner does.
fn regions() -> Vec<(&'static str, Behaviour)> {
    vec![
        ("eu1", Behaviour::Normal),
        ("hiccup", Behaviour::Normal),
        ("silent", Behaviour::HangForever),
        ("deaf", Behaviour::HangForever),
        ("busy", Behaviour::Throttle429(None)),
        ("down", Behaviour::Down503(None)),
        ("cut", Behaviour::CloseMidHead),
        ("moved", Behaviour::Redirect(308, "https://localhost/".to_owned())),
        ("lost", Behaviour::Status(404, vec![], vec![])),
    ]
}

/// Regions whose trouble is their address.
const ADDRESSES: [(&str, &str); 2] = [("nowhere", "https://partner.invalid"), ("metadata", "https://169.254.169.254")];
const KEY: &str = "a-good-key";

/// Objects as the API server gives them, by the name of their state.
pub type Objects = BTreeMap<String, Value>;

/// Everything that was seen.
pub struct Seen {
    /// All of them, before there was an operator.
    pub untouched: Vec<Value>,
    pub integrations: Objects,
    pub partners: Objects,
    /// What differs in each run: the namespace, and where the simulated partner is.
    pub namespace: String,
    pub endpoint: String,
}

/// A control plane of its own, since all begins without an operator, and the operator's role is changed at the end.
pub struct Stage {
    pub plane: ControlPlane,
    kubeconfig: std::path::PathBuf,
}

impl Stage {
    pub async fn new() -> Self {
        let (plane, kubeconfig) = own_plane().await;
        Self { plane, kubeconfig }
    }

    pub async fn operator(&self) -> Operator {
        own_operator(&self.plane, &self.kubeconfig, &ALLOW).await
    }

    async fn operator_with_bindings(&self) -> Operator {
        allow_bindings(&self.plane).await.unwrap();
        own_operator(&self.plane, &self.kubeconfig, &[&ALLOW[..], &["--bindings"]].concat()).await
    }

    /// A namespace, and a partner whose regions behave as above.
    pub async fn world(&self) -> World<'_> {
        let names: Vec<&str> = regions().iter().map(|(name, _)| *name).collect();
        let world = World::on(&self.plane, "shop", &names).await;
        for (region, behaviour) in regions() {
            world.sim.accept(region, KEY);
            world.sim.set_region_behaviour(region, Some(behaviour)).unwrap();
        }
        world
    }

    /// All states, in the order in which they come about.
    pub async fn play(&self) -> Seen {
        let world = &self.world().await;
        create_partners(world).await;
        create_integrations(world).await;
        let before = [list(world, "partnerintegrations").await, list(world, "partners").await];

        let operator = self.operator().await;
        for (name, reason) in reached() {
            world.reaches(name, reason).await;
        }
        for name in PARTNERS {
            partner_is_observed(world, name).await;
        }
        let disabled = |it: &PartnerIntegration| {
            condition(it, "Ready").is_some_and(|ready| ready.reason == "BindingsDisabled") && is_observed(it)
        };
        world.until("bindings-disabled", "BindingsDisabled", disabled).await;
        hiccup(world).await;
        change(world).await;
        let mut integrations = list(world, "partnerintegrations").await;
        let mut partners = list(world, "partners").await;
        operator.terminate().await.unwrap();
        let operator = self.operator_with_bindings().await;
        for (name, reason) in [("binding-not-owned", "BindingNotOwned"), ("binding-failed", "BindingFailed")] {
            let object = occupied(world, name, reason).await;
            integrations.insert(name.to_owned(), object);
        }
        forbid_secrets(world).await;
        let forbidden = list(world, "partnerintegrations").await.remove("secret-forbidden");
        // Then nobody is there who would look at a new spec.
        operator.terminate().await.unwrap();
        let slower = json!({"spec": {"check": {"interval": "20m"}}});
        let changed = Patch::Merge(&slower);
        let name = format!("{}-valid", world.namespace);
        world.partners().patch(&name, &PatchParams::default(), &changed).await.unwrap();
        let after = list(world, "partners").await.remove("valid");

        integrations.insert("pending".to_owned(), before[0]["connected"].clone());
        integrations.insert("secret-forbidden".to_owned(), forbidden.unwrap());
        partners.insert("pending".to_owned(), before[1]["valid"].clone());
        partners.insert("changed".to_owned(), after.unwrap());
        let untouched = before.into_iter().flat_map(BTreeMap::into_values).collect();
        Seen { untouched, integrations, partners, namespace: world.namespace.clone(), endpoint: endpoint_of(world) }
    }
}

/// What stands before the region in each endpoint of the simulated partner.
fn endpoint_of(world: &World<'_>) -> String {
    world.sim.endpoint_by_address("eu1").trim_end_matches("/eu1").to_owned()
}

/// Those of a world's objects of this kind, as the API server gives them.
async fn list(world: &World<'_>, plural: &str) -> Objects {
    let path = format!("/apis/integrations.kognitiv.com/v1alpha1/{plural}");
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let mut list: Value = serde_json::from_str(&world.client.request_text(request).await.unwrap()).unwrap();
    let prefix = format!("{}-", world.namespace);
    let objects = list["items"].as_array_mut().unwrap().drain(..);
    let named = objects.map(|object| {
        let name = object["metadata"]["name"].as_str().unwrap();
        (name.strip_prefix(&prefix).unwrap_or(name).to_owned(), object)
    });
    named.collect()
}

/// What each integration comes to without anybody's doing, by the reason of Connected.
fn reached() -> Vec<(&'static str, &'static str)> {
    vec![
        ("suspended", "Suspended"),
        ("added", "NotConfigured"),
        ("connected", "Connected"),
        ("changed", "Connected"),
        ("check-failing", "Connected"),
        ("added-partner-not-found", "PartnerNotFound"),
        ("partner-not-found", "PartnerNotFound"),
        ("secret-not-found", "SecretNotFound"),
        ("secret-key-not-found", "SecretKeyNotFound"),
        ("dns-failure", "DNSFailure"),
        ("connect-failed", "ConnectFailed"),
        ("timeout", "Timeout"),
        ("rate-limited", "RateLimited"),
        ("partner-unavailable", "PartnerUnavailable"),
        ("partner-invalid", "PartnerInvalid"),
        ("region-not-found", "RegionNotFound"),
        ("endpoint-forbidden", "EndpointForbidden"),
        ("invalid-credential", "InvalidCredential"),
        ("credential-rejected", "CredentialRejected"),
        ("redirect-refused", "RedirectRefused"),
        ("tls-failed", "TLSFailed"),
        ("unexpected-response", "UnexpectedResponse"),
    ]
}

/// Those that the operator is waited for.
const PARTNERS: [&str; 5] = ["valid", "patient", "untrusted", "invalid-expression", "invalid-trust-bundle"];

/// Several entries for the one simulated partner; each is called as here, behind the namespace.
async fn create_partners(world: &World<'_>) {
    let names = regions().into_iter().map(|(name, _)| (name, world.sim.endpoint_by_address(name)));
    let all = names.chain(ADDRESSES.iter().map(|(name, endpoint)| (*name, (*endpoint).to_owned())));
    let all: Vec<Value> = all.map(|(name, endpoint)| json!({"name": name, "endpoint": endpoint})).collect();
    let one = json!([{"name": "eu1", "endpoint": world.sim.endpoint_by_address("eu1")}]);
    let specs = [
        // A failure stays below the threshold for as long as this takes.
        json!({"regions": all, "check": {"timeout": "2s", "failureThreshold": 10}}),
        json!({"check": {"timeout": "60s"}}),
        json!({"regions": one, "trustBundle": null}),
        json!({"regions": one, "check": {"success": {"expression": "body.valid =="}}}),
        json!({"regions": one, "trustBundle": "no certificate"}),
    ];
    for (name, spec) in PARTNERS.iter().zip(specs) {
        let mut patch = json!({"metadata": {"name": format!("{}-{name}", world.namespace)}, "spec": spec});
        patch["spec"]["displayName"] = json!("Acme Loyalty");
        world.create_partner(patch).await;
    }
}

async fn partner_is_observed(world: &World<'_>, name: &str) {
    let partners = world.partners();
    let name = format!("{}-{name}", world.namespace);
    wait_for(&format!("{name} to be looked at"), LIMIT, async || {
        let partner = partners.get(&name).await.map_err(|error| error.to_string())?;
        let observed = partner.status.map(|status| status.observed_generation);
        if observed == partner.metadata.generation { Ok(()) } else { Err(format!("{observed:?}")) }
    })
    .await
    .unwrap();
}

async fn create_integrations(world: &World<'_>) {
    world.put_secret("acme-loyalty", KEY.as_bytes()).await;
    world.put_secret("refused", b"another-key").await;
    world.put_secret("two-lines", b"a\nkey").await;
    let create = async |name: &str, partner: &str, spec: Value| {
        let mut manifest = json!({
            "metadata": {"name": name},
            "spec": {
                "partner": format!("{}-{partner}", world.namespace),
                "region": "eu1",
                "apiKeySecretRef": {"name": "acme-loyalty"},
            },
        });
        crate::world::merge(&mut manifest, &json!({"spec": spec}));
        world.create(manifest).await;
    };
    let bare = json!({"region": null, "apiKeySecretRef": null});
    create("suspended", "valid", json!({"suspend": true})).await;
    create("added", "valid", bare.clone()).await;
    create("connected", "valid", json!({})).await;
    create("bindings-disabled", "valid", json!({"binding": {"secretName": "acme-loyalty-connection"}})).await;
    create("changed", "patient", json!({})).await;
    create("check-failing", "valid", json!({"region": "hiccup"})).await;
    create("added-partner-not-found", "absent", bare).await;
    create("partner-not-found", "absent", json!({})).await;
    create("secret-not-found", "valid", json!({"apiKeySecretRef": {"name": "absent"}})).await;
    create("secret-key-not-found", "valid", json!({"apiKeySecretRef": {"key": "absent"}})).await;
    for (name, region) in [
        ("dns-failure", "nowhere"),
        ("endpoint-forbidden", "metadata"),
        ("connect-failed", "cut"),
        ("timeout", "silent"),
        ("rate-limited", "busy"),
        ("partner-unavailable", "down"),
        ("region-not-found", "mars"),
    ] {
        create(name, "valid", json!({"region": region})).await;
    }
    create("partner-invalid", "invalid-expression", json!({})).await;
    create("invalid-credential", "valid", json!({"apiKeySecretRef": {"name": "two-lines"}})).await;
    create("credential-rejected", "valid", json!({"apiKeySecretRef": {"name": "refused"}})).await;
    create("redirect-refused", "valid", json!({"region": "moved"})).await;
    create("tls-failed", "untrusted", json!({})).await;
    create("unexpected-response", "valid", json!({"region": "lost"})).await;
}

/// One check of a connected integration fails.
async fn hiccup(world: &World<'_>) {
    world.sim.set_region_behaviour("hiccup", Some(Behaviour::Down503(None))).unwrap();
    world.ask("check-failing", "now").await;
    world.reaches("check-failing", "CheckFailing").await;
}

/// The spec of a connected integration changes, and the partner does not answer to that for a minute.
async fn change(world: &World<'_>) {
    world.edit("changed", json!({"spec": {"region": "deaf"}})).await;
    let asked = || world.sim.requests().iter().any(|request| request.region.as_deref() == Some("deaf"));
    wait_for("the check of the new spec to be under way", LIMIT, async || asked()).await.unwrap();
}

/// A new integration whose binding's name is taken: by a Secret of somebody else's, or by one that belongs to an earlier
/// integration of this name and that nobody collects here.
async fn occupied(world: &World<'_>, name: &str, reason: &str) -> Value {
    let taken = format!("{name}-connection");
    world.put_secret(&taken, b"somebody else's").await;
    if reason == "BindingFailed" {
        let owner = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "PartnerIntegration",
            "name": name,
            "uid": "00000000-0000-4000-8000-000000000000",
            "controller": true,
        });
        let taken_over = Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}));
        let secrets = Api::<Secret>::namespaced(world.client.clone(), &world.namespace);
        secrets.patch(&taken, &PatchParams::default(), &taken_over).await.unwrap();
    }
    let spec = json!({
        "partner": format!("{}-valid", world.namespace),
        "region": "eu1",
        "apiKeySecretRef": {"name": "acme-loyalty"},
        "binding": {"secretName": taken},
    });
    world.create(json!({"metadata": {"name": name}, "spec": spec})).await;
    let says =
        |it: &PartnerIntegration| condition(it, "Ready").is_some_and(|ready| ready.reason == reason) && is_observed(it);
    world.until(name, reason, says).await;
    list(world, "partnerintegrations").await.remove(name).unwrap()
}

/// The operator may `get` Secrets no more, and there is a new integration. From here on others come to this state too.
async fn forbid_secrets(world: &World<'_>) {
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let mut role = roles.get(NAME).await.unwrap();
    for rule in role.rules.iter_mut().flatten() {
        if rule.resources.as_ref().is_some_and(|resources| resources.contains(&"secrets".to_owned())) {
            rule.verbs.retain(|verb| verb != "get");
        }
    }
    let take_away = Patch::Merge(json!({"rules": role.rules}));
    roles.patch(NAME, &PatchParams::default(), &take_away).await.unwrap();
    let spec = json!({
        "partner": format!("{}-valid", world.namespace),
        "region": "eu1",
        "apiKeySecretRef": {"name": "acme-loyalty"},
    });
    world.create(json!({"metadata": {"name": "secret-forbidden"}, "spec": spec})).await;
    world.reaches("secret-forbidden", "SecretForbidden").await;
}
