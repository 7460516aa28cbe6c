//! An integration as it comes from the API server: without what nobody reads, and shared rather than copied.
//!
//! `kube::core::DeserializeGuard` does the same job at several times the cost: it keeps a tree of the whole object, the
//! managed fields too, and copies it in case that reading fails.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::{CHECK_REQUESTED_AT, PartnerIntegration};

/// A stored integration; one that cannot be read as such stops no other.
#[derive(Clone, Debug)]
pub enum Integration {
    /// As it can be read.
    Readable(Arc<PartnerIntegration>),
    /// What can be read of it.
    Unreadable(Box<ObjectMeta>),
}

impl Integration {
    /// The object, where it can be read.
    pub fn readable(&self) -> Option<&Arc<PartnerIntegration>> {
        match self {
            Self::Readable(integration) => Some(integration),
            Self::Unreadable(_) => None,
        }
    }
}

/// What is read of an object. Everything else, such as the managed fields, is passed over.
#[derive(Deserialize)]
struct Stored {
    metadata: Meta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

/// Of the annotations only the check request is kept, of the labels nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "integrations.kognitiv.com/check-requested-at")]
    check_requested_at: Option<String>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        let request = meta.annotations.and_then(|annotations| annotations.check_requested_at);
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            generation: meta.generation,
            creation_timestamp: meta.creation_timestamp,
            deletion_timestamp: meta.deletion_timestamp,
            annotations: request.map(|request| [(CHECK_REQUESTED_AT.to_owned(), request)].into()),
            ..Self::default()
        }
    }
}

impl<'de> Deserialize<'de> for Integration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { metadata, spec, status } = Stored::deserialize(deserializer)?;
        let metadata = ObjectMeta::from(metadata);
        Ok(match (serde_json::from_value(spec), serde_json::from_value(status)) {
            (Ok(spec), Ok(status)) => Self::Readable(Arc::new(PartnerIntegration { metadata, spec, status })),
            _ => Self::Unreadable(Box::new(metadata)),
        })
    }
}

impl Resource for Integration {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        PartnerIntegration::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        PartnerIntegration::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        PartnerIntegration::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        PartnerIntegration::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Readable(integration) => &integration.metadata,
            Self::Unreadable(metadata) => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Readable(integration) => &mut Arc::make_mut(integration).metadata,
            Self::Unreadable(metadata) => metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(spec: &Value, status: &Value) -> Value {
        json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
            "metadata": {
                "name": "datadog", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3,
                "creationTimestamp": "2026-11-30T00:00:00Z", "deletionTimestamp": "2026-11-30T01:00:00Z",
                "labels": {"team": "shop"},
                "annotations": {"a": "b", CHECK_REQUESTED_AT: "now"},
                "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": spec, "status": status,
        })
    }

    #[test]
    fn an_object_is_read_as_its_type_reads_it_but_for_what_nobody_reads() {
        let status = json!({"observedGeneration": 3, "phase": "Available", "connected": false});
        for status in [status, Value::Null] {
            let stored = stored(&json!({"partner": "datadog", "region": "eu1"}), &status);
            let mut whole: PartnerIntegration = serde_json::from_value(stored.clone()).unwrap();
            whole.metadata.managed_fields = None;
            whole.metadata.labels = None;
            whole.metadata.annotations = Some([(CHECK_REQUESTED_AT.to_owned(), "now".to_owned())].into());
            let read: Integration = serde_json::from_value(stored).unwrap();
            assert_eq!(**read.readable().unwrap(), whole);
        }
    }

    #[test]
    fn of_an_object_that_cannot_be_read_the_metadata_is_known() {
        let good = json!({"partner": "datadog"});
        for (spec, status) in
            [(json!({"partner": 1}), Value::Null), (good, json!({"phase": "?"})), (Value::Null, Value::Null)]
        {
            let read: Integration = serde_json::from_value(stored(&spec, &status)).unwrap();
            assert!(read.readable().is_none(), "{spec} {status}");
            assert_eq!(read.meta().uid.as_deref(), Some("u"));
        }
    }
}
