//! The digest covers exactly what the design lists, and stays the same over upgrades.

use serde_json::{Value, json};

use super::fixture::{World, integration, partner};
use crate::api::{ApiKeySecretRef, PartnerIntegration, PartnerSpec};
use crate::core::{digest, region_of};

fn of(integration: &PartnerIntegration, partner: &PartnerSpec) -> String {
    let uid = integration.metadata.uid.as_deref().unwrap();
    let region = region_of(integration, &partner.regions).unwrap();
    digest(uid, partner, &region.endpoint, integration.spec.api_key_secret_ref.as_ref().unwrap())
}

/// The partner of the fixture with `patch` merged into it.
fn patched(patch: &Value) -> PartnerSpec {
    fn merge(into: &mut Value, patch: &Value) {
        match (into, patch) {
            (Value::Object(into), Value::Object(patch)) => {
                for (name, value) in patch {
                    merge(into.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
            (into, patch) => *into = patch.clone(),
        }
    }
    let mut spec = serde_json::to_value(partner()).unwrap();
    merge(&mut spec, patch);
    serde_json::from_value(spec).unwrap()
}

#[test]
fn every_covered_field_of_a_partner_changes_it_and_each_in_its_own_way() {
    let covered = [
        json!({}),
        json!({"regions": [{"name": "eu1", "endpoint": "https://other.example"}]}),
        json!({"authentication": {"headers": [{"name": "X-Key"}]}}),
        json!({"authentication": {"headers": [{"name": "DD-API-KEY", "prefix": "Key "}]}}),
        json!({"authentication": {"headers": [{"name": "DD-API-KEY", "key": "second"}]}}),
        json!({"authentication": {"headers": [{"name": "DD-API-KEY"}, {"name": "DD-APP-KEY", "key": "app"}]}}),
        json!({"authentication": {"headers": null, "bearer": {}}}),
        json!({"authentication": {"headers": null, "basic": {"username": "api"}}}),
        json!({"authentication": {"headers": null, "basic": {"usernameKey": "api"}}}),
        json!({"trustBundle": "one"}),
        json!({"trustBundle": "two"}),
        json!({"check": {"method": "HEAD"}}),
        json!({"check": {"method": "POST"}}),
        json!({"check": {"path": "/api/v2/validate"}}),
        json!({"check": {"path": "/api/v1/validate?x=1"}}),
        json!({"check": {"headers": [{"name": "Accept", "value": "application/json"}]}}),
        json!({"check": {"headers": [{"name": "Accept", "value": "text/plain"}]}}),
        json!({"check": {"headers": [{"name": "Accepts", "value": "text/plain"}]}}),
        json!({"check": {"body": "one"}}),
        json!({"check": {"body": "two"}}),
        json!({"check": {"success": {"statusCodes": [200]}}}),
        json!({"check": {"success": {"statusCodes": [204]}}}),
        json!({"check": {"success": {"expression": "body.valid"}}}),
        json!({"check": {"success": {"expression": "body.ok"}}}),
        json!({"check": {"rejected": {"statusCodes": [401]}}}),
        json!({"check": {"rejected": {"statusCodes": []}}}),
        json!({"check": {"rejected": {"expression": "body.valid"}}}),
        json!({"check": {"rejected": {"expression": "body.ok"}}}),
    ];
    let digests: Vec<_> = covered.iter().map(|patch| of(&integration(), &patched(patch))).collect();
    for (at, one) in digests.iter().enumerate() {
        for (later, other) in digests.iter().enumerate().skip(at + 1) {
            assert_ne!(one, other, "{} and {}", covered[at], covered[later]);
        }
    }
}

#[test]
fn every_covered_field_of_an_integration_changes_it() {
    let edits: [fn(&mut PartnerIntegration); 4] = [
        |integration| integration.metadata.uid = Some("uid-2".to_owned()),
        |integration| integration.spec.api_key_secret_ref.as_mut().unwrap().name = "other".to_owned(),
        |integration| integration.spec.api_key_secret_ref.as_mut().unwrap().key = "other".to_owned(),
        |integration| integration.spec.region = Some("us1".to_owned()),
    ];
    for edit in edits {
        let mut changed = integration();
        edit(&mut changed);
        assert_ne!(of(&changed, &partner()), of(&integration(), &partner()));
    }
}

#[test]
fn the_parts_cannot_run_into_each_other() {
    let key = |name: &str, key: &str| ApiKeySecretRef { name: name.to_owned(), key: key.to_owned() };
    let of = |uid, endpoint, secret| digest(uid, &partner(), endpoint, &secret);
    assert_ne!(of("a", "b", key("c", "d")), of("ab", "", key("c", "d")));
    assert_ne!(of("a", "b", key("cd", "")), of("a", "b", key("c", "d")));
    assert_ne!(of("a", "b", key("c", "d")), of("a", "b", key("d", "c")));
}

#[test]
fn no_other_field_of_a_partner_changes_it() {
    let others = [
        json!({"displayName": "Other"}),
        json!({"description": "other"}),
        json!({"documentationURL": "https://docs.example"}),
        json!({"regions": [{"name": "us9", "endpoint": "https://else"}, {"name": "eu1", "endpoint": "https://api.datadoghq.eu"}]}),
        json!({"check": {"timeout": "1s"}}),
        json!({"check": {"interval": "24h"}}),
        json!({"check": {"failureThreshold": 10}}),
        json!({"check": {"maxPerSecond": 1}}),
        // The defaults, spelled out.
        json!({"check": {"method": "GET", "headers": [], "body": ""}}),
    ];
    for other in others {
        assert_eq!(of(&integration(), &patched(&other)), of(&integration(), &partner()), "{other}");
    }
    let mut renamed = partner();
    renamed.regions[0].name = "europe".to_owned();
    let mut moved = integration();
    moved.spec.region = Some("europe".to_owned());
    assert_eq!(of(&moved, &renamed), of(&integration(), &partner()), "a region's name");
}

#[test]
fn no_other_field_of_an_integration_changes_it() {
    let edits: [fn(&mut PartnerIntegration); 6] = [
        |integration| integration.metadata.name = Some("other".to_owned()),
        |integration| integration.metadata.namespace = Some("other".to_owned()),
        |integration| integration.metadata.generation = Some(77),
        |integration| integration.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into()),
        |integration| integration.spec.suspend = true,
        |integration| integration.spec.partner = "other".to_owned(),
    ];
    for edit in edits {
        let mut changed = integration();
        edit(&mut changed);
        assert_eq!(of(&changed, &partner()), of(&integration(), &partner()));
    }
}

/// Were one of these to change, every connected integration would be checked again after an upgrade. Both were
/// computed apart from this code: SHA-256 over the JSON that stands beside them.
#[test]
fn no_upgrade_changes_a_digest_unnoticed() {
    // {"uid":"uid-1","endpoint":"https://api.datadoghq.eu","authentication":{"headers":[{"name":"DD-API-KEY"}]},
    //  "method":"GET","path":"/api/v1/validate","secret":{"name":"datadog-key","key":"api-key"}}
    assert_eq!(of(&integration(), &partner()), "v1:5ffc4298b3e3e04bd2d49065540f94a3c5874fed72e56fdff440477f1bff4ee0");
    // The same with "trust_bundle", "headers", "body", "success" and "rejected" in their places.
    let full = patched(&json!({
        "authentication": {
            "headers": [{"name": "DD-API-KEY", "prefix": "Key ", "key": "second"}], "basic": {"usernameKey": "site"}
        },
        "trustBundle": "PEM",
        "check": {
            "method": "POST", "headers": [{"name": "Accept", "value": "application/json"}], "body": "{}",
            "success": {"statusCodes": [200, 204], "expression": "body.valid == true"},
            "rejected": {"statusCodes": [], "expression": "status == 418"},
        },
    }));
    assert_eq!(of(&integration(), &full), "v1:19d23e2da229febcf26b2a5d201228ed9ee4c1e9b3a9de6a178c219fea1475e5");
}

#[test]
fn the_tuple_of_a_target_is_the_one_that_is_checked() {
    let mut world = World::new();
    world.step();
    let super::fixture::Slot::Open { tuple, .. } = &world.slot else { panic!("no check") };
    assert_eq!(*tuple, world.tuple());
    assert!(tuple.digest.len() <= 128);
}
