//! Neither the key nor anything that a partner answered is anywhere to be seen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::behaviour::{ANSWER, KEY};
use super::stage::Stage;

/// The texts, their bytes in hexadecimal, as Rust prints bytes, and in base64 wherever it may begin.
fn canaries() -> Vec<String> {
    let mut found = Vec::new();
    for text in [KEY, ANSWER] {
        found.push(text.to_owned());
        found.push(text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")));
        found.push(text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
        for from in 0..3 {
            let middle = &text.as_bytes()[from..];
            found.push(STANDARD.encode(&middle[..middle.len() / 3 * 3]));
        }
    }
    found
}

/// Searches every object but the Secret, the log at the finest level, and the admin address. Gives what was found.
pub async fn search(stage: &Stage) -> Vec<String> {
    let kinds = stage.plane.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await.unwrap();
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    let get = ["get", &kinds.join(","), "-A", "-o", "json", "--show-managed-fields"];
    let objects = stage.plane.kubectl(&get).await.unwrap();
    let secret = stage.plane.kubectl(&["get", "secrets", "-A", "-o", "json"]).await.unwrap();
    let canaries = canaries();
    assert!(canaries.iter().any(|canary| secret.contains(canary)), "the search finds nothing at all");
    assert!(objects.contains("TLSFailed") || objects.contains("Connected"), "the objects are those of this test");
    let mut places = vec![("an object".to_owned(), objects), ("the log".to_owned(), stage.operator.log())];
    for path in ["/livez", "/readyz", "/metrics"] {
        places.push((path.to_owned(), stage.operator.admin(path).await.unwrap().1));
    }
    let mut found = Vec::new();
    for (place, text) in &places {
        for canary in canaries.iter().filter(|canary| text.contains(*canary)) {
            found.push(format!("{canary} is in {place}"));
        }
    }
    found
}
