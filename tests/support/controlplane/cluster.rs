//! What a test needs in the cluster before it begins.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::{Error, Result, get, wait_for};

/// How long a new kind may take until it is served.
const SERVED: Duration = Duration::from_secs(30);

/// Applies every file of `crds/` server-side, as `kubectl apply --server-side -f crds/` does, and waits until each kind is
/// served. Does nothing while there is no `crds/`.
pub async fn install_crds(client: &Client) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    let mut files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text)?;
        for document in documents {
            install(client, &document).await.map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(())
}

async fn install(client: &Client, document: &serde_json::Value) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = document.pointer("/metadata/name").and_then(serde_json::Value::as_str).ok_or("it has no name")?;
    let params = PatchParams::apply("test-support").force();
    crds.patch(name, &params, &Patch::Apply(document)).await?;
    let spec = wait_for(&format!("{name} to be established"), SERVED, async || {
        let crd = crds.get(name).await.map_err(|error| error.to_string())?;
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
            return Ok(crd.spec);
        }
        let bad = conditions.into_iter().find(|condition| condition.status == "False");
        Err(bad.and_then(|condition| condition.message).unwrap_or_else(|| "no condition yet".to_owned()))
    })
    .await?;
    for version in spec.versions.iter().filter(|version| version.served) {
        let path = format!("/apis/{}/{}/{}?limit=1", spec.group, version.name, spec.names.plural);
        wait_for(&format!("{path} to answer"), SERVED, async || {
            Ok::<_, Error>(client.request_text(get(&path)?).await?)
        })
        .await?;
    }
    Ok(())
}

/// Switches every validation of both kinds off, as an old or a hand-made CRD would be. It is in force a moment later.
pub async fn loosen_crds(client: &Client) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in ["partners.integrations.kognitiv.com", "partnerintegrations.integrations.kognitiv.com"] {
        let mut crd = crds.get(name).await?;
        crd.metadata.managed_fields = None;
        let mut crd = serde_json::to_value(crd)?;
        let version = &mut crd["spec"]["versions"][0];
        version["schema"] =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        version["selectableFields"] = serde_json::Value::Null;
        crds.patch(name, &PatchParams::default(), &Patch::Merge(crd)).await?;
    }
    Ok(())
}

/// Creates a namespace of its own for one test, `PREFIX-` and five random characters, and gives its name.
pub async fn namespace(client: &Client, prefix: &str) -> Result<String> {
    let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let created = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(created.metadata.name.ok_or("a namespace without a name")?)
}
