//! [`Partner`]: an entry of the catalogue.
#![allow(clippy::duplicated_attributes, reason = "columns of one type, each in an attribute of its own")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, rules, schema};

/// What a partner application is, where it is reached and how a key for it is proved.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "integrations.kognitiv.com",
    version = "v1alpha1",
    kind = "Partner",
    doc = "A partner application that integrations can be made with: an entry of the catalogue. Platform administrators \
           write these; they are the only place where addresses come from.",
    status = "PartnerStatus",
    derive = "PartialEq",
    validation = super::rules::partner_object_name(),
    printcolumn(
        name = "Display Name",
        type_ = "string",
        json_path = ".spec.displayName",
        description = "The name that people see"
    ),
    printcolumn(
        name = "Regions",
        type_ = "string",
        json_path = ".status.regionNames",
        description = "The regions on offer"
    ),
    printcolumn(
        name = "Integrations",
        type_ = "integer",
        json_path = ".status.integrations",
        description = "How many integrations name it"
    ),
    printcolumn(
        name = "Connected",
        type_ = "integer",
        json_path = ".status.connected",
        description = "How many of them are connected"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when it is in the catalogue"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::check_headers_without_key(),
    validation = rules::check_headers_without_authorization(),
    validation = rules::no_private_key()
)]
pub struct PartnerSpec {
    /// The name that people see, e.g. `Datadog`. Integrations show it as `status.partnerName`.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = rules::one_line())]
    pub display_name: String,
    /// What the partner is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub description: Option<String>,
    /// Where its documentation stands: an `https://` or `http://` address.
    #[serde(default, rename = "documentationURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::documentation_url())]
    pub documentation_url: Option<String>,
    /// The regions on offer, each with its address. A partner without regions has one all the same, e.g. `global`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub regions: Vec<Region>,
    /// How a request carries the key: exactly one of `headers`, `bearer` and `basic`.
    pub authentication: Authentication,
    /// The request that proves a key, when it is made and how its answer is judged.
    pub check: Check,
    /// Certificates in PEM: trust these roots instead of the public ones. Never a private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub trust_bundle: Option<String>,
}

/// A region of a partner and its address.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// What an integration's `spec.region` names, e.g. `eu1`.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::region_name("spec.regions[].name"))]
    pub name: String,
    /// `https://HOST[:PORT][/BASE]`. The address of a check is this followed by `check.path`, as text.
    #[schemars(length(max = 512))]
    #[x_kube(
        validation = rules::endpoint_is_https(),
        validation = rules::endpoint_shape(),
        validation = rules::endpoint_without_dot_segments(),
        validation = rules::endpoint_ipv6()
    )]
    pub endpoint: String,
}

/// How a request carries the key: exactly one of the forms.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_authentication())]
pub struct Authentication {
    /// In one to four headers of the partner's own, e.g. `DD-API-KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = rules::header_names_differ("spec.authentication.headers")
    )]
    pub headers: Option<Vec<KeyHeader>>,
    /// As `Authorization: Bearer KEY` (RFC 6750). Write `bearer: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Bearer>,
    /// With the key as the password of `Authorization: Basic` (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
}

/// A header that carries a key.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyHeader {
    /// The header's name.
    #[schemars(length(max = 128))]
    #[x_kube(
        validation = rules::header_name("spec.authentication.headers[].name"),
        validation = rules::header_not_reserved("spec.authentication.headers[].name")
    )]
    pub name: String,
    /// What stands before the key, with the space that follows it, e.g. `GenieKey `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::header_value("spec.authentication.headers[].prefix"))]
    pub prefix: Option<String>,
    /// Which key of the integration's Secret this header carries; the default is its `apiKeySecretRef.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::secret_key("spec.authentication.headers[].key"))]
    pub key: Option<String>,
}

/// Bearer authentication has nothing to set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {}

/// The user name of Basic authentication: exactly one of the forms.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_user_name())]
pub struct Basic {
    /// A fixed user name, without a colon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::user_name())]
    pub username: Option<String>,
    /// The key of the integration's Secret that holds the user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::secret_key("spec.authentication.basic.usernameKey"))]
    pub username_key: Option<String>,
}

/// The request that proves a key, when it is made and how its answer is judged.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::body_with_post(),
    validation = rules::timeout_within_interval(),
    validation = rules::success_apart_from_rejected(),
    validation = rules::rejected_apart_from_default_success()
)]
pub struct Check {
    /// The method: GET, HEAD or POST. Choose one that changes nothing at the partner.
    #[serde(default)]
    pub method: Method,
    /// What follows the endpoint: a path that begins with one `/`, and perhaps a query.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::path_shape(), validation = rules::path_without_dot_segments())]
    pub path: String,
    /// Further headers of the request. Not those that carry the key, and none that the HTTP client owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = rules::header_names_differ("spec.check.headers")
    )]
    pub headers: Vec<CheckHeader>,
    /// The body of the request, with POST only. Say what it is with a `Content-Type` in `headers`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 8192))]
    pub body: String,
    /// The one deadline of a check, over DNS, connect, TLS, headers and body: 1s to 60s, not longer than `interval`.
    #[serde(default = "default_timeout")]
    #[schemars(length(max = 28))]
    #[x_kube(validation = rules::duration("spec.check.timeout", "1s", "60s", "10s"))]
    pub timeout: Duration,
    /// How often a connected integration is proved again: 30s to 24h.
    #[serde(default = "default_interval")]
    #[schemars(length(max = 28))]
    #[x_kube(validation = rules::duration("spec.check.interval", "30s", "24h", "10m or 1h30m"))]
    pub interval: Duration,
    /// How many failed checks in a row make a connected integration Failed. A refused key does so at once.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 10))]
    pub failure_threshold: u32,
    /// At most so many checks a second to one host of this partner. Without it there is no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_per_second: Option<u32>,
    /// What an answer must be to mean: connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Success>,
    /// What an answer must be to mean: this key is refused. It is judged first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_interval() -> Duration {
    Duration::from_mins(10)
}

fn default_failure_threshold() -> u32 {
    3
}

/// A header of the check request that carries no key.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckHeader {
    /// The header's name.
    #[schemars(length(max = 128))]
    #[x_kube(
        validation = rules::header_name("spec.check.headers[].name"),
        validation = rules::header_not_reserved("spec.check.headers[].name")
    )]
    pub name: String,
    /// Its value: visible ASCII characters and spaces. Everybody who may read Partners sees it.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::header_value("spec.check.headers[].value"))]
    pub value: String,
}

/// The method of the check request.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// `GET`
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// `HEAD`
    #[serde(rename = "HEAD")]
    Head,
    /// `POST`
    #[serde(rename = "POST")]
    Post,
}

/// What an answer must be to mean: connected.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// Status codes, 100 to 599; without the list, 200 to 299. None that is also among the rejected ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(range(min = 100, max = 599)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rules::success_codes())]
    pub status_codes: Option<Vec<u16>>,
    /// CEL over `status` (a number) and `body` (the answer as JSON), e.g. `body.valid == true`; must be true as
    /// well. One that does not parse makes the Partner's condition Ready false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub expression: Option<String>,
}

/// What an answer must be to mean: this key is refused.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Status codes, 100 to 599; without the list, 401 and 403; an empty list: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(range(min = 100, max = 599)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rules::rejected_codes())]
    pub status_codes: Option<Vec<u16>>,
    /// CEL over `status` (a number) and `body` (the answer as JSON); when it is true the key is refused, whatever
    /// the status code. One that does not parse makes the Partner's condition Ready false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub expression: Option<String>,
}

/// What the operator says of a catalogue entry. Nobody else writes it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartnerStatus {
    /// The generation that was judged; -1 until the operator has looked.
    #[schemars(range(min = -1))]
    pub observed_generation: i64,
    /// The names of the regions, sorted, joined by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub region_names: Option<String>,
    /// How many integrations name it, in all namespaces. Absent where no operator sees them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrations: Option<u32>,
    /// How many of them are connected. Both are brought up to date at most once in 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<u32>,
    /// `Ready`, and `Stalled` while a person is needed. Reasons: `Valid`, `InvalidExpression`, `InvalidTrustBundle`, `InvalidRequest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
