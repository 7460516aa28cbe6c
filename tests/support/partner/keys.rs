//! Which key a request carries, in whatever form it comes.

use std::collections::HashSet;

/// Headers that clients send for their own reasons.
const ORDINARY: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "content-type",
    "date",
    "host",
    "te",
    "traceparent",
    "transfer-encoding",
    "user-agent",
];

/// The key of a request: one that is accepted if there is any, else the first value that could be one.
pub fn find(headers: &[(String, String)], accepted: &HashSet<String>) -> Option<String> {
    let candidates: Vec<String> = headers.iter().filter_map(|(name, value)| candidate(name, value)).collect();
    candidates.iter().find(|key| accepted.contains(*key)).or(candidates.first()).cloned()
}

fn candidate(name: &str, value: &str) -> Option<String> {
    if ORDINARY.contains(&name) {
        return None;
    }
    match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => {
            let pair = String::from_utf8(base64(rest)?).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        }
        // `Bearer KEY`, or any prefix such as `GenieKey KEY`.
        Some((_, key)) => Some(key.to_owned()),
        None => Some(value.to_owned()),
    }
}

/// Standard base64, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        held = (held << 6 | u32::try_from(value).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    Some(bytes)
}
