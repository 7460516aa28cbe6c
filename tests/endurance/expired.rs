//! A watch that is too old, and a token that is.

use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::support::controlplane::ControlPlane;
use crate::support::operator::{NAME, NAMESPACE, Operator};
use crate::support::proxy::{Action, Answer, Asked, Proxy};
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, World};
use crate::{PATIENCE, assert_kept, keep, proxied, readyz};

const KEPT: usize = 10;

/// From now on each watch is told, in this way, that it is too old, until its kind has been listed anew; `then` comes in between.
async fn expire(proxy: &Proxy, answer: &Answer, then: impl FnOnce()) {
    const KINDS: [&str; 3] = ["partnerintegrations", "partners", "secrets"];
    let rules = KINDS.map(|plural| {
        proxy.rule(Action::Answer(answer.clone()), move |asked| asked.is_watch() && asked.is_of_all(plural))
    });
    let known = proxy.asked().len();
    then();
    for (plural, rule) in KINDS.into_iter().zip(rules) {
        wait_for(&format!("{plural} to be listed anew"), PATIENCE, async || {
            proxy.asked()[known..].iter().any(|asked| !asked.is_watch() && asked.is_of_all(plural))
        })
        .await
        .unwrap();
        assert!(proxy.lift(rule) > 0);
    }
}

#[tokio::test]
async fn watches_that_are_too_old_begin_anew_and_see_what_has_come_changed_and_gone_meanwhile() {
    let (plane, proxy, kubeconfig) = proxied().await;
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = World::on(&plane, "expired", &["eu1"]).await;
    world.create_partner(json!({})).await;
    keep(&world, KEPT).await;
    for (round, answer) in [("answer", Answer::status(410, None)), ("event", Answer::expired_watch())] {
        let name = |what: &str| format!("{what}-{round}");
        let key = |name: &str| format!("key-of-{name}");
        for what in ["goes", "rotates", "comes"] {
            world.sim.accept("eu1", &key(&name(what)));
        }
        for what in ["goes", "rotates"] {
            world.connect(&name(what), "eu1", "old").await;
            world.reaches(&name(what), "CredentialRejected").await;
        }
        // Nothing is watched while all this happens.
        let blind = proxy.rule(Action::Answer(Answer::status(500, None)), Asked::is_watch);
        proxy.cut_connections();
        world.integrations().delete(&name("goes"), &DeleteParams::default()).await.unwrap();
        world.put_secret(&name("rotates"), key(&name("rotates")).as_bytes()).await;
        world.connect(&name("comes"), "eu1", &key(&name("comes"))).await;
        world
            .edit_partner(json!({"spec": {"check": {"interval": if round == "answer" { "20m" } else { "10m" }}}}))
            .await;
        let began = Instant::now();
        // It comes back after a pause, which may be longer than all this has taken.
        wait_for("a watch to be refused", PATIENCE, async || proxy.used(blind) > 0).await.unwrap();
        expire(&proxy, &answer, || assert!(proxy.lift(blind) > 0)).await;
        world.reaches(&name("comes"), "Connected").await;
        world.reaches(&name("rotates"), "Connected").await;
        println!("{round}: all has been seen {:.1?} after the watches could begin anew", began.elapsed());
        let generation = world.partners().get(&world.namespace).await.unwrap().metadata.generation;
        let observed = |partner: &partner_integration_operator::api::Partner| {
            partner.status.as_ref().map(|status| status.observed_generation) == generation
        };
        world.partner_until("looked at", observed).await;
        world.put_secret(&name("goes"), key(&name("goes")).as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.checks_with(&key(&name("goes"))), 0, "what has gone is not checked any more");
        assert_eq!((world.checks_with(&key(&name("comes"))), world.checks_with(&key(&name("rotates")))), (1, 1));
    }
    assert_eq!(world.checks_with("old"), 4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_kept(&world, KEPT);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// A token that ends with a Secret, which stands for its time.
async fn token_bound_to(plane: &ControlPlane, name: &str) -> String {
    let client = plane.client().unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let secret = secrets.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await.unwrap();
    let bound = BoundObjectReference {
        kind: Some("Secret".to_owned()),
        api_version: Some("v1".to_owned()),
        name: Some(name.to_owned()),
        uid: secret.uid(),
    };
    let spec = TokenRequestSpec {
        expiration_seconds: Some(7200),
        bound_object_ref: Some(bound),
        ..TokenRequestSpec::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, NAMESPACE);
    let request = TokenRequest { spec, ..TokenRequest::default() };
    accounts.create_token_request(NAME, &PostParams::default(), &request).await.unwrap().status.unwrap().token
}

#[tokio::test]
async fn a_token_that_expires_is_named_and_a_new_one_in_its_file_is_taken_up_without_a_restart() {
    let (plane, proxy, _) = proxied().await;
    let file = plane.folder().join("token");
    std::fs::write(&file, token_bound_to(&plane, "first").await).unwrap();
    let kubeconfig = proxy.kubeconfig_with_token_file(&file).unwrap();
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = World::on(&plane, "token", &["eu1"]).await;
    world.create_partner(json!({})).await;
    keep(&world, KEPT).await;

    let client = plane.client().unwrap();
    let began = Instant::now();
    Api::<Secret>::namespaced(client, NAMESPACE).delete("first", &DeleteParams::default()).await.unwrap();
    // The API server remembers for some seconds that a token was good; then each watch that begins is refused.
    let cut = async {
        loop {
            proxy.cut_connections();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let words = ["partners: watch: unauthorized (401)", "has it expired?"];
    tokio::select! {
        _ = readyz(&operator, 503, &words) => {}
        () = cut => {}
    }
    println!("named {:.1?} after the token had ended", began.elapsed());
    assert!(operator.log().contains("unauthorized (401); the operator's token is not accepted"));

    let began = Instant::now();
    std::fs::write(&file, token_bound_to(&plane, "second").await).unwrap();
    world.sim.accept("eu1", "new");
    world.connect("new", "eu1", "new").await;
    let connected =
        |it: &partner_integration_operator::api::PartnerIntegration| crate::world::reason(it) == "Connected";
    wait_for("the new token to be taken up", PATIENCE, async || connected(&world.get("new").await)).await.unwrap();
    println!("all goes on {:.1?} after a new token was written", began.elapsed());
    operator.ready(PATIENCE).await.unwrap();
    assert_eq!(world.checks_with("new"), 1);
    assert_kept(&world, KEPT);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
