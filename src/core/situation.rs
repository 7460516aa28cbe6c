//! Which row of the status table applies before any check: the first match wins.

use super::{Observed, PartnerSeen, Reason, SecretSeen, Tuple, digest};
use crate::api::{ApiKeySecretRef, Check, PartnerIntegration, Region};
use kube::ResourceExt;

/// Where an integration stands before its check is looked at.
#[derive(Clone, Debug)]
pub enum Situation<'a> {
    /// `spec.suspend`
    Suspended,
    /// The catalogue has no such partner.
    PartnerMissing {
        /// Whether region and key are given: then it is Failed, else Available.
        configured: bool,
    },
    /// Neither region nor key is given.
    Added,
    /// Something stands in the way that no check is needed to see.
    Blocked(Reason),
    /// A check can be made.
    Checkable(Target<'a>),
}

/// What a check is made of.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// T, as judged by what is watched.
    pub tuple: Tuple,
    /// The region's endpoint.
    pub endpoint: &'a str,
    /// Interval and threshold.
    pub check: &'a Check,
}

/// Region and key of an integration that has both.
fn configured(integration: &PartnerIntegration) -> Option<(&str, &ApiKeySecretRef)> {
    integration.spec.region.as_deref().zip(integration.spec.api_key_secret_ref.as_ref())
}

/// The region that an integration names, if its partner offers it.
#[must_use]
pub fn region_of<'a>(integration: &PartnerIntegration, regions: &'a [Region]) -> Option<&'a Region> {
    let name = integration.spec.region.as_deref()?;
    regions.iter().find(|region| region.name == name)
}

/// Everything of the precedence that stands before the Secret; `Err` where it ends there.
fn before_the_secret<'a>(
    integration: &'a PartnerIntegration,
    partner: PartnerSeen<'a>,
) -> Result<(&'a Region, &'a ApiKeySecretRef, &'a crate::api::PartnerSpec), Situation<'a>> {
    if integration.spec.suspend {
        return Err(Situation::Suspended);
    }
    let configured = configured(integration);
    if matches!(partner, PartnerSeen::Absent) {
        return Err(Situation::PartnerMissing { configured: configured.is_some() });
    }
    let Some((_, secret)) = configured else {
        return Err(Situation::Added);
    };
    let PartnerSeen::Present(facts) = partner else {
        return Err(Situation::Blocked(Reason::PartnerInvalid));
    };
    if facts.fault.is_some() {
        return Err(Situation::Blocked(Reason::PartnerInvalid));
    }
    let Some(region) = region_of(integration, &facts.spec.regions) else {
        return Err(Situation::Blocked(Reason::RegionNotFound));
    };
    if facts.forbidden {
        return Err(Situation::Blocked(Reason::EndpointForbidden));
    }
    Ok((region, secret, facts.spec))
}

/// The name of the Secret that the decision depends on; `None` where an earlier row of the table decides.
#[must_use]
pub fn needs_secret<'a>(integration: &'a PartnerIntegration, partner: PartnerSeen<'a>) -> Option<&'a str> {
    before_the_secret(integration, partner).ok().map(|(_, secret, _)| secret.name.as_str())
}

/// Suspended → partner missing → only added → partner invalid → region → address → Secret → a check.
pub fn situate<'a>(seen: &Observed<'a>) -> Situation<'a> {
    let (region, key, partner) = match before_the_secret(seen.integration, seen.partner) {
        Ok(found) => found,
        Err(situation) => return situation,
    };
    let secret = match &seen.secret {
        SecretSeen::Present(version) => version.clone(),
        SecretSeen::Forbidden => return Situation::Blocked(Reason::SecretForbidden),
        SecretSeen::Absent => return Situation::Blocked(Reason::SecretNotFound),
    };
    let uid = seen.integration.uid().unwrap_or_default();
    Situation::Checkable(Target {
        tuple: Tuple { digest: digest(&uid, partner, &region.endpoint, key), secret },
        endpoint: &region.endpoint,
        check: &partner.check,
    })
}
