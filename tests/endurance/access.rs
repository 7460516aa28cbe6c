//! Every right of `deploy/base`, withdrawn from a running operator and granted again. What lacks is named on `/readyz` and in
//! the log by verb and resource; what does not need it goes on; and when it is granted all of it goes on by itself.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::support::operator::{NAME, NAMESPACE, Operator};
use crate::support::proxy::{Action, Answer, Proxy};
use crate::world::{BINARY, World};
use crate::{PATIENCE, assert_kept, describe, keep, proxied, readyz};

const KEPT: usize = 10;
/// The role for the Lease, in the operator's own namespace.
const LEASE_ROLE: &str = "partner-integration-operator-lease";
/// With election, and quick about it.
const ELECTED: [&str; 10] = [
    "--allow-network",
    "127.0.0.0/8",
    "--lease-namespace",
    NAMESPACE,
    "--lease-duration",
    "6s",
    "--renew-deadline",
    "5s",
    "--retry-period",
    "500ms",
];

/// What makes the operator use a right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The watch is cut off and begun again.
    Watch,
    /// The watch is cut off, and too old when it is begun again.
    List,
    /// An integration of a partner that is not in the catalogue.
    NoPartner,
    /// The answer to a status write is lost.
    LostAnswer,
    /// A new integration: its key is read, its status written, an Event tells of it.
    New,
    /// The Partner is edited.
    Partner,
    /// Somebody else writes the Lease.
    LeaseWritten,
    /// Somebody deletes the Lease.
    LeaseDeleted,
    /// It is used all the time.
    Always,
}

/// Resource, verb, what uses it, and how `/readyz` names it.
const RIGHTS: [(&str, &str, Use, &str); 15] = [
    ("partners", "list", Use::List, "partners: list: forbidden (403)"),
    ("partners", "watch", Use::Watch, "partners: watch: forbidden (403)"),
    ("partners", "get", Use::NoPartner, "partners: get: forbidden (403)"),
    ("partnerintegrations", "list", Use::List, "partnerintegrations: list: forbidden (403)"),
    ("partnerintegrations", "watch", Use::Watch, "partnerintegrations: watch: forbidden (403)"),
    ("partnerintegrations", "get", Use::LostAnswer, "partnerintegrations: get: forbidden (403)"),
    ("secrets", "list", Use::List, "secrets: list: forbidden (403)"),
    ("secrets", "watch", Use::Watch, "secrets: watch: forbidden (403)"),
    ("secrets", "get", Use::New, "secrets: get: forbidden (403)"),
    ("partners/status", "patch", Use::Partner, "partners/status: patch: forbidden (403)"),
    ("partnerintegrations/status", "patch", Use::New, "partnerintegrations/status: patch: forbidden (403)"),
    ("events", "create", Use::New, "events: create: forbidden (403)"),
    ("leases", "get", Use::LeaseWritten, "lease: get: forbidden (403)"),
    ("leases", "create", Use::LeaseDeleted, "lease: create: forbidden (403)"),
    ("leases", "update", Use::Always, "lease: update: forbidden (403)"),
];

/// Each rule for one resource, without this verb on this one.
fn without(rules: &[PolicyRule], resource: &str, verb: &str) -> Vec<PolicyRule> {
    let mut left = Vec::new();
    let mut found = false;
    for rule in rules {
        for of in rule.resources.iter().flatten() {
            let mut rule = PolicyRule { resources: Some(vec![of.clone()]), ..rule.clone() };
            rule.verbs.retain(|granted| {
                let taken = of == resource && granted == verb;
                found |= taken;
                !taken
            });
            left.extend((!rule.verbs.is_empty()).then_some(rule));
        }
    }
    assert!(found, "{verb} on {resource} is not in deploy/base");
    left
}

/// The rules of both roles as `deploy/base` has them.
struct Access {
    cluster: Api<ClusterRole>,
    own: Api<Role>,
    cluster_rules: Vec<PolicyRule>,
    own_rules: Vec<PolicyRule>,
}

impl Access {
    async fn of(world: &World<'_>) -> Self {
        let (cluster, own) = (Api::all(world.client.clone()), Api::namespaced(world.client.clone(), NAMESPACE));
        let cluster_rules = cluster.get(NAME).await.map(|role: ClusterRole| role.rules.unwrap()).unwrap();
        let own_rules = own.get(LEASE_ROLE).await.map(|role: Role| role.rules.unwrap()).unwrap();
        Self { cluster, own, cluster_rules, own_rules }
    }

    async fn put(&self, cluster: &[PolicyRule], own: &[PolicyRule]) {
        let params = PatchParams::default();
        self.cluster.patch(NAME, &params, &Patch::Merge(json!({"rules": cluster}))).await.unwrap();
        self.own.patch(LEASE_ROLE, &params, &Patch::Merge(json!({"rules": own}))).await.unwrap();
        // The API server's authorizer sees it by a watch of its own.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    async fn withdraw(&self, resource: &str, verb: &str) {
        if resource == "leases" {
            self.put(&self.cluster_rules, &without(&self.own_rules, resource, verb)).await;
        } else {
            self.put(&without(&self.cluster_rules, resource, verb), &self.own_rules).await;
        }
    }

    async fn grant(&self) {
        self.put(&self.cluster_rules, &self.own_rules).await;
    }
}

/// Makes the operator use a right, by an integration of this name where one is needed.
async fn provoke(world: &World<'_>, proxy: &Proxy, by: Use, resource: &'static str, name: &str) {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), NAMESPACE);
    world.sim.accept("eu1", name);
    match by {
        Use::Watch => proxy.cut_connections(),
        Use::List => {
            let expired = Action::Answer(Answer::expired_watch());
            proxy.rule_times(1, expired, move |asked| asked.is_watch() && asked.is_of_all(resource));
            proxy.cut_connections();
        }
        Use::NoPartner => {
            let spec = json!({"partner": "nobody"});
            world.create(json!({"metadata": {"name": name}, "spec": spec})).await;
        }
        Use::LostAnswer => {
            proxy.rule_times(1, Action::CutAfter, |asked| asked.writes_status_of("partnerintegrations"));
            world.connect(name, "eu1", name).await;
        }
        Use::New => world.connect(name, "eu1", name).await,
        Use::Partner => describe(world, name).await,
        Use::LeaseWritten => {
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"example.com/noise": name}}}));
            leases.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
        }
        Use::LeaseDeleted => drop(leases.delete(NAME, &DeleteParams::default()).await.unwrap()),
        Use::Always => {}
    }
}

/// What there is to see once the right is granted again.
async fn recovers(world: &World<'_>, by: Use, name: &str) {
    match by {
        Use::NoPartner => drop(world.reaches(name, "PartnerNotFound").await),
        Use::LostAnswer | Use::New => {
            world.reaches(name, "Connected").await;
            assert_eq!(world.checks_with(name), 1, "{name}: the outcome is kept until it can be written");
        }
        Use::Partner => {
            let generation = world.partners().get(&world.namespace).await.unwrap().metadata.generation;
            world
                .partner_until("looked at", |partner| {
                    partner.status.as_ref().map(|status| status.observed_generation) == generation
                })
                .await;
        }
        Use::Watch | Use::List | Use::LeaseWritten | Use::LeaseDeleted | Use::Always => {}
    }
}

#[tokio::test]
async fn each_right_that_is_withdrawn_is_named_and_when_it_is_granted_again_all_goes_on_by_itself() {
    let (plane, proxy, kubeconfig) = proxied().await;
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ELECTED).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = &World::on(&plane, "access", &["eu1"]).await;
    world.create_partner(json!({})).await;
    keep(world, KEPT).await;
    let access = Access::of(world).await;
    for (number, (resource, verb, by, line)) in RIGHTS.into_iter().enumerate() {
        let (name, known) = (format!("it-{number}"), operator.log().len());
        access.withdraw(resource, verb).await;
        let began = Instant::now();
        provoke(world, &proxy, by, resource, &name).await;
        readyz(
            &operator,
            503,
            &[line, &format!("grant the operator {}", if resource == "leases" { "get" } else { verb })],
        )
        .await;
        let named = began.elapsed();
        let log = operator.log().split_off(known);
        let object = resource.trim_end_matches("/status");
        let says = |line: &&str| line.contains("403") && line.contains(verb) && line.contains(object);
        let said = log.lines().find(says).unwrap_or_else(|| panic!("{verb} on {resource} is not in the log: {log}"));
        assert!(said.contains("WARN"), "{said}");
        assert_eq!(operator.admin("/livez").await.unwrap().0, 200);
        if (resource, verb) == ("secrets", "get") {
            world.reaches(&name, "SecretForbidden").await;
        }

        access.grant().await;
        let began = Instant::now();
        recovers(world, by, &name).await;
        if resource == "events" {
            // The next one that is written says that it may.
            world.connect("it-tells", "eu1", &name).await;
        }
        operator.ready(PATIENCE).await.unwrap();
        println!("{verb} on {resource}: named after {named:.1?}; granted again, ready after {:.1?}", began.elapsed());
        assert_kept(world, KEPT);
    }
    // It works as before.
    world.sim.accept("eu1", "after");
    world.connect("after", "eu1", "after").await;
    world.reaches("after", "Connected").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
