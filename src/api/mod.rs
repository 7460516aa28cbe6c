//! What users write: the two kinds of the group `integrations.kognitiv.com`.
//!
//! Nothing but types and their validation. Every rule that a schema or CEL can state stands
//! beside the field it is about and ends up in `crds/`, which is generated from here. The sentences that users
//! read when a rule fails are in `rules`.

mod crd;
mod duration;
mod integration;
mod partner;
mod rules;
mod schema;

pub use crd::{crd_yaml, crds, to_yaml};
pub use duration::{Duration, DurationError};
pub use integration::{
    ApiKeySecretRef, Binding, Bound, Failing, PartnerIntegration, PartnerIntegrationSpec, PartnerIntegrationStatus,
    Phase, Verified,
};
pub use partner::{
    Authentication, Basic, Bearer, Check, CheckHeader, KeyHeader, Method, Partner, PartnerSpec, PartnerStatus, Region,
    Rejected, Success,
};

/// The API group of both kinds.
pub const GROUP: &str = "integrations.kognitiv.com";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// The annotation that asks for a check now: any new value does.
pub const CHECK_REQUESTED_AT: &str = "integrations.kognitiv.com/check-requested-at";
/// The field manager of every write of the operator.
pub const FIELD_MANAGER: &str = "partner-integration-operator";
/// The key of the Secret where neither the integration nor the partner names one.
pub const DEFAULT_SECRET_KEY: &str = "api-key";
