//! CRDs that are deleted under a running operator, with every object, and come again.

use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use crate::support::controlplane::install_crds;
use crate::support::operator::Operator;
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, World};
use crate::{PATIENCE, proxied, readyz};

#[tokio::test]
async fn crds_that_are_deleted_and_created_again_are_waited_for_and_their_objects_are_taken_up_anew() {
    let (plane, proxy, kubeconfig) = proxied().await;
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &ALLOW).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    let world = World::on(&plane, "crds", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    for round in 0..2 {
        world.create_partner(json!({"spec": {"check": {"interval": "30s"}}})).await;
        for name in ["one", "two"] {
            world.connect(name, "eu1", "good").await;
        }
        for name in ["one", "two"] {
            world.reaches(name, "Connected").await;
        }
        let crds: Api<CustomResourceDefinition> = Api::all(world.client.clone());
        let names = ["partnerintegrations.integrations.kognitiv.com", "partners.integrations.kognitiv.com"];
        // In the second round nothing is watched while they go: no deletion is seen.
        if round == 1 {
            let blind = proxy.rule(crate::support::proxy::Action::CutBefore, |_| true);
            proxy.cut_connections();
            delete(&world.client, &crds, &names).await;
            proxy.lift(blind);
        } else {
            delete(&world.client, &crds, &names).await;
        }
        let missing = "not found (404); install the CRDs";
        readyz(&operator, 503, &["partnerintegrations: ", "partners: ", missing]).await;
        let checks = world.checks();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(operator.admin("/livez").await.unwrap().0, 200);
        install_crds(&world.client).await.unwrap();
        let began = Instant::now();
        operator.ready(PATIENCE).await.unwrap();
        println!("round {round}: ready {:.1?} after the CRDs were there again", began.elapsed());
        let metrics = operator.admin("/metrics").await.unwrap().1;
        assert!(!metrics.contains("partner_integration_info{"), "what is gone is forgotten: {metrics}");
        assert_eq!(world.checks(), checks, "there is nothing to check");
    }
    world.create_partner(json!({})).await;
    world.sim.accept("eu1", "newer");
    world.connect("one", "eu1", "newer").await;
    world.reaches("one", "Connected").await;
    assert_eq!(world.checks_with("newer"), 1);
    assert!(!operator.log().contains("panic"));
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

async fn delete(client: &kube::Client, crds: &Api<CustomResourceDefinition>, names: &[&str]) {
    for name in names {
        crds.delete(name, &DeleteParams::default()).await.unwrap();
    }
    wait_for("the CRDs to be gone", PATIENCE, async || {
        for name in names {
            if let Ok(Some(_)) | Err(_) = crds.get_opt(name).await {
                return Err(format!("{name} is there"));
            }
            // The API server may serve a kind for a moment longer: a watch that begins then is never ended.
            let (plural, group) = name.split_once('.').unwrap();
            let path = format!("/apis/{group}/v1alpha1/{plural}?limit=1");
            let list = client.request_text(http::Request::get(&path).body(Vec::new()).unwrap()).await;
            if !matches!(&list, Err(kube::Error::Api(status)) if status.code == 404) {
                return Err(format!("{path} is served"));
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}
