//! The simulated partner as a Service in the cluster, and what becomes of integrations with it.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{Patch, PatchParams};
use partner_integration_operator::api::PartnerIntegration;
use serde_json::json;

use crate::Result;
use crate::stage::{ACME, SHOP, Stage, note, until};

/// The partner's Service, as everybody in the cluster finds it.
const HOST: &str = "acme-loyalty.acme.svc";
/// Its orders go through the API server: nothing has to be forwarded.
const ORDERS: &str = "/api/v1/namespaces/acme/services/http:acme-loyalty:orders/proxy";
const PI: &[&str] = &["-n", SHOP, "get", "pi", "acme-loyalty", "-o", "wide"];

pub async fn start_partner(stage: &mut Stage) -> Result<()> {
    stage.step("The simulated partner, as a Service in the cluster");
    stage.apply(&include_str!("partner.yaml").replace("@image@", &stage.options.partner_image)).await?;
    let wait = ["-n", ACME, "rollout", "status", "deployment/acme-loyalty", "--timeout=90s"];
    stage.cluster.kubectl(&wait).await?;
    stage.until_shown(&["-n", ACME, "get", "pods,services"], &["1/1", "acme-loyalty"]).await
}

/// The range of its address, which the operator has to be allowed to call: exactly that one.
pub async fn partner_address(stage: &Stage) -> Result<String> {
    let arguments = ["-n", ACME, "get", "service", "acme-loyalty", "--output=jsonpath={.spec.clusterIP}"];
    let address = stage.cluster.kubectl(&arguments).await?;
    Ok(if address.contains(':') { format!("{address}/128") } else { format!("{address}/32") })
}

/// How many requests the partner has had.
pub async fn checks(stage: &Stage) -> Result<u64> {
    let counters = stage.cluster.kubectl(&["get", "--raw", &format!("{ORDERS}/control")]).await?;
    let number = counters.split(" requests: ").nth(1).and_then(|rest| rest.split(',').next());
    Ok(number.ok_or_else(|| format!("no number of requests in {counters}"))?.parse()?)
}

async fn order(stage: &Stage, behaviour: &str) -> Result<()> {
    let path = format!("{ORDERS}/control?behaviour={behaviour}");
    let said = stage.cluster.kubectl_with(&["create", "--raw", &path, "-f", "-"], "").await?;
    note(&format!("the partner is told: {behaviour}; it says: {}", said.trim()));
    Ok(())
}

/// The sample, with the address and the authority of the partner that runs here, and an interval that is longer than the
/// run: what it is asked is what the steps cause.
pub async fn catalogue(stage: &mut Stage) -> Result<()> {
    stage.step("The catalogue has an entry");
    let authority = until("the partner's authority", || async {
        stage.cluster.kubectl(&["get", "--raw", &format!("{ORDERS}/ca")]).await.map_err(|error| error.to_string())
    })
    .await?;
    let indented = authority.lines().collect::<Vec<_>>().join("\n    ");
    let sample = sample("partner.yaml")?.replace("localhost:9443", HOST).replace("interval: 30s", "interval: 10m");
    stage.apply(&format!("{}\n  trustBundle: |\n    {indented}\n", sample.trim_end())).await?;
    let wait = ["wait", "partner/acme-loyalty", "--for=condition=Ready", "--timeout=30s"];
    stage.kubectl(&wait).await?;
    stage.until_shown(&["get", "partners"], &["Acme Loyalty", "eu1,us1"]).await
}

pub async fn added(stage: &mut Stage) -> Result<()> {
    stage.step("Added: Available; of a partner that the catalogue lacks: PartnerNotFound");
    let added = sample("added.yaml")?;
    stage.apply(&added).await?;
    stage.until_shown(PI, &["Acme Loyalty", "Available", "NotConfigured"]).await?;
    stage.apply(&added.replace("acme-loyalty", "unknown")).await?;
    stage.until_shown(&["-n", SHOP, "get", "pi", "unknown", "-o", "wide"], &["PartnerNotFound"]).await?;
    stage.kubectl(&["-n", SHOP, "delete", "pi", "unknown"]).await?;
    Ok(())
}

pub async fn connected(stage: &mut Stage) -> Result<()> {
    stage.step("With a region and a key: Enabled, and kubectl wait --for=condition=Connected returns");
    stage.apply(&sample("connected.yaml")?).await?;
    stage.kubectl(&["-n", SHOP, "wait", "pi/acme-loyalty", "--for=condition=Connected", "--timeout=60s"]).await?;
    stage.until_shown(PI, &["Enabled", "true", "eu1"]).await
}

pub async fn wrong_key(stage: &mut Stage) -> Result<()> {
    stage.step("A wrong key: Failed; mended: Enabled");
    set_key(stage, "wrong-key").await?;
    stage.until_shown(PI, &["Failed", "false", "CredentialRejected"]).await?;
    set_key(stage, "good-key").await?;
    stage.until_shown(PI, &["Enabled", "true"]).await
}

pub async fn rotation(stage: &mut Stage) -> Result<()> {
    stage.step("The key is rotated: it stays connected, with the new one");
    let before = checks(stage).await?;
    set_key(stage, "next-key").await?;
    let events = ["-n", SHOP, "get", "events", "--field-selector=reason=KeyRotated"];
    stage.until_shown(&events, &["acme-loyalty"]).await?;
    stage.until_shown(PI, &["Enabled", "true"]).await?;
    note(&format!("the partner was asked {} time for it", checks(stage).await? - before));
    Ok(())
}

pub async fn partner_away(stage: &mut Stage) -> Result<()> {
    stage.step("The partner is down: Failed, as unavailable; it comes back: Enabled");
    order(stage, "down").await?;
    let annotation = "integrations.kognitiv.com/check-requested-at=while-it-is-down";
    stage.kubectl(&["-n", SHOP, "annotate", "--overwrite", "pi", "acme-loyalty", annotation]).await?;
    stage.until_shown(PI, &["Failed", "PartnerUnavailable"]).await?;
    order(stage, "ok").await?;
    stage.until_shown(PI, &["Enabled", "true"]).await
}

/// Somebody who edits an object without a pause makes writes of its status conflict; it has to get there all the same.
pub async fn edited_all_the_time(stage: &mut Stage) -> Result<()> {
    stage.step("Integrations that somebody edits all the time are connected too");
    let api = Api::<PartnerIntegration>::namespaced(stage.cluster.client.clone(), SHOP);
    let (began, mut edits) = (Instant::now(), 0_u32);
    for number in 1..=4 {
        let name = format!("edited-{number}");
        stage.cluster.kubectl_with(&["apply", "-f", "-"], &integration(&name)).await?;
        let since = Instant::now();
        loop {
            edits += 1;
            let patch = json!({"metadata": {"labels": {"edit": edits.to_string()}}});
            let object = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            if object.status.is_some_and(|status| status.connected) {
                break;
            }
            if since.elapsed() > Duration::from_secs(30) {
                return Err(format!("{name} is not connected after 30 s of edits").into());
            }
        }
    }
    note(&format!("4 were connected in {:.1} s, while {edits} edits were made", began.elapsed().as_secs_f64()));
    stage.cluster.kubectl(&["-n", SHOP, "delete", "pi", "edited-1", "edited-2", "edited-3", "edited-4"]).await?;
    Ok(())
}

/// One more integration with the same partner and the same Secret.
pub fn integration(name: &str) -> String {
    format!(
        "{{apiVersion: integrations.kognitiv.com/v1alpha1, kind: PartnerIntegration, metadata: {{name: {name}, \
         namespace: {SHOP}}}, spec: {{partner: acme-loyalty, region: eu1, apiKeySecretRef: {{name: acme-loyalty}}}}}}"
    )
}

/// Puts a key into the Secret that all integrations here name.
pub async fn set_key(stage: &Stage, key: &str) -> Result<()> {
    let patch = format!(r#"{{"stringData":{{"api-key":"{key}"}}}}"#);
    stage.kubectl(&["-n", SHOP, "patch", "secret", "acme-loyalty", "-p", &patch]).await?;
    Ok(())
}

/// A file of `deploy/samples`.
pub fn sample(name: &str) -> Result<String> {
    Ok(std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples").join(name))?)
}
