//! The two CRDs as they are installed: what the derive macros give, and what they cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::{Partner, PartnerIntegration};

/// Both CRDs, `partners` and `partnerintegrations`, as in `crds/`.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut integrations = finish(PartnerIntegration::crd(), &integration_status_default());
    // Service bindings are found by this (servicebinding.io 1.1, "Provisioned Service").
    let label = ("servicebinding.io/provisioned-service".to_owned(), "true".to_owned());
    integrations.metadata.labels.get_or_insert_default().extend([label]);
    vec![finish(Partner::crd(), &partner_status_default()), integrations]
}

/// Both CRDs as one YAML stream, ready for `kubectl apply --server-side -f -`.
///
/// # Errors
/// Where a CRD cannot be written as YAML; the tests rule that out for those of this version.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for crd in crds() {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&to_yaml(&crd)?);
    }
    Ok(text)
}

/// One CRD as YAML.
///
/// # Errors
/// As [`crd_yaml`].
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let mut value = serde_json::to_value(crd).map_err(|error| serde_saphyr::ser::Error::from(error.to_string()))?;
    whole_numbers(&mut value);
    serde_saphyr::to_string(&value)
}

/// Ranges are floating-point numbers in the type of a schema: writes 10 instead of 10.0.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            if let Ok(whole) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

/// Nobody has looked yet: kstatus sees it in progress, since the observed generation lags.
fn partner_status_default() -> Value {
    json!({"observedGeneration": -1})
}

/// The row "nobody has looked yet" of the table of statuses: a new integration lists as Available at once.
///
/// The API server fills it in only while `status` is wholly absent.
fn integration_status_default() -> Value {
    let pending = |kind: &str| {
        json!({
            "type": kind,
            "status": "Unknown",
            "reason": "Pending",
            "message": "waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        })
    };
    json!({
        "observedGeneration": -1,
        "phase": "Available",
        "connected": false,
        "conditions": [pending("Ready"), pending("Connected")],
    })
}

fn finish(mut crd: CustomResourceDefinition, status_default: &Value) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        adjust(root);
        if let Some(status) = root.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(status_default.clone()));
        }
    }
    crd
}

/// Takes out what Rust's types say and Kubernetes does not mean, here and in everything below.
///
/// `nullable`: with it an explicit null is kept, and then `has()` is true of a field that holds nothing; without
/// it the API server drops the null and fills in the default.
/// Titles: the names of the Rust types.
/// Formats of unsigned numbers: no format that Kubernetes knows; the range says it.
fn adjust(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    // Paragraphs stay, the line breaks of the source do not.
    schema.description = schema
        .description
        .take()
        .map(|text| text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n"));
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = Some("int32".to_owned());
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        adjust(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut schema.items {
        adjust(item);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        adjust(value);
    }
}
