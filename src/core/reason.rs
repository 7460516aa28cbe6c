//! Every reason that a status can give, and what happens next after each.

use std::fmt;

/// The `reason` of the conditions `Ready` and `Connected`. The names are a contract: dashboards and alerts use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nobody has looked yet.
    Pending,
    /// `spec.suspend` is true.
    Suspended,
    /// Added, and neither region nor key is given.
    Added,
    /// Connected is false because neither region nor key is given.
    NotConfigured,
    /// A check succeeded.
    Connected,
    /// Connected, but the latest checks failed, fewer than the threshold.
    CheckFailing,
    /// The catalogue has no such partner.
    PartnerNotFound,
    /// There is no such Secret.
    SecretNotFound,
    /// The Secret lacks the key.
    SecretKeyNotFound,
    /// The operator may not read the Secret.
    SecretForbidden,
    /// The host has no address, or DNS fails.
    DnsFailure,
    /// Refused, unreachable or broken off.
    ConnectFailed,
    /// The deadline passed.
    Timeout,
    /// Answered 429.
    RateLimited,
    /// Answered 408, 425 or 5xx.
    PartnerUnavailable,
    /// The catalogue entry has an expression or a trust bundle that does not parse.
    PartnerInvalid,
    /// The partner does not offer the region.
    RegionNotFound,
    /// The address is loopback, link-local, private or the like.
    EndpointForbidden,
    /// The key is nothing that a header may carry; nothing was sent.
    InvalidCredential,
    /// The partner refuses the key.
    CredentialRejected,
    /// Answered with a redirect, which is never followed.
    RedirectRefused,
    /// The certificate, its name, the version, or a TLS alert.
    TlsFailed,
    /// Any other answer.
    UnexpectedResponse,
    /// Connected, but a Secret of the binding's name is there that is not this integration's.
    BindingNotOwned,
    /// Connected, but the operator was started without `--bindings`.
    BindingsDisabled,
    /// Connected, but the binding could not be written, or one of an earlier integration is not collected yet.
    BindingFailed,
}

/// What happens next after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Something that is watched has to change.
    Waiting,
    /// It may pass by itself.
    Transient,
    /// Somebody has to change something.
    NeedsPerson,
}

impl Reason {
    /// All reasons, in the order of the table in the design.
    pub const ALL: [Self; 26] = [
        Self::Pending,
        Self::Suspended,
        Self::Added,
        Self::NotConfigured,
        Self::Connected,
        Self::CheckFailing,
        Self::PartnerNotFound,
        Self::SecretNotFound,
        Self::SecretKeyNotFound,
        Self::SecretForbidden,
        Self::DnsFailure,
        Self::ConnectFailed,
        Self::Timeout,
        Self::RateLimited,
        Self::PartnerUnavailable,
        Self::PartnerInvalid,
        Self::RegionNotFound,
        Self::EndpointForbidden,
        Self::InvalidCredential,
        Self::CredentialRejected,
        Self::RedirectRefused,
        Self::TlsFailed,
        Self::UnexpectedResponse,
        Self::BindingNotOwned,
        Self::BindingsDisabled,
        Self::BindingFailed,
    ];

    /// The word that stands in a condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Suspended => "Suspended",
            Self::Added => "Added",
            Self::NotConfigured => "NotConfigured",
            Self::Connected => "Connected",
            Self::CheckFailing => "CheckFailing",
            Self::PartnerNotFound => "PartnerNotFound",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyNotFound => "SecretKeyNotFound",
            Self::SecretForbidden => "SecretForbidden",
            Self::DnsFailure => "DNSFailure",
            Self::ConnectFailed => "ConnectFailed",
            Self::Timeout => "Timeout",
            Self::RateLimited => "RateLimited",
            Self::PartnerUnavailable => "PartnerUnavailable",
            Self::PartnerInvalid => "PartnerInvalid",
            Self::RegionNotFound => "RegionNotFound",
            Self::EndpointForbidden => "EndpointForbidden",
            Self::InvalidCredential => "InvalidCredential",
            Self::CredentialRejected => "CredentialRejected",
            Self::RedirectRefused => "RedirectRefused",
            Self::TlsFailed => "TLSFailed",
            Self::UnexpectedResponse => "UnexpectedResponse",
            Self::BindingNotOwned => "BindingNotOwned",
            Self::BindingsDisabled => "BindingsDisabled",
            Self::BindingFailed => "BindingFailed",
        }
    }

    /// The reason that a condition's word means, if it is one of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// What happens next; `None` for reasons that are no failure.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        match self {
            Self::Pending
            | Self::Suspended
            | Self::Added
            | Self::NotConfigured
            | Self::Connected
            | Self::CheckFailing => None,
            Self::PartnerNotFound
            | Self::SecretNotFound
            | Self::SecretKeyNotFound
            | Self::SecretForbidden
            | Self::BindingFailed => Some(Class::Waiting),
            Self::DnsFailure | Self::ConnectFailed | Self::Timeout | Self::RateLimited | Self::PartnerUnavailable => {
                Some(Class::Transient)
            }
            Self::PartnerInvalid
            | Self::RegionNotFound
            | Self::EndpointForbidden
            | Self::InvalidCredential
            | Self::CredentialRejected
            | Self::RedirectRefused
            | Self::TlsFailed
            | Self::UnexpectedResponse
            | Self::BindingNotOwned
            | Self::BindingsDisabled => Some(Class::NeedsPerson),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
