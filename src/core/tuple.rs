//! T, the tuple that a check is made with.

use sha2::{Digest, Sha256};

use serde::Serialize;

use crate::api::{
    ApiKeySecretRef, Authentication, CheckHeader, Failing, Method, PartnerSpec, Rejected, Success, Verified,
};

/// One version of one Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretVersion {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
}

/// T: everything that decides whether the outcome of one check is also that of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Of everything in the two specs that the check depends on; see [`digest`].
    pub digest: String,
    /// The Secret that the key was read from.
    pub secret: SecretVersion,
}

impl Tuple {
    /// The T that `verified` names.
    #[must_use]
    pub fn of(verified: &Verified) -> Self {
        let (uid, resource_version) = (verified.secret_uid.clone(), verified.secret_resource_version.clone());
        Self { digest: verified.digest.clone(), secret: SecretVersion { uid, resource_version } }
    }

    /// T as one word, as the annotation of a binding names it. No part of a key is in it.
    #[must_use]
    pub fn stamp(&self) -> String {
        format!("{}/{}/{}", self.digest, self.secret.uid, self.secret.resource_version)
    }

    /// Whether `verified` names this T.
    #[must_use]
    pub fn is_verified(&self, verified: &Verified) -> bool {
        self.digest == verified.digest
            && self.secret.uid == verified.secret_uid
            && self.secret.resource_version == verified.secret_resource_version
    }

    /// Whether `failing` counts failures of this T.
    #[must_use]
    pub fn is_failing(&self, failing: &Failing) -> bool {
        self.digest == failing.digest
            && self.secret.uid == failing.secret_uid
            && self.secret.resource_version == failing.secret_resource_version
    }
}

/// What the digest covers, and nothing else: not names, interval, timeout, threshold, suspend or labels.
///
/// The order of the fields is part of the digest. A field that is added later must be left out while it is
/// absent, so that no digest changes with an upgrade and no integration is checked again because of one.
#[derive(Serialize)]
struct Covered<'a> {
    uid: &'a str,
    endpoint: &'a str,
    authentication: &'a Authentication,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_bundle: Option<&'a str>,
    method: Method,
    path: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    headers: &'a [CheckHeader],
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<&'a Success>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<&'a Rejected>,
    secret: &'a ApiKeySecretRef,
}

/// The digest part of T, `v1:` and 64 hexadecimal digits.
///
/// `uid` is the integration's; it holds no part of a key, only the Secret's name.
#[must_use]
pub fn digest(uid: &str, partner: &PartnerSpec, endpoint: &str, secret: &ApiKeySecretRef) -> String {
    let covered = Covered {
        uid,
        endpoint,
        authentication: &partner.authentication,
        trust_bundle: partner.trust_bundle.as_deref(),
        method: partner.check.method,
        path: &partner.check.path,
        headers: &partner.check.headers,
        body: &partner.check.body,
        success: partner.check.success.as_ref(),
        rejected: partner.check.rejected.as_ref(),
        secret,
    };
    let mut hasher = Sha256::new();
    // Writing JSON into a hasher cannot fail: no map has keys that are not strings, and the sink takes all.
    let _ = serde_json::to_writer(HashWriter(&mut hasher), &covered);
    let hash = hasher.finalize();
    let mut text = String::with_capacity(3 + 2 * hash.len());
    text.push_str("v1:");
    for byte in hash {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    text
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
