//! What the operator says of the catalogue's own entries.

use kube::api::DeleteParams;
use partner_integration_operator::api::Partner;
use serde_json::{Value, json};

use crate::support::operator::USER;
use crate::world::{World, world};

fn says(partner: &Partner) -> Vec<(String, String, String)> {
    let conditions = partner.status.iter().flat_map(|status| &status.conditions);
    conditions.map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone())).collect()
}

fn expected(conditions: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    conditions.iter().map(|(kind, status, reason)| (kind.to_string(), status.to_string(), reason.to_string())).collect()
}

async fn reaches(world: &World<'_>, conditions: &[(&str, &str, &str)]) -> Partner {
    let wanted = expected(conditions);
    let what = format!("{wanted:?}");
    let found = world
        .partner_until(&what, |partner| {
            let observed = partner.status.as_ref().map(|status| status.observed_generation);
            observed == partner.metadata.generation && says(partner) == wanted
        })
        .await;
    let generation = found.metadata.generation;
    let status = found.status.as_ref().unwrap();
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == generation), "{status:#?}");
    found
}

/// The operator's status writes of this world's Partner.
fn writes(world: &World<'_>) -> usize {
    let seen = world.plane.audit().unwrap();
    seen.iter()
        .filter(|seen| {
            seen.user == USER && seen.is_write() && seen.resource == "partners" && seen.name == world.namespace
        })
        .count()
}

#[tokio::test]
async fn a_partner_says_whether_integrations_can_be_made_with_it_and_which_regions_it_has() {
    let world = world("valid", &["us1", "eu1", "ap1"]).await;
    world.create_partner(json!({})).await;
    let found = reaches(&world, &[("Ready", "True", "Valid")]).await;
    assert_eq!(found.status.unwrap().region_names.as_deref(), Some("ap1,eu1,us1"));
    assert_eq!(writes(&world), 1);
    let row = world.plane.kubectl(&["get", "partner", &world.namespace, "--no-headers"]).await.unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..4], [&world.namespace, "Loyalty", "Platform", "ap1,eu1,us1"]);

    let regions = json!([{"name": "eu1", "endpoint": world.sim.endpoint("eu1")}]);
    world.edit_partner(json!({"spec": {"regions": regions}})).await;
    let found = reaches(&world, &[("Ready", "True", "Valid")]).await;
    assert_eq!(found.status.unwrap().region_names.as_deref(), Some("eu1"));
    world.edit_partner(json!({"metadata": {"labels": {"tier": "gold"}}})).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(writes(&world), 2, "a label costs no write");
    world.partners().delete(&world.namespace, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn an_expression_or_a_bundle_that_does_not_parse_stalls_it_until_it_is_mended() {
    let world = world("invalid", &["eu1"]).await;
    world.create_partner(json!({"spec": {"check": {"success": {"expression": "body.valid =="}}}})).await;
    let stalled = |reason| [("Ready", "False", reason), ("Stalled", "True", reason)];
    let found = reaches(&world, &stalled("InvalidExpression")).await;
    let said = &found.status.unwrap().conditions[0].message;
    assert!(said.starts_with("spec.check.success.expression cannot be used"), "{said}");
    let edit = async |patch: Value| world.edit_partner(json!({"spec": patch})).await;
    edit(json!({"check": {"success": {"expression": "body.valid == true"}}})).await;
    reaches(&world, &[("Ready", "True", "Valid")]).await;
    edit(json!({"check": {"rejected": {"expression": "no_such_function(body)"}}})).await;
    let found = reaches(&world, &stalled("InvalidExpression")).await;
    let said = &found.status.unwrap().conditions[0].message;
    assert!(said.starts_with("spec.check.rejected.expression cannot be used"), "{said}");
    edit(json!({"check": {"rejected": null}, "trustBundle": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"})).await;
    reaches(&world, &stalled("InvalidTrustBundle")).await;
    edit(json!({"trustBundle": world.sim.ca_pem()})).await;
    reaches(&world, &[("Ready", "True", "Valid")]).await;
}
