//! The key, from a Secret's data to the headers that carry it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::ByteString;
use zeroize::{Zeroize as _, Zeroizing};

use crate::api::{Authentication, Basic};

/// The longest key, in bytes, after its trailing newline is taken off.
pub const MAX_KEY: usize = 4096;

/// The headers that carry a key. It has no `Debug`: nothing may print it.
///
/// The bytes are owned by buffers that are zeroed when the last header that shares them is dropped, which is
/// when the client has sent the request or given up. What cannot be zeroed, because the buffers are not ours:
/// what hyper serialised the request into, the HPACK encoder's output, rustls' plaintext and the kernel's socket
/// buffers; and whatever the Kubernetes client read the Secret into before it became `data`. See [`wipe`].
pub struct Credential {
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a Secret's data gives no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CredentialFault {
    /// The Secret lacks a key that is needed: `SecretKeyNotFound`.
    #[error("the Secret lacks a key that is needed")]
    KeyNotFound,
    /// A value is nothing that a header may carry: `InvalidCredential`. Nothing is sent.
    #[error("a value in the Secret is no visible ASCII of 1 to 4096 bytes")]
    Invalid,
}

impl Credential {
    /// Makes the headers that `authentication` asks for out of a Secret's `data`.
    ///
    /// `default_key` is the integration's `apiKeySecretRef.key`. Section 6 of the design: a value is visible ASCII,
    /// inner spaces allowed, none at the ends, 1 to [`MAX_KEY`] bytes; one trailing `\n` is taken off, because `echo`
    /// leaves it. `\r\n` is refused: the rule names one newline, and a carriage return is no visible ASCII.
    ///
    /// # Errors
    /// [`CredentialFault::KeyNotFound`] goes before [`CredentialFault::Invalid`], as in section 3's order.
    pub fn read(
        authentication: &Authentication,
        default_key: &str,
        data: &BTreeMap<String, ByteString>,
    ) -> Result<Self, CredentialFault> {
        let find = |key: &str| data.get(key).map(|value| value.0.as_slice()).ok_or(CredentialFault::KeyNotFound);
        let mut headers = Vec::with_capacity(4);
        if let Some(own) = &authentication.headers {
            let found = own
                .iter()
                .map(|header| find(header.key.as_deref().unwrap_or(default_key)).map(|value| (header, value)))
                .collect::<Result<Vec<_>, _>>()?;
            for (header, raw) in found {
                let value = sensitive(&[header.prefix.as_deref().unwrap_or("").as_bytes(), clean(raw)?])?;
                // A name that is no token was refused with the rest of the entry by `CompiledCheck::parse`.
                if let Ok(name) = header.name.parse() {
                    headers.push((name, value));
                }
            }
        }
        if authentication.bearer.is_some() {
            headers.push((AUTHORIZATION, sensitive(&[b"Bearer ", clean(find(default_key)?)?])?));
        }
        if let Some(basic) = &authentication.basic {
            headers.push((AUTHORIZATION, basic_value(basic, find, default_key)?));
        }
        Ok(Self { headers })
    }

    /// Moves the headers into a request's. There is at least one: a catalogue entry without a form of authentication
    /// is a fault of its own.
    pub(super) fn into_headers(self, headers: &mut HeaderMap) {
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
    }
}

/// `user:key` in base64 (RFC 7617).
fn basic_value<'a>(
    basic: &'a Basic,
    find: impl Fn(&str) -> Result<&'a [u8], CredentialFault>,
    default_key: &str,
) -> Result<HeaderValue, CredentialFault> {
    let key = find(default_key)?;
    let user = match (&basic.username, &basic.username_key) {
        (Some(fixed), _) => fixed.as_bytes(),
        (None, Some(user_key)) => clean(find(user_key)?)?,
        // Refused at apply; there is nobody to log in as.
        (None, None) => return Err(CredentialFault::Invalid),
    };
    let key = clean(key)?;
    // A colon would end the user name early.
    if user.contains(&b':') {
        return Err(CredentialFault::Invalid);
    }
    let plain = Zeroizing::new([user, b":", key].concat());
    let mut encoded = Zeroizing::new(vec![0; plain.len().div_ceil(3) * 4]);
    let length = BASE64.encode_slice(plain.as_slice(), &mut encoded).map_err(|_| CredentialFault::Invalid)?;
    sensitive(&[b"Basic ", encoded.get(..length).unwrap_or_default()])
}

/// The value without one trailing newline, if a header may carry it.
fn clean(raw: &[u8]) -> Result<&[u8], CredentialFault> {
    let value = raw.strip_suffix(b"\n").unwrap_or(raw);
    let sound = (1..=MAX_KEY).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && value.first() != Some(&b' ')
        && value.last() != Some(&b' ');
    if sound { Ok(value) } else { Err(CredentialFault::Invalid) }
}

/// A header value that says it is sensitive and zeroes its bytes when the last copy goes.
fn sensitive(parts: &[&[u8]]) -> Result<HeaderValue, CredentialFault> {
    // The exact capacity: a vector that grows leaves copies behind that nobody zeroes.
    let mut buffer = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        buffer.extend_from_slice(part);
    }
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(buffer)).map_err(|_| CredentialFault::Invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Zeroes a Secret's data. For whoever read the Secret, once the credential is made.
pub fn wipe(data: &mut BTreeMap<String, ByteString>) {
    for value in data.values_mut() {
        value.0.zeroize();
    }
    data.clear();
}

mod published;
pub use published::{published, published_keys};

#[cfg(test)]
mod tests;
