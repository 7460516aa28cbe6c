//! Server-side apply of a status, in a form that the API server reads whatever text is in it.

use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::FIELD_MANAGER;

/// Applies `patch` to the status of an object, forced; `namespace` is `None` for a kind without.
///
/// # Errors
/// Those of the client.
pub async fn apply_status<K>(client: &Client, namespace: Option<&str>, name: &str, patch: &Value) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let request = Request::new(K::url_path(&(), namespace));
    let request = request.patch_subresource("status", name, &params, &Patch::Apply(patch));
    let request = request.map_err(kube::Error::BuildRequest)?.map(escaped);
    client.request(request).await
}

/// The same JSON with `\u` escapes.
///
/// The API server reads an apply as YAML, where some characters that JSON takes as they are mean something else: DEL, U+0080
/// to U+009F, U+FFFE and U+FFFF are an error, U+0085, U+2028 and U+2029 end a line. Every text may come from a user: a
/// display name, the annotation that asks for a check. What lies beyond U+FFFF stays as it is: JSON writes it as two
/// escapes, of which YAML takes neither.
fn escaped(json: Vec<u8>) -> Vec<u8> {
    // Nearly every status is plain ASCII.
    if json.iter().all(|byte| byte.is_ascii() && *byte != 0x7f) {
        return json;
    }
    match String::from_utf8(json) {
        Ok(text) => text.chars().map(escape).collect::<String>().into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

/// In JSON these letters stand in strings only, and never after a backslash.
fn escape(letter: char) -> String {
    match u32::from(letter) {
        code @ 0x7f..=0xffff => format!("\\u{code:04x}"),
        _ => letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_escaped_is_the_same_json_in_ascii_but_for_what_lies_beyond_the_first_plane() {
        let all: String = (0..=0xffff).filter_map(char::from_u32).collect();
        for text in [all.as_str(), "plain", "\"quoted\\\u{7f}\"", "💥 and é"] {
            let value = json!({"status": {text: [text]}});
            let escaped = escaped(serde_json::to_vec(&value).unwrap());
            assert_eq!(serde_json::from_slice::<Value>(&escaped).unwrap(), value);
            let kept = String::from_utf8(escaped).unwrap();
            assert!(kept.chars().all(|letter| u32::from(letter) < 0x7f || letter == '💥'), "{kept}");
        }
    }
}
