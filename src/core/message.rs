//! The sentences of a status: fixed, our own words, with the partner's name and the region. Never anything that a
//! partner answered besides its status code, and never any part of a key or the name of a Secret.

use super::{Failure, Reason};

/// The names that a sentence may hold.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The partner's display name, or its name in the spec where the catalogue has none.
    pub partner: &'a str,
    /// The region, where one is given.
    pub region: &'a str,
}

/// The sentence of a reason.
pub fn sentence(reason: Reason, names: Names<'_>) -> String {
    let Names { partner, region } = names;
    match reason {
        Reason::Pending => "waiting for the operator".to_owned(),
        Reason::Suspended => format!("No connection to {partner} is held while spec.suspend is true."),
        Reason::Added => format!("{partner} has been added."),
        Reason::NotConfigured => format!("Set spec.region and spec.apiKeySecretRef to connect {partner}."),
        Reason::Connected => format!("{partner} is connected in region {region}."),
        Reason::CheckFailing => format!(
            "Checks of {partner} in region {region} are failing; it stays connected until the failure threshold is reached."
        ),
        Reason::PartnerNotFound => format!("The catalogue has no partner {partner}; see kubectl get partners."),
        Reason::SecretNotFound => {
            "The Secret that spec.apiKeySecretRef names does not exist in this namespace; create it.".to_owned()
        }
        Reason::SecretKeyNotFound => {
            format!("The Secret that spec.apiKeySecretRef names lacks a key that {partner} needs; add it.")
        }
        Reason::SecretForbidden => {
            "The operator may not read the Secret that spec.apiKeySecretRef names; grant it get on secrets here."
                .to_owned()
        }
        Reason::DnsFailure => format!("The address of {partner} in region {region} cannot be looked up."),
        Reason::ConnectFailed => {
            format!("{partner} in region {region} cannot be reached, or broke the connection off.")
        }
        Reason::Timeout => format!("{partner} in region {region} did not answer in time."),
        Reason::RateLimited => format!("{partner} in region {region} asks for fewer requests."),
        Reason::PartnerUnavailable => format!("{partner} in region {region} is not available."),
        Reason::PartnerInvalid => {
            format!("The catalogue entry of {partner} has an error; see its Ready condition and mend it.")
        }
        Reason::RegionNotFound => format!("{partner} does not offer region {region}; see kubectl get partners."),
        Reason::EndpointForbidden => format!(
            "The address of {partner} in region {region} is not public; correct it, or start the operator with --allow-network."
        ),
        Reason::InvalidCredential => format!(
            "The key for {partner} cannot be sent: it must be 1 to 4096 visible ASCII characters; mend the Secret."
        ),
        Reason::CredentialRejected => {
            format!("{partner} in region {region} refused the key; put a valid one into the Secret.")
        }
        Reason::RedirectRefused => format!(
            "{partner} in region {region} answered with a redirect, which is never followed; correct the endpoint or the path of the check."
        ),
        Reason::TlsFailed => format!(
            "No trusted TLS connection to {partner} in region {region}; see to its certificate or to trustBundle."
        ),
        Reason::UnexpectedResponse => {
            format!("{partner} in region {region} gave an answer that the check does not expect; correct the check.")
        }
        Reason::BindingNotOwned => format!(
            "{partner} is connected, but a Secret of the name that spec.binding gives exists already and is not this integration's; remove it, or give another name."
        ),
        Reason::BindingsDisabled => format!(
            "{partner} is connected, but the operator was started without --bindings; start it with it, or remove spec.binding."
        ),
        Reason::BindingFailed => format!(
            "{partner} is connected, but the Secret that spec.binding names could not be written yet; the operator's log says why, and it tries again."
        ),
    }
}

/// What follows the sentence: the status code where a person needs it, the failure's reason while it is below the
/// threshold.
pub fn detail(reason: Reason, failure: &Failure) -> Option<String> {
    match (reason, failure.reason.class(), failure.code) {
        (Reason::CheckFailing, ..) => Some(format!(" ({})", failure.reason)),
        (_, Some(super::Class::NeedsPerson), Some(code)) => Some(format!(" (HTTP {code})")),
        _ => None,
    }
}

/// The detail of a message that is stored, as [`detail`] made it: an edit that changes only the names keeps it.
///
/// Anything else that somebody may have written there is not taken over.
pub fn detail_of(reason: Reason, message: &str) -> Option<String> {
    // A sentence ends with a full stop, whatever the names in it; so what ends with a parenthesis is a detail.
    let start = message.rfind(" (")?;
    let word = message[start..].strip_prefix(" (")?.strip_suffix(')')?;
    let ours = match (reason, reason.class()) {
        (Reason::CheckFailing, _) => Reason::parse(word).is_some_and(|reason| reason.class().is_some()),
        (_, Some(super::Class::NeedsPerson)) => word
            .strip_prefix("HTTP ")
            .is_some_and(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())),
        _ => false,
    };
    ours.then(|| message[start..].to_owned())
}
