//! The limit of the machine: the same status writes, and nothing else.

use std::time::Instant;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::ToSpan as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Client, Resource as _, ResourceExt as _};
use partner_integration_operator::api::{FIELD_MANAGER, PartnerIntegration};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ground::{Busy, Ground};
use crate::support::Result;
use crate::support::fleet::Fleet;

/// The server gains nothing past a few.
const AT_ONCE: usize = 16;

/// As much of an answer as tells whether something was written.
#[derive(Deserialize)]
struct Answer {
    metadata: Version,
}

/// See [`Answer`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

/// What the bare writes took.
#[derive(Debug, Clone, Serialize)]
pub struct Bare {
    /// By the clock: the limit.
    pub seconds: f64,
    /// Processor time.
    pub cpu: Busy,
}

/// Writes the status of every integration of a fleet, as the operator does it but with nothing else to do, while no operator runs:
/// with times that are a second off.
///
/// # Errors
/// A write is refused, or changed nothing.
pub async fn write(ground: &Ground, fleet: &Fleet) -> Result<Bare> {
    let mut objects = fleet.list(&ground.client).await?;
    let patches = objects.iter_mut().map(body).collect::<Result<Vec<_>>>()?;
    let own = std::process::id();
    let (before, began) = (ground.clock(own)?, Instant::now());
    let versions: Vec<String> = stream::iter(patches)
        .map(|(namespace, name, body)| one(&ground.as_operator, namespace, name, body))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = Busy { operator: 0.0, ..before.until(&ground.clock(own)?) };
    for (integration, version) in objects.iter().zip(versions) {
        if integration.metadata.resource_version.as_ref() == Some(&version) {
            return Err(format!("{} was not written", integration.name_any()).into());
        }
    }
    Ok(Bare { seconds, cpu })
}

/// Puts the times of the conditions a second back, and gives what is applied: namespace, name, body.
fn body(integration: &mut PartnerIntegration) -> Result<(String, String, Vec<u8>)> {
    let status = integration.status.as_mut().ok_or("an integration without a status")?;
    for condition in &mut status.conditions {
        condition.last_transition_time = Time(condition.last_transition_time.0.checked_sub(1.second())?);
    }
    let status = &integration.status;
    let body = json!({
        "apiVersion": PartnerIntegration::api_version(&()),
        "kind": PartnerIntegration::kind(&()),
        "metadata": {
            "name": integration.name_any(),
            "uid": integration.uid(),
            "resourceVersion": integration.resource_version(),
        },
        "status": status,
    });
    Ok((integration.namespace().unwrap_or_default(), integration.name_any(), serde_json::to_vec(&body)?))
}

async fn one(client: &Client, namespace: String, name: String, body: Vec<u8>) -> Result<String> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let request = Request::new(PartnerIntegration::url_path(&(), Some(&namespace)));
    let mut request = request.patch_subresource("status", &name, &params, &Patch::Apply(json!({})))?;
    *request.body_mut() = body;
    let answer: Answer = client.request(request).await?;
    Ok(answer.metadata.resource_version)
}
