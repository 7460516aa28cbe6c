//! [`PartnerIntegration`]: one connection of one namespace to a partner.
#![allow(clippy::duplicated_attributes, reason = "columns of one type, each in an attribute of its own")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rules, schema};

/// Which partner, and with a region and a key: the connection that is wanted.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "integrations.kognitiv.com",
    version = "v1alpha1",
    kind = "PartnerIntegration",
    namespaced,
    doc = "A partner application that is added to this namespace. It is Available once it is added, Enabled while it \
           is connected, and Failed where the system failed to connect to it.",
    status = "PartnerIntegrationStatus",
    derive = "PartialEq",
    shortname = "pi",
    category = "integrations",
    selectable = ".spec.partner",
    selectable = ".status.phase",
    printcolumn(
        name = "Partner Name",
        type_ = "string",
        json_path = ".status.partnerName",
        description = "The partner's display name, from the catalogue"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "Available: added; Enabled: connected; Failed: the system failed to connect to it"
    ),
    printcolumn(
        name = "Currently Connected",
        type_ = "boolean",
        json_path = ".status.connected",
        description = "Only while this is true can data be sent and received"
    ),
    printcolumn(
        name = "Region",
        type_ = "string",
        json_path = ".spec.region",
        description = "The region that is wanted"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the partner has been added"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Connected\")].reason",
        description = "Why it is connected or not",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Connected\")].message",
        description = "The same as a sentence",
        priority = 1
    ),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        json_path = ".status.endpoint",
        description = "The region's address",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::region_with_key(), validation = rules::binding_is_no_key())]
pub struct PartnerIntegrationSpec {
    /// The `metadata.name` of the Partner. Immutable: for another partner delete this object and create another.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::partner_reference(), validation = rules::partner_is_immutable())]
    pub partner: String,
    /// One of the regions that the Partner offers. Together with `apiKeySecretRef`, or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::region_name("spec.region"))]
    pub region: Option<String>,
    /// The Secret in the same namespace that holds the API key. Together with `region`, or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<ApiKeySecretRef>,
    /// True: hold no connection. Nothing is sent to the partner until it is false again.
    #[serde(default)]
    pub suspend: bool,
    /// Publish a binding Secret for applications, which exists only while connected (servicebinding.io 1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// The Secret that applications read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Its name, in the same namespace. The operator creates it; one that is there already is left alone.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::secret_name("spec.binding.secretName"))]
    pub secret_name: String,
}

/// Which key of which Secret.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeySecretRef {
    /// The Secret's name. The Secret may come later; a change of its key is seen at once.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::secret_name("spec.apiKeySecretRef.name"))]
    pub name: String,
    /// The key in the Secret's data that holds the API key.
    #[serde(default = "default_key")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::secret_key("spec.apiKeySecretRef.key"))]
    pub key: String,
}

fn default_key() -> String {
    super::DEFAULT_SECRET_KEY.to_owned()
}

/// Where an integration stands.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The partner has been added.
    #[default]
    Available,
    /// It is connected; only now can data be sent and received.
    Enabled,
    /// The system failed to connect to it.
    Failed,
}

/// What the operator says of an integration. Nobody else writes it.
///
/// Every write holds the first three fields and the conditions, since the default of the CRD counts only while
/// the status is wholly absent.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::connected_is_enabled())]
pub struct PartnerIntegrationStatus {
    /// The generation of the spec that this status is about; -1 until the operator has looked.
    #[schemars(range(min = -1))]
    pub observed_generation: i64,
    /// Available: the partner has been added. Enabled: it is connected; only now can data be sent and received.
    /// Failed: the system failed to connect to it.
    pub phase: Phase,
    /// Currently connected: true exactly while `phase` is Enabled.
    pub connected: bool,
    /// The partner's display name, from the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub partner_name: Option<String>,
    /// The region's endpoint; while connected, the one that was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// Only while connected: what was proved, and when it first was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// Only while failures are counted: how many, of what, and when the next try is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// The last value of the annotation `integrations.kognitiv.com/check-requested-at` that was answered, its
    /// first 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_check_request: Option<String>,
    /// The binding Secret, once it exists (the duck type of a Provisioned Service, servicebinding.io 1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Bound>,
    /// `Ready` and `Connected` always; `Reconciling` or `Stalled` only while True, never both.
    // Not required by the schema: an object that somebody else wrote must still be one that can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A binding Secret that exists.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// The tuple T that a successful check was made with.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Of everything in the specs that the check depends on. No part of a key is in it.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// The Secret's uid.
    #[serde(rename = "secretUID")]
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// The Secret's resourceVersion.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
    /// When a check of exactly this first succeeded.
    #[schemars(schema_with = "schema::time")]
    pub time: Time,
}

/// The failed checks since the last success.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// How many, 1 to 10; stops at 10.
    #[schemars(range(min = 1, max = 10))]
    pub count: u32,
    /// Of everything in the specs that the check depends on. No part of a key is in it.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// The Secret's uid.
    #[serde(rename = "secretUID")]
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// The Secret's resourceVersion.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
    /// When the next try was planned for, when this was written.
    #[schemars(schema_with = "schema::time")]
    pub not_before: Time,
}
