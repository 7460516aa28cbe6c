//! What stands in for the watched version of a Secret where Secrets are not watched.

use super::{Reason, SecretVersion, connected_reason};
use crate::api::PartnerIntegration;

/// The version of the Secret that the status was written about: what a process that has not read the Secret takes for its
/// version, so that a start reads and checks nothing of what is known. It is put right by the next check, which reads the
/// key in any case.
///
/// `None` where nothing is known, and where the Secret itself is what is waited for: then it is looked at.
#[must_use]
pub fn unchanged_secret(integration: &PartnerIntegration) -> Option<SecretVersion> {
    let status = integration.status.as_ref()?;
    let waits = [Reason::SecretNotFound, Reason::SecretKeyNotFound, Reason::SecretForbidden];
    if connected_reason(status).is_none_or(|reason| waits.contains(&reason)) {
        return None;
    }
    // Failures are of the latest T that was checked, also below the threshold, while `verified` is of the one before.
    let failing = status.failing.as_ref().map(|failing| (&failing.secret_uid, &failing.secret_resource_version));
    let verified = status.verified.as_ref().map(|proved| (&proved.secret_uid, &proved.secret_resource_version));
    let (uid, version) = failing.or(verified)?;
    Some(SecretVersion { uid: uid.clone(), resource_version: version.clone() })
}
