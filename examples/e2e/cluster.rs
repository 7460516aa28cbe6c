//! kubectl and helm as child processes, with limits, and a client for what has to be quick.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::Result;

/// No call may take longer; `helm --wait` and `kubectl wait` have shorter limits of their own.
const CALL: Duration = Duration::from_mins(4);

/// The cluster of KUBECONFIG.
pub struct Cluster {
    pub client: kube::Client,
}

impl Cluster {
    pub async fn connect() -> Result<Self> {
        // kube's client is built without a TLS provider of its own choice; an error says that one is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { client: kube::Client::try_default().await? })
    }

    /// Standard output of `kubectl`; the error holds everything that it said.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "").await
    }

    /// The same with standard input, for `apply -f -`.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        run("kubectl", arguments, input).await
    }

    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        run("helm", arguments, "").await
    }
}

/// Runs a program; it is killed when its time is up or nobody waits for it any longer.
pub async fn run(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut stdin = child.stdin.take().ok_or("a child without standard input")?;
    let feed = async move {
        // It may end without reading: that is seen in how it ended.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let Ok(output) = tokio::time::timeout(CALL, both).await else {
        return Err(format!("{} took more than {CALL:?}", spelled(program, arguments)).into());
    };
    let output = output?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    Err(format!("{} ended with {}:\n{stdout}{stderr}", spelled(program, arguments), output.status).into())
}

/// A command as one would type it.
pub fn spelled(program: &str, arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains([' ', '{', '"', '$', '&', '?', '*']) {
            format!("'{argument}'")
        } else {
            (*argument).to_owned()
        }
    });
    std::iter::once(program.to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}
