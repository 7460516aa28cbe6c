//! The catalogue that is shipped: every entry is one that the API server accepts.

use std::path::Path;

use partner_integration_operator::api::PartnerSpec;
use serde_json::Value;

use crate::manifests::{cluster, create};

#[tokio::test]
async fn every_entry_of_the_catalogue_is_accepted() {
    let (_, client) = cluster().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalogue");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let manifest: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        // A folder of manifests may also hold what kustomize reads.
        if manifest["kind"] != "Partner" {
            continue;
        }
        let stored =
            create(&client, &manifest).await.unwrap_or_else(|status| panic!("{}: {}", path.display(), status.message));
        let spec: PartnerSpec = serde_json::from_value(stored["spec"].clone()).unwrap();
        assert!(spec.description.is_some() && spec.documentation_url.is_some(), "{}", path.display());
        assert_eq!(path.file_stem().unwrap().to_str(), stored["metadata"]["name"].as_str());
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}
