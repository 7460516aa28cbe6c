//! The real kubectl, with limits: against an API server without its etcd it hangs for as long as it is allowed to.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{ControlPlane, Result};

/// The limit of one request to the API server. `kubectl wait` and `get -w` end with it too: use `wait_for` instead.
const REQUEST: &str = "--request-timeout=20s";
/// The limit of the whole call.
const CALL: Duration = Duration::from_mins(1);

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error: refusals and warnings.
    pub stderr: String,
}

impl ControlPlane {
    /// Runs kubectl as the administrator; gives its standard output. The error holds everything that it said.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "").await
    }

    /// The same with standard input, for `apply -f -`.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let ran = self.kubectl_ran(&self.kubeconfig(), arguments, input).await?;
        if ran.ok {
            return Ok(ran.stdout);
        }
        Err(format!("kubectl {}: {}{}", arguments.join(" "), ran.stdout, ran.stderr).into())
    }

    /// The same with any kubeconfig; a refusal is no error here. An error is only: it could not be run, or took over a minute.
    pub async fn kubectl_ran(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<Ran> {
        let mut child = Command::new(self.assets().join("kubectl"))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--cache-dir")
            .arg(self.folder().join("kubectl-cache"))
            .arg(REQUEST)
            .args(arguments)
            // Neither the user's kuberc nor plugins nor aliases.
            .env("HOME", self.folder())
            .env_remove("KUBECONFIG")
            .env_remove("KUBERC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or("kubectl has no standard input")?;
        let feed = async move {
            // It may end without reading: that is seen in how it ended.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let Ok(output) = tokio::time::timeout(CALL, both).await else {
            return Err(format!("kubectl {} took more than {CALL:?}", arguments.join(" ")).into());
        };
        let output = output?;
        Ok(Ran {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
