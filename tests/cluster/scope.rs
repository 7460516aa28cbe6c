//! An instance that looks after a few namespaces, or that may only `get` Secrets, under exactly the rights that it needs:
//! those of `deploy/base` and `deploy/overlays/namespaced`, less what each test names.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::controlplane::{Audited, ControlPlane};
use crate::support::operator::{NAME, NAMESPACE, Operator, USER};
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, LIMIT, World, own_operator, own_plane};

/// What is left of the operator's rules when only these resources are kept.
fn only(rules: &[PolicyRule], keep: impl Fn(&str) -> bool) -> Vec<PolicyRule> {
    let mut rules = rules.to_vec();
    for rule in &mut rules {
        rule.resources.iter_mut().for_each(|resources| resources.retain(|resource| keep(resource)));
    }
    rules.retain(|rule| rule.resources.as_ref().is_some_and(|resources| !resources.is_empty()));
    rules
}

fn is_catalogue(resource: &str) -> bool {
    resource.split('/').next() == Some("partners")
}

async fn rules(plane: &ControlPlane) -> Vec<PolicyRule> {
    Api::<ClusterRole>::all(plane.client().unwrap()).get(NAME).await.unwrap().rules.unwrap()
}

/// What `deploy/overlays/namespaced` grants in a namespace.
async fn rules_in_a_namespace(plane: &ControlPlane) -> Vec<PolicyRule> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/overlays/namespaced/role.yaml");
    let json = plane.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", file]).await.unwrap();
    serde_json::from_str::<Role>(&json).unwrap().rules.unwrap()
}

async fn grant_everywhere(plane: &ControlPlane, rules: &[PolicyRule]) {
    let patch = Patch::Merge(json!({"rules": rules}));
    let granted: Api<ClusterRole> = Api::all(plane.client().unwrap());
    granted.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
}

async fn grant_in(plane: &ControlPlane, namespace: &str, rules: Vec<PolicyRule>) {
    let (client, meta) = (plane.client().unwrap(), json!({"name": NAME, "namespace": namespace}));
    let role: Role = serde_json::from_value(json!({"metadata": meta, "rules": rules})).unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }))
    .unwrap();
    Api::namespaced(client, namespace).create(&PostParams::default(), &binding).await.unwrap();
}

/// Waits until the API server answers so to `verb resource` in a namespace: it learns of roles a moment later.
async fn may(plane: &ControlPlane, expected: bool, verb: &str, resource: &str, namespace: &str) {
    wait_for(&format!("{verb} {resource}: {expected}"), LIMIT, async || {
        let mut question = vec!["auth", "can-i", verb];
        question.extend(resource.split(' '));
        question.extend(["-n", namespace, "--as", USER]);
        plane.kubectl(&question).await.is_ok() == expected
    })
    .await
    .unwrap();
}

fn asked(plane: &ControlPlane, of: impl Fn(&Audited) -> bool) -> Vec<Audited> {
    let mut asked = plane.audit().unwrap();
    asked.retain(|seen| seen.user == USER && of(seen));
    asked
}

fn assert_nothing_was_forbidden(plane: &ControlPlane) {
    let forbidden = asked(plane, |seen| seen.code == 403);
    assert!(forbidden.is_empty(), "{forbidden:#?}");
}

#[tokio::test]
async fn an_instance_of_some_namespaces_needs_nothing_else_but_the_catalogue_and_writes_no_partner_status() {
    let (plane, kubeconfig) = own_plane().await;
    let worlds = [
        World::on(&plane, "mine", &["eu1"]).await,
        World::on(&plane, "ours", &["eu1"]).await,
        World::on(&plane, "theirs", &["eu1"]).await,
    ];
    let [mine, ours, theirs] = &worlds;
    let all = rules(&plane).await;
    let catalogue = only(&all, |resource| resource == "partners");
    grant_everywhere(&plane, &catalogue).await;
    for world in [mine, ours] {
        grant_in(&plane, &world.namespace, rules_in_a_namespace(&plane).await).await;
    }
    may(&plane, false, "list", "secrets", &theirs.namespace).await;
    may(&plane, true, "list", "secrets", &mine.namespace).await;
    may(&plane, true, "list", "secrets", &ours.namespace).await;
    for world in &worlds {
        world.sim.accept("eu1", "good");
        world.create_partner(json!({})).await;
        world.connect("it", "eu1", "good").await;
    }
    let namespaces = format!("--namespace={},{}", mine.namespace, ours.namespace);
    let arguments = [&ALLOW[..], &[&namespaces]].concat();
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    for world in [mine, ours] {
        world.reaches("it", "Connected").await;
        world.sim.accept("eu1", "new");
        world.put_secret("it", b"new").await;
        wait_for("the new key to be proved", LIMIT, async || world.checks_with("new") == 1).await.unwrap();
    }
    mine.integrations().delete("it", &kube::api::DeleteParams::default()).await.unwrap();
    mine.connect("again", "eu1", "good").await;
    mine.reaches("again", "Connected").await;
    assert_eq!(operator.admin("/readyz").await.unwrap(), (200, "ok\n".to_owned()));
    let metrics = operator.admin("/metrics").await.unwrap().1;
    assert!(metrics.contains("name=\"again\"") && !metrics.contains("name=\"it\",partner=\"mine"), "{metrics}");
    assert_eq!(operator.terminate().await.unwrap(), 0);
    assert_eq!((theirs.checks(), crate::world::reason(&theirs.get("it").await)), (0, "Pending"));
    assert_nothing_was_forbidden(&plane);
    let partners = asked(&plane, |seen| seen.is_write() && seen.resource == "partners");
    assert!(partners.is_empty(), "{partners:#?}");

    // With Partner status: conditions and regions, and no counts, also where somebody has left some.
    let with_status = only(&all, is_catalogue);
    grant_everywhere(&plane, &with_status).await;
    may(&plane, true, "patch", "partners.integrations.kognitiv.com --subresource=status", "default").await;
    let stale = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "Partner",
        "status": {"observedGeneration": 1, "integrations": 7, "connected": 7},
    });
    let as_an_operator = PatchParams::apply(NAME).force();
    ours.partners().patch_status(&ours.namespace, &as_an_operator, &Patch::Apply(stale)).await.unwrap();
    let before = (mine.checks(), ours.checks());
    let operator = own_operator(&plane, &kubeconfig, &[&arguments[..], &["--partner-status"]].concat()).await;
    for world in &worlds {
        let found =
            world.partner_until("looked at", |it| it.status.as_ref().is_some_and(|s| !s.conditions.is_empty())).await;
        let status = found.status.unwrap();
        assert_eq!(status.region_names.as_deref(), Some("eu1"));
        assert_eq!((status.integrations, status.connected), (None, None), "{status:#?}");
    }
    assert_eq!((mine.checks(), ours.checks()), before, "a restart checks nothing");
    assert_eq!(operator.terminate().await.unwrap(), 0);
    assert_nothing_was_forbidden(&plane);
}

#[tokio::test]
async fn a_namespace_that_is_refused_or_absent_delays_nobody_and_says_so() {
    let (plane, kubeconfig) = own_plane().await;
    let (good, half) = (World::on(&plane, "good", &["eu1"]).await, World::on(&plane, "half", &["eu1"]).await);
    let all = rules(&plane).await;
    grant_everywhere(&plane, &only(&all, |resource| resource == "partners")).await;
    let whole = rules_in_a_namespace(&plane).await;
    grant_in(&plane, &good.namespace, whole.clone()).await;
    let without_secrets = only(&whole, |resource| resource != "secrets");
    grant_in(&plane, &half.namespace, without_secrets).await;
    may(&plane, true, "list", "secrets", &good.namespace).await;
    may(&plane, true, "list", "partnerintegrations.integrations.kognitiv.com", &half.namespace).await;
    may(&plane, false, "list", "secrets", &half.namespace).await;
    for world in [&good, &half] {
        world.sim.accept("eu1", "good");
        world.create_partner(json!({})).await;
    }
    let namespaces = format!("--namespace=absent,{},{}", good.namespace, half.namespace);
    let arguments = [&ALLOW[..], &[&namespaces]].concat();
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &arguments).await.unwrap();
    // More than there are reconciles at a time.
    for number in 0..30 {
        half.connect(&format!("it-{number}"), "eu1", "good").await;
    }
    good.connect("it", "eu1", "good").await;
    let (_, took) = good.reaches_timed("it", "Connected").await;
    println!("connected {took:.1?} after it was made, beside two namespaces that are refused");
    half.reaches("it-0", "SecretForbidden").await;
    half.reaches("it-29", "SecretForbidden").await;
    operator.ready(LIMIT).await.unwrap();
    let refused = "list: forbidden (403); grant the operator list on it";
    let expected = format!(
        "ok\nnot served: partnerintegrations in absent: {refused}\nnot served: secrets in absent: {refused}\n\
         not served: secrets in {half}: {refused}\n\
         not served: secrets: get: forbidden (403) in {half}; grant the operator get on it\n",
        half = half.namespace
    );
    wait_for("what /readyz says", LIMIT, async || {
        let said = operator.admin("/readyz").await.map_err(|error| error.to_string())?;
        if said == (200, expected.clone()) { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await
    .unwrap();
    assert_eq!(half.checks(), 0);

    // Granted, it is served, without a restart.
    let roles: Api<Role> = Api::namespaced(half.client.clone(), &half.namespace);
    let whole = Patch::Merge(json!({"rules": whole}));
    roles.patch(NAME, &PatchParams::default(), &whole).await.unwrap();
    half.reaches("it-0", "Connected").await;
    half.reaches("it-29", "Connected").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn without_a_watch_of_secrets_get_is_enough_and_a_restart_reads_none_of_what_is_known() {
    let (plane, kubeconfig) = own_plane().await;
    let world = World::on(&plane, "unwatched", &["eu1"]).await;
    let mut granted = rules(&plane).await;
    for rule in &mut granted {
        if rule.resources.as_deref() == Some(&["secrets".to_owned()]) {
            rule.verbs = vec!["get".to_owned()];
        }
    }
    grant_everywhere(&plane, &granted).await;
    may(&plane, false, "list", "secrets", &world.namespace).await;
    may(&plane, true, "get", "secrets", &world.namespace).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("good", b"good").await;
    world.put_secret("wrong", b"wrong").await;
    let arguments = [&ALLOW[..], &["--secret-watch", "none"]].concat();
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    assert_eq!(operator.admin("/readyz").await.unwrap(), (200, "ok\n".to_owned()));
    for number in 0..10 {
        world.configure(&format!("good-{number}"), "eu1", "good").await;
        world.configure(&format!("wrong-{number}"), "eu1", "wrong").await;
    }
    world.configure("late", "eu1", "late").await;
    world.connect("rotates", "eu1", "good").await;
    for number in 0..10 {
        world.reaches(&format!("good-{number}"), "Connected").await;
        world.reaches(&format!("wrong-{number}"), "CredentialRejected").await;
    }
    world.reaches("late", "SecretNotFound").await;
    let before = world.reaches("rotates", "Connected").await.status.unwrap().verified.unwrap();

    // A changed key is seen by the check that is asked for, and so is a Secret that came.
    world.sim.accept("eu1", "new");
    world.put_secret("rotates", b"new").await;
    world.put_secret("late", b"good").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.checks_with("new"), crate::world::reason(&world.get("late").await)), (0, "SecretNotFound"));
    world.ask("rotates", "now").await;
    world.ask("late", "now").await;
    world.reaches("late", "Connected").await;
    let proved = |it: &partner_integration_operator::api::PartnerIntegration| {
        let status = it.status.as_ref();
        status.and_then(|status| status.verified.as_ref()).is_some_and(|verified| *verified != before)
            && status.is_some_and(|status| status.last_handled_check_request.as_deref() == Some("now"))
    };
    world.until("rotates", "proved with the new key", proved).await;
    assert_eq!(world.checks_with("new"), 1);

    tokio::time::sleep(Duration::from_secs(1)).await;
    operator.kill().await.unwrap();
    let gets = || asked(&plane, |seen| seen.resource == "secrets" && seen.verb == "get").len();
    let known = (gets(), world.checks(), world.status_writes().len());
    world.put_secret("good", b"changed while nobody looked").await;
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((gets(), world.checks(), world.status_writes().len()), known, "all of it is known");
    world.ask("good-0", "now").await;
    world.reaches("good-0", "CredentialRejected").await;

    world.delete_secret("rotates").await;
    world.ask("rotates", "again").await;
    world.reaches("rotates", "SecretNotFound").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
    assert_nothing_was_forbidden(&plane);
    let others = asked(&plane, |seen| seen.resource == "secrets" && seen.verb != "get");
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(world.integrations().list(&ListParams::default()).await.unwrap().items.len(), 22);
}
