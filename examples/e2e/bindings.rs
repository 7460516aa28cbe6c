//! Bindings: an application's pod starts when its integration is connected, because only then does the Secret exist.

use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::{Api, ResourceExt as _};

use crate::Result;
use crate::integrations::{integration, sample, set_key};
use crate::stage::{SHOP, Stage, note, until};

/// As the sample has it.
const SECRET: &str = "acme-loyalty-connection";
const PODS: &[&str] = &["-n", SHOP, "get", "pods", "--selector=app.kubernetes.io/name=shop"];
const PATCH: &[&str] = &["-n", SHOP, "patch", "pi", "for-the-shop", "--type=merge", "-p"];

pub async fn application(stage: &mut Stage) -> Result<()> {
    stage.step("An application mounts the binding Secret: its pod starts once the integration is connected");
    let application = sample("application.yaml")?.replace("registry.k8s.io/pause:3.10", &stage.options.partner_image);
    stage.apply(&application).await?;
    stage.until_shown(PODS, &["ContainerCreating"]).await?;
    let mut wanted = integration("for-the-shop");
    wanted.insert_str(wanted.len() - 2, &format!(", binding: {{secretName: {SECRET}}}"));
    stage.apply(&wanted).await?;
    stage.until_shown(PODS, &["1/1", "Running"]).await?;
    stage.kubectl(&["-n", SHOP, "describe", "secret", SECRET]).await?;

    let before = secret(stage).await?.ok_or("the Secret has gone")?;
    set_key(stage, "good-key").await?;
    until("the new key in the binding Secret", || async {
        match secret(stage).await? {
            Some(now) if now.uid() != before.uid() => Err("another Secret".to_owned()),
            Some(now) if now.data == before.data => Err("the old key".to_owned()),
            other => other.ok_or_else(|| "none".to_owned()),
        }
    })
    .await?;
    note("rotation: the same Secret holds the new key");

    stage.kubectl(&[PATCH, &[r#"{"spec":{"suspend":true}}"#]].concat()).await?;
    until("the end of the binding Secret", || async {
        match secret(stage).await? {
            None => Ok(()),
            Some(Secret { metadata: ObjectMeta { deletion_timestamp, .. }, .. }) => {
                Err(format!("{deletion_timestamp:?}"))
            }
        }
    })
    .await?;
    note("suspended: the Secret is withdrawn, the pod that runs keeps running");
    stage.until_shown(PODS, &["1/1", "Running"]).await?;
    stage.cluster.kubectl(&["-n", SHOP, "delete", "deployment/shop", "pi/for-the-shop"]).await?;
    Ok(())
}

async fn secret(stage: &Stage) -> std::result::Result<Option<Secret>, String> {
    let secrets = Api::<Secret>::namespaced(stage.cluster.client.clone(), SHOP);
    secrets.get_opt(SECRET).await.map_err(|error| error.to_string())
}
