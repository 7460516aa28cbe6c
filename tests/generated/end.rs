//! Where an integration ends: what can be compared between two of them, and what each must say of itself.

use partner_integration_operator::api::{ApiKeySecretRef, PartnerSpec};
use partner_integration_operator::core::digest;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::rows;
use crate::schema::Kind;

/// The status without times, versions and names, and the Secrets that it has published: the same for any two integrations of
/// the same spec.
pub async fn of(ground: &Ground, namespace: &str, name: &str) -> Result<Value, String> {
    let object = ground.newest(Kind::Integration, namespace, name);
    if !rows::is_observed(&object) {
        return Err(format!(
            "{name} is not observed: {} of generation {}",
            object["status"], object["metadata"]["generation"]
        ));
    }
    let mut status = object["status"].clone();
    let leave_out = |object: &mut Value, names: &[&str]| {
        let object = object.as_object_mut().unwrap();
        object.retain(|name, _| !names.contains(&name.as_str()));
    };
    leave_out(&mut status, &["observedGeneration"]);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        leave_out(condition, &["observedGeneration", "lastTransitionTime"]);
    }
    // What is found without a check leaves the count of failures alone, whatever it is of.
    if !rows::is_of_a_check(rows::reason(&object, "Connected")) {
        leave_out(&mut status, &["failing"]);
    }
    for proof in ["verified", "failing"] {
        if !status[proof].is_null() {
            named(ground, namespace, &object, proof).await?;
            // Its presence is left: versions differ, and how often it was tried.
            status[proof] = json!("of the newest tuple");
        }
    }
    let mut published = Vec::new();
    for secret in ground.bindings(namespace).await {
        let metadata = &secret["metadata"];
        if metadata["ownerReferences"][0]["uid"] != object["metadata"]["uid"] {
            continue;
        }
        let verified = &object["status"]["verified"];
        let part = |name: &str| verified[name].as_str().unwrap_or_default().to_owned();
        let stamp = format!("{}/{}/{}", part("digest"), part("secretUID"), part("secretResourceVersion"));
        let says = metadata["annotations"]["integrations.kognitiv.com/verified"] == stamp.as_str();
        if !says {
            return Err(format!("the binding of {name} is not of the tuple that was proved"));
        }
        published.push(json!({
            "name": metadata["name"], "labels": metadata["labels"], "type": secret["type"], "data": secret["data"],
        }));
    }
    let text = json!({"status": status, "published": published}).to_string();
    Ok(serde_json::from_str(&text.replace(&format!("\"{name}-"), "\"NAME-")).unwrap())
}

/// `verified` and `failing` name the tuple of the specs as they are and of the Secret as it is.
async fn named(ground: &Ground, namespace: &str, object: &Value, proof: &str) -> Result<(), String> {
    let partner = ground.newest(Kind::Partner, "", object["spec"]["partner"].as_str().unwrap_or_default());
    let spec: PartnerSpec = serde_json::from_value(partner["spec"].clone()).map_err(|error| error.to_string())?;
    let reference: ApiKeySecretRef =
        serde_json::from_value(object["spec"]["apiKeySecretRef"].clone()).map_err(|error| error.to_string())?;
    let region = object["spec"]["region"].as_str().unwrap_or_default();
    let endpoint = spec.regions.iter().find(|one| one.name == region).map(|one| one.endpoint.clone());
    let endpoint = endpoint.ok_or("the region is not offered")?;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let expected = digest(uid, &spec, &endpoint, &reference);
    let secret = ground.get_secret(namespace, reference.name.as_str()).await;
    let seen = &object["status"][proof];
    let version = [&seen["secretUID"], &seen["secretResourceVersion"]];
    if seen["digest"] == expected.as_str()
        && version == [&secret["metadata"]["uid"], &secret["metadata"]["resourceVersion"]]
    {
        return Ok(());
    }
    Err(format!("{proof} of {namespace} is not of the specs and the Secret as they are: {}", object["status"]))
}
