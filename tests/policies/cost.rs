//! What the policies cost, measured. The numbers are in docs/policies.md:
//!
//!     cargo test --locked --test policies -- --ignored --nocapture cost::

use std::time::{Duration, Instant};

use kube::Client;
use serde_json::json;

use crate::ground::{API, DENYING, apply, ask, bare, create, edit, integration, partner_manifest, path, unknown_to};

/// How many edits are timed.
const WRITES: usize = 40;

/// The fastest and the median of many edits of the region: a write that two policies judge.
async fn edits(client: &Client) -> (Duration, Duration) {
    let mut took = Vec::new();
    for n in 0..WRITES {
        let region = if n % 2 == 0 { "us1" } else { "eu1" };
        let began = Instant::now();
        edit(client, &path("default", "measured"), &json!({"spec": {"region": region}})).await.allowed("an edit");
        took.push(began.elapsed());
    }
    took.sort();
    (took[0], took[WRITES / 2])
}

#[tokio::test]
#[ignore = "a measurement, no test"]
async fn cost_of_an_edit_with_many_partners() {
    let plane = bare().await;
    let client = plane.client().unwrap();
    let mut known = 0;
    let mut more = async |upto: usize| {
        for n in known..upto {
            let manifest = partner_manifest(&format!("p{n}"), &["ap1", "eu1", "us1", "us2"]);
            let path = format!("{API}/partners");
            ask(&client, "POST", &path, "application/json", &manifest).await.unwrap().allowed("a Partner");
        }
        known = upto;
    };
    more(1).await;
    create(&client, "default", &integration("measured", "p0", Some("eu1")), false).await.allowed("an integration");
    println!("fastest and median of {WRITES}; no policies: {:?}", edits(&client).await);
    apply(&plane, DENYING).await;
    for partners in [1, 50, 500] {
        more(partners).await;
        unknown_to(&client, &format!("p{}", partners - 1), "nowhere").await;
        println!("all policies, {partners} Partners: {:?}", edits(&client).await);
    }
    plane.kubectl(&["delete", "validatingadmissionpolicybinding", "region-is-offered"]).await.unwrap();
    // Until it is seen, an edit takes as long as before.
    let nowhere = integration("probe", "p0", Some("nowhere"));
    crate::support::wait_for("the binding to be gone", crate::ground::LIMIT, async || {
        create(&client, "default", &nowhere, true).await.ok()
    })
    .await
    .unwrap();
    println!("without region-is-offered, 500 Partners: {:?}", edits(&client).await);
}
