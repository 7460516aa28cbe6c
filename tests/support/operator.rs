//! The operator as a process of its own, as users run it: started, asked, terminated or killed, always within a limit.
//!
//! A small shell stands between: it holds the other end of a pipe, so that the operator ends with the test program
//! however that one ends, also where nothing is dropped (a static, a SIGKILL).

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

use super::controlplane::ControlPlane;
use super::{Result, tls_provider, usage, wait_for};

/// The name of the operator in `deploy/base`: its `ServiceAccount`, its roles.
pub const NAME: &str = "partner-integration-operator";
/// Its namespace there.
pub const NAMESPACE: &str = "partner-integration-system";
/// The operator in the API server's audit log.
pub const USER: &str = "system:serviceaccount:partner-integration-system:partner-integration-operator";

/// From the start to the first line of the log; a busy machine needs a moment for it.
const START: Duration = Duration::from_secs(20);
/// From SIGTERM to the end: the operator's own grace period, and some.
const END: Duration = Duration::from_secs(15);

/// Runs the command given to it, says its process id and in the end its exit code, and kills it when the pipe closes.
const WRAPPER: &str = r#"exec 3<&0
log=$1; shift
"$@" </dev/null 3<&- 2>>"$log" >>"$log" & pid=$!
echo "$pid"
(read -r _ <&3; kill -KILL "$pid" 2>/dev/null) >/dev/null & reader=$!
wait "$pid"; code=$?
kill "$reader" 2>/dev/null
echo "$code"
"#;

/// A running operator. Dropping it kills it.
pub struct Operator {
    wrapper: Child,
    lines: Mutex<Receiver<String>>,
    pid: u32,
    log: PathBuf,
    admin: String,
    started: Instant,
    http: reqwest::Client,
}

/// What of `deploy/base` says who the operator is and what it may do.
const ACCESS: [&str; 6] =
    ["namespace", "service-account", "cluster-role", "cluster-role-binding", "lease-role", "lease-role-binding"];

/// A kubeconfig of the operator's `ServiceAccount`, after its access as in `deploy/base` has been applied.
///
/// # Errors
/// The manifests are refused, or no token is given out.
pub async fn kubeconfig(plane: &ControlPlane) -> Result<PathBuf> {
    plane.kubeconfig_for(NAME, &access(plane).await?)
}

/// Applies the access of `deploy/base`, and gives a token of the operator's `ServiceAccount`.
///
/// # Errors
/// As of [`kubeconfig`].
pub async fn access(plane: &ControlPlane) -> Result<String> {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base");
    let files = ACCESS.map(|name| format!("--filename={base}/{name}.yaml"));
    let files = files.iter().map(String::as_str);
    plane.kubectl(&["apply", "--server-side"].into_iter().chain(files).collect::<Vec<_>>()).await?;
    token(plane.client()?).await
}

/// Lets the operator write binding Secrets, as `deploy/components/bindings` does.
///
/// # Errors
/// The manifests are refused.
pub async fn allow_bindings(plane: &ControlPlane) -> Result<()> {
    let access = concat!("--filename=", env!("CARGO_MANIFEST_DIR"), "/deploy/components/bindings/cluster-role.yaml");
    plane.kubectl(&["apply", "--server-side", access]).await?;
    Ok(())
}

/// The same with a token of its own, for one of several instances, and how the audit log calls that token.
///
/// # Errors
/// As of [`kubeconfig`].
pub async fn kubeconfig_of(plane: &ControlPlane, instance: &str) -> Result<(PathBuf, String)> {
    kubeconfig(plane).await?;
    let token = token(plane.client()?).await?;
    let claims = token.split('.').nth(1).ok_or("no claims in the token")?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    let id = claims["jti"].as_str().ok_or("no id in the token")?;
    Ok((plane.kubeconfig_for(instance, &token)?, format!("JTI={id}")))
}

async fn token(client: Client) -> Result<String> {
    let spec = TokenRequestSpec { expiration_seconds: Some(7200), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, NAMESPACE);
    let answer = accounts.create_token_request(NAME, &PostParams::default(), &request).await?;
    Ok(answer.status.ok_or("no token was given out")?.token)
}

impl Operator {
    /// Starts `binary` with `run`, this kubeconfig and these further arguments, and waits until it says that it starts.
    /// Its log, at trace level, goes to `NAME.log` in the folder of the control plane, behind what is there.
    ///
    /// # Errors
    /// It ends, or says nothing.
    pub async fn start(
        binary: &str,
        plane: &ControlPlane,
        name: &str,
        kubeconfig: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let arguments: Vec<_> = ["--log-level", "trace"].iter().chain(arguments).copied().collect();
        Self::start_as_users_do(binary, plane, name, kubeconfig, &arguments).await
    }

    /// The same at the default log level, for whoever measures what it takes.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub async fn start_as_users_do(
        binary: &str,
        plane: &ControlPlane,
        name: &str,
        kubeconfig: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        tls_provider();
        let log = plane.folder().join(format!("{name}.log"));
        let known = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let started = Instant::now();
        let mut wrapper = Command::new("sh")
            .args(["-c", WRAPPER, "operator"])
            .arg(&log)
            .args([binary, "run", "--admin-address", "127.0.0.1:0", "--log-format", "json"])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Some shells say so when a child is killed.
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let output = wrapper.stdout.take().ok_or("the shell has no output")?;
        let (send, lines) = channel();
        // Ends with the shell.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let mut operator = Self { wrapper, lines: Mutex::new(lines), pid: 0, log, admin: String::new(), started, http };
        operator.pid = operator.line().await?.parse()?;
        operator.admin = wait_for("the operator to say where its admin address is", START, async || {
            operator.admin_address(known).ok_or_else(|| operator.tail())
        })
        .await?;
        Ok(operator)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The moment before it was started; the shell that stands between takes a millisecond or two of what follows.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Everything that it has written so far, one JSON object a line.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Asks its admin address: the status code and the body.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn admin(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.http.get(self.admin_url(path)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// A URL of its admin address.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// It does not within the limit; the error holds the last answer.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        wait_for("the operator to be ready", limit, async || match self.admin("/readyz").await {
            Ok((200, _)) => Ok(()),
            Ok((code, words)) => Err(format!("{code}: {words}")),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// The most memory that it ever held (`VmHWM`), in MiB.
    ///
    /// # Errors
    /// It does not run.
    pub fn peak_mib(&self) -> Result<u64> {
        Ok(usage::peak_kib(self.pid)? / 1024)
    }

    /// SIGTERM; gives the exit code.
    ///
    /// # Errors
    /// It does not end within 15 s.
    pub async fn terminate(mut self) -> Result<i32> {
        self.signal("TERM").await
    }

    /// SIGKILL, as a crash would.
    ///
    /// # Errors
    /// It does not end.
    pub async fn kill(mut self) -> Result<()> {
        self.signal("KILL").await.map(drop)
    }

    async fn signal(&mut self, name: &str) -> Result<i32> {
        self.send(name).await?;
        self.ended().await
    }

    /// A signal, for example STOP or CONT, and no waiting for anything.
    ///
    /// # Errors
    /// It does not run any more.
    pub async fn send(&self, name: &str) -> Result<()> {
        let (name, pid) = (format!("-{name}"), self.pid.to_string());
        if !tokio::process::Command::new("kill").args([&name, &pid]).status().await?.success() {
            return Err(format!("the operator had ended before it got {name}: {}", self.tail()).into());
        }
        Ok(())
    }

    /// Waits for its end, after a signal to end; gives the exit code.
    ///
    /// # Errors
    /// It does not end within 15 s.
    pub async fn ended(&mut self) -> Result<i32> {
        let code = self.line().await?;
        Ok(code.parse()?)
    }

    /// The next line of the shell.
    async fn line(&self) -> Result<String> {
        wait_for("the operator to start or to end", END, async || self.lines.lock().ok()?.try_recv().ok()).await
    }

    fn admin_address(&self, from: u64) -> Option<String> {
        let log = self.log();
        log.get(usize::try_from(from).ok()?..)?.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("admin_address")?.as_str().map(str::to_owned)
        })
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // The closed pipe has the shell kill the operator; it ends at once.
        drop(self.wrapper.stdin.take());
        for _ in 0..200 {
            if !matches!(self.wrapper.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
