//! The key as a binding Secret holds it: the same bytes that were proved, under the names that applications expect.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;

use super::{CredentialFault, clean};
use crate::api::Authentication;

const API_KEY: &str = "api-key";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// Under which name a binding holds which value.
enum Source<'a> {
    /// That of a key of the Secret.
    Key(&'a str),
    /// A fixed one, which the catalogue says.
    Fixed(&'a str),
}

/// Section 9 of the design: `api-key`; with basic authentication `username` and `password`; with several headers each
/// value under its Secret key.
fn sources<'a>(authentication: &'a Authentication, default_key: &'a str) -> BTreeMap<&'a str, Source<'a>> {
    let mut sources = BTreeMap::new();
    let headers = authentication.headers.as_deref().unwrap_or_default();
    let keys: BTreeSet<&str> = headers.iter().map(|header| header.key.as_deref().unwrap_or(default_key)).collect();
    if headers.len() > 1 {
        sources.extend(keys.into_iter().map(|key| (key, Source::Key(key))));
    } else {
        sources.extend(keys.into_iter().map(|key| (API_KEY, Source::Key(key))));
    }
    if authentication.bearer.is_some() {
        sources.insert(API_KEY, Source::Key(default_key));
    }
    if let Some(basic) = &authentication.basic {
        let user = match (&basic.username, &basic.username_key) {
            (Some(fixed), _) => Some(Source::Fixed(fixed)),
            (None, key) => key.as_deref().map(Source::Key),
        };
        sources.extend(user.map(|user| (USERNAME, user)));
        sources.insert(PASSWORD, Source::Key(default_key));
    }
    sources
}

/// The names of the entries that [`published`] gives.
#[must_use]
pub fn published_keys<'a>(authentication: &'a Authentication, default_key: &'a str) -> BTreeSet<&'a str> {
    sources(authentication, default_key).into_keys().collect()
}

/// The entries of a binding Secret that hold the key, out of a Secret's `data`. Whoever gets them wipes them.
///
/// # Errors
/// As [`Credential::read`](super::Credential::read): what could not be sent is not published either.
pub fn published(
    authentication: &Authentication,
    default_key: &str,
    data: &BTreeMap<String, ByteString>,
) -> Result<BTreeMap<String, ByteString>, CredentialFault> {
    let sources = sources(authentication, default_key);
    // All are looked at before one is copied: a copy that is thrown away half-way would not be wiped.
    let found =
        sources.iter().map(|(name, source)| Ok((*name, value(source, data)?))).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().map(|(name, value)| (name.to_owned(), ByteString(value.to_vec()))).collect())
}

fn value<'a>(source: &'a Source<'a>, data: &'a BTreeMap<String, ByteString>) -> Result<&'a [u8], CredentialFault> {
    match source {
        Source::Fixed(text) => Ok(text.as_bytes()),
        Source::Key(key) => clean(&data.get(*key).ok_or(CredentialFault::KeyNotFound)?.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names_and_values(authentication: serde_json::Value) -> Result<Vec<(String, String)>, CredentialFault> {
        let authentication: Authentication = serde_json::from_value(authentication).unwrap();
        let data: BTreeMap<_, _> = [("api-key", "k\n"), ("app", "a"), ("site", "s"), ("bad", " x")]
            .map(|(name, value)| (name.to_owned(), ByteString(value.as_bytes().to_vec())))
            .into();
        let found = published(&authentication, "api-key", &data)?;
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(names, Vec::from_iter(published_keys(&authentication, "api-key")));
        Ok(found.into_iter().map(|(name, value)| (name, String::from_utf8(value.0).unwrap())).collect())
    }

    #[test]
    fn a_binding_holds_the_key_as_it_was_sent_under_the_name_that_its_form_asks_for() {
        let two = json!({"headers": [{"name": "A"}, {"name": "B", "key": "app"}]});
        let table = [
            (json!({"headers": [{"name": "A"}]}), vec![("api-key", "k")]),
            (json!({"headers": [{"name": "A", "key": "app", "prefix": "GenieKey "}]}), vec![("api-key", "a")]),
            (two, vec![("api-key", "k"), ("app", "a")]),
            (json!({"bearer": {}}), vec![("api-key", "k")]),
            (json!({"basic": {"username": "api"}}), vec![("password", "k"), ("username", "api")]),
            (json!({"basic": {"usernameKey": "site"}}), vec![("password", "k"), ("username", "s")]),
        ];
        for (authentication, expected) in table {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(names_and_values(authentication.clone()), Ok(expected), "{authentication}");
        }
    }

    #[test]
    fn what_could_not_be_sent_is_not_published() {
        let header = |key: &str| json!({"headers": [{"name": "A", "key": key}]});
        assert_eq!(names_and_values(header("absent")), Err(CredentialFault::KeyNotFound));
        assert_eq!(names_and_values(header("bad")), Err(CredentialFault::Invalid));
    }
}
