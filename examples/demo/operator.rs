//! The operator as a child process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::support::{Result, wait_for};

pub struct Operator {
    child: Child,
    pub log: PathBuf,
}

impl Operator {
    /// Starts it and waits until it is ready. Partners on loopback are allowed: that is where the simulated one is.
    pub async fn start(binary: &Path, kubeconfig: &Path) -> Result<Self> {
        let log = kubeconfig.with_file_name("operator.log");
        let child = Command::new(binary)
            .args(["run", "--no-leader-elect", "--allow-network", "127.0.0.0/8", "--allow-network", "::1/128"])
            .args(["--admin-address", "127.0.0.1:0", "--log-format", "json", "--kubeconfig"])
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            // Ctrl-C in the terminal is for the demo, which ends it in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let operator = Self { child, log };
        let client = reqwest::Client::builder().no_proxy().build()?;
        wait_for("the operator to be ready", Duration::from_secs(30), async || {
            let address = operator.admin_address().ok_or("its log does not say its admin address yet")?;
            let answer =
                client.get(format!("http://{address}/readyz")).send().await.map_err(|error| error.to_string())?;
            let ready = answer.status().is_success();
            let text = answer.text().await.map_err(|error| error.to_string())?;
            if ready { Ok(()) } else { Err(text) }
        })
        .await?;
        Ok(operator)
    }

    fn admin_address(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.log).ok()?;
        log.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("admin_address")?.as_str().map(str::to_owned)
        })
    }

    /// SIGTERM, and its exit code must be 0.
    pub async fn terminate(mut self) -> Result<()> {
        let pid = self.child.id().ok_or("the operator has ended before its time")?.to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        let status = tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the operator ended with {status}").into()) }
    }
}
