//! What the API server holds and says.

use serde_json::{Value, json};

use crate::support::controlplane::{ControlPlane, Options, install_crds};
use crate::support::operator;
use crate::support::proxy::{Action, Answer, Asked, Proxy};
use crate::support::wait_for;
use crate::world::{ALLOW, LIMIT, World, own_operator, own_plane};

/// Flux: one object that did not decode stopped the reconciliation of its whole kind, in all namespaces.
/// <https://github.com/advisories/GHSA-f4p5-x4vc-mh4v>
#[tokio::test]
async fn flux_ghsa_f4p5_x4vc_mh4v_one_object_that_does_not_decode_stops_no_other() {
    // The schema is switched off, so nobody else may be here.
    let (plane, kubeconfig) = own_plane().await;
    let world = World::on(&plane, "undecodable", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let patch = json!([
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": anything},
        {"op": "remove", "path": "/spec/versions/0/selectableFields"},
    ]);
    let crd = "partnerintegrations.integrations.kognitiv.com";
    plane.kubectl(&["patch", "crd", crd, "--type=json", "-p", &patch.to_string()]).await.unwrap();
    let bad = json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
        "metadata": {"name": "bad"}, "spec": {"partner": {"not": "a name"}},
    });
    let address =
        format!("/apis/integrations.kognitiv.com/v1alpha1/namespaces/{}/partnerintegrations", world.namespace);
    wait_for("the loosened schema", LIMIT, async || {
        let request = http::Request::post(&address).header("content-type", "application/json");
        world.client.request::<Value>(request.body(bad.to_string().into_bytes()).unwrap()).await
    })
    .await
    .unwrap();
    // It is there when the operator lists, and it is there while it watches.
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    world.connect("beside", "eu1", "the-key").await;
    world.reaches("beside", "Connected").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// kube: after 410 Gone a watch did not begin anew. <https://github.com/kube-rs/kube/issues/1615>
#[tokio::test]
async fn kube_1615_a_watch_that_is_too_old_begins_anew_with_a_list() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    install_crds(&plane.client().unwrap()).await.unwrap();
    let token = operator::access(&plane).await.unwrap();
    let proxy = Proxy::start(&plane).await.unwrap();
    let operator = own_operator(&plane, &proxy.kubeconfig(&token).unwrap(), &ALLOW).await;
    let world = World::on(&plane, "gone", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    let of_all = |asked: &Asked| asked.is_of_all("partnerintegrations");
    let rule = proxy.rule(Action::Answer(Answer::expired_watch()), move |asked| asked.is_watch() && of_all(asked));
    let known = proxy.asked().len();
    proxy.cut_connections();
    wait_for("a new list", LIMIT, async || {
        proxy.asked()[known..].iter().any(|asked| !asked.is_watch() && of_all(asked))
    })
    .await
    .unwrap();
    assert!(proxy.lift(rule) > 0, "no watch was told");
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "Connected").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
