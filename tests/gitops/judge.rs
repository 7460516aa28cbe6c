//! Runs `hack/gitops`: kstatus and Argo CD's Lua, on objects as the API server gives them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::support::Result;

/// Building it the first time; after that, and for a call, seconds.
const BUILD: Duration = Duration::from_mins(15);
const CALL: Duration = Duration::from_mins(5);

/// What one tool says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Verdict {
    pub status: String,
    pub message: String,
}

/// What all of them say of one object.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdicts {
    /// The library of the Kubernetes project.
    pub kstatus: Verdict,
    /// The copy of it that Flux and Helm have.
    pub flux: Verdict,
    pub argocd: Verdict,
}

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of Argo CD's scripts, as in Argo CD's own repository.
pub fn customizations() -> PathBuf {
    root().join("deploy/gitops/argocd/resource_customizations")
}

/// Judges these objects, in their order.
///
/// # Errors
/// Go is missing, or a script of ours fails.
pub async fn judge(objects: &[Value]) -> Result<Vec<Verdicts>> {
    let folder = customizations().display().to_string();
    let output = run(&["health", &folder], &serde_json::to_string(objects)?).await?;
    let verdicts: Vec<Verdicts> = serde_json::from_str(&output)?;
    if verdicts.len() == objects.len() { Ok(verdicts) } else { Err("not one verdict for each object".into()) }
}

/// The CRDs of Flux and Argo CD, in the cache.
///
/// # Errors
/// They cannot be downloaded.
pub async fn foreign_crds() -> Result<PathBuf> {
    let folder = root().join(".cache/gitops/crds");
    run(&["crds", &folder.display().to_string()], "").await?;
    Ok(folder)
}

async fn run(arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program().await?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let feed = async move {
        // It may end without reading: that is seen in how it ended.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(CALL, both).await??;
    if !output.status.success() {
        return Err(format!("judge {arguments:?}: {}; it has said why", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Builds it where that is needed. What the script says of it goes to the terminal.
async fn program() -> Result<&'static Path> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || {
        let script = root().join("hack/gitops/build.sh");
        let child = Command::new(script).stderr(Stdio::inherit()).kill_on_drop(true).output();
        let output = tokio::time::timeout(BUILD, child).await??;
        if !output.status.success() {
            return Err("hack/gitops/build.sh failed; it has said why".into());
        }
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    };
    PROGRAM.get_or_try_init(build).await.map(PathBuf::as_path)
}
