//! A real Kubernetes control plane for tests and the demo: etcd, kube-apiserver and, if asked for, kube-controller-manager.
//!
//! Loopback only, a folder of its own, certificates of its own, about 3 s to start. Nothing is left over when this program
//! ends, however it ends: see `controlplane/supervisor.sh`.

mod cluster;
mod flags;
mod kubectl;
mod observed;
mod supervisor;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config};
use rcgen::KeyPair;
use tokio::sync::OnceCell;

pub use cluster::{install_crds, loosen_crds, namespace};
pub use flags::emulated;
pub use kubectl::Ran;
pub use observed::{Audited, Kind, Requests};

use super::pki::Authority;
use super::{Error, Result, tls_provider, wait_for};
use supervisor::Supervisor;

/// How long a process may take until it answers; on an idle machine it is 3 s, in a full test run on two cores far more.
const START: Duration = Duration::from_secs(90);
/// How many free ports are tried, each lost to somebody else in the moment between finding and using it.
const PORTS: usize = 5;

/// A user besides the administrator, for tests of RBAC. Without further bindings it may do nothing but discovery.
#[derive(Debug, Clone)]
pub struct User {
    /// The name in role bindings and in the audit log.
    pub name: String,
    /// The bearer token, for [`ControlPlane::config_for`].
    pub token: String,
    /// The groups besides `system:authenticated`.
    pub groups: Vec<String>,
}

/// How a control plane is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    controller_manager: bool,
    no_audit: bool,
    apiserver_flags: Vec<String>,
    users: Vec<User>,
}

impl Options {
    /// With kube-controller-manager: garbage collection, namespace deletion, service accounts, role aggregation.
    #[must_use]
    pub fn controller_manager(mut self) -> Self {
        self.controller_manager = true;
        self
    }

    /// Without the audit log, which costs the API server time: for whoever measures.
    #[must_use]
    pub fn without_audit(mut self) -> Self {
        self.no_audit = true;
        self
    }

    /// One more flag for kube-apiserver, for example `--emulated-version=kube=1.34`.
    #[must_use]
    pub fn apiserver_flag(mut self, flag: &str) -> Self {
        self.apiserver_flags.push(flag.to_owned());
        self
    }

    /// One more user with this token.
    #[must_use]
    pub fn user(mut self, name: &str, token: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(ToString::to_string).collect();
        self.users.push(User { name: name.to_owned(), token: token.to_owned(), groups });
        self
    }
}

/// A running control plane. Dropping it stops it (well below a second, blocking) and removes its folder.
pub struct ControlPlane {
    supervisor: Arc<Mutex<Supervisor>>,
    assets: PathBuf,
    folder: PathBuf,
    supervisor_pid: u32,
    authority: Vec<u8>,
    port: u16,
    apiserver: Vec<String>,
}

/// The one control plane of this test binary, with default options. It ends with the process.
pub async fn shared() -> Result<&'static ControlPlane> {
    static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
    SHARED.get_or_try_init(|| ControlPlane::start(Options::default())).await
}

impl ControlPlane {
    /// Starts one and waits until it is ready. The error says what is missing, or holds the end of the log of what failed.
    pub async fn start(options: Options) -> Result<Self> {
        tls_provider();
        let assets = flags::assets()?;
        let supervisor = tokio::task::spawn_blocking(Supervisor::start).await??;
        let folder = supervisor.folder().to_owned();
        let supervisor_pid = supervisor.pid();
        let authority = write_certificates(&folder)?;
        flags::write_files(&folder, &options.users)?;
        let supervisor = Arc::new(Mutex::new(supervisor));
        let mut plane = Self { supervisor, assets, folder, supervisor_pid, authority, port: 0, apiserver: Vec::new() };
        plane.run("etcd", &flags::etcd(&plane.assets, &plane.folder)).await?;
        plane.ready("etcd", async || plane.folder.join("etcd.sock").exists().then_some(()).ok_or("no socket")).await?;
        plane.find_a_port(&options).await?;
        if options.controller_manager {
            let command = flags::controller_manager(&plane.assets, &plane.folder)?;
            plane.run("kube-controller-manager", &command).await?;
            let client = plane.client()?;
            let accounts = Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(client, "default");
            plane.ready("kube-controller-manager", async || accounts.get("default").await).await?;
        }
        Ok(plane)
    }

    async fn find_a_port(&mut self, options: &Options) -> Result<()> {
        let mut last = None;
        for _ in 0..PORTS {
            // Free now; when somebody takes it first the API server ends, and the next one is tried.
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let kubeconfig = flags::kubeconfig(self.port, &self.folder.join("ca.crt"), flags::ADMIN_TOKEN);
            std::fs::write(self.kubeconfig(), kubeconfig)?;
            self.apiserver = flags::apiserver(&self.assets, &self.folder, self.port, options);
            match self.start_apiserver().await {
                Ok(()) => return Ok(()),
                Err(error) if error.to_string().contains("address already in use") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| "no port was tried".into()))
    }

    /// A client of the administrator, bound to the runtime that it is made in: make one in each test.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config()?)?)
    }

    /// The same with a User-Agent, by which [`audit`](Self::audit) tells clients apart.
    pub fn client_named(&self, user_agent: &str) -> Result<Client> {
        let mut config = self.config()?;
        config.headers.push((USER_AGENT, HeaderValue::from_str(user_agent)?));
        Ok(Client::try_from(config)?)
    }

    /// The administrator's configuration. kube's own retries are off: a test wants to see each answer.
    pub fn config(&self) -> Result<Config> {
        self.config_for(flags::ADMIN_TOKEN)
    }

    /// The configuration of the user with this token.
    pub fn config_for(&self, token: &str) -> Result<Config> {
        let mut config = Config::new(self.url().parse()?);
        config.root_cert = Some(vec![self.authority.clone()]);
        config.auth_info.token = Some(token.to_owned().into());
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        Ok(config)
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Writes a kubeconfig for the user with this token and gives its path.
    pub fn kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("kubeconfig-{name}"));
        std::fs::write(&file, flags::kubeconfig(self.port, &self.folder.join("ca.crt"), token))?;
        Ok(file)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The folder of this control plane: logs are `NAME.log`, process ids `NAME.pid`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the binaries.
    pub fn assets(&self) -> &Path {
        &self.assets
    }

    /// The process id of the script that cleans up.
    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor_pid
    }

    /// Starts the API server again, on the same port, and waits until it is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        self.run("kube-apiserver", &self.apiserver).await?;
        let client = self.client()?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        self.ready("kube-apiserver", async || {
            client.request_text(get("/readyz")?).await?;
            Ok::<_, Error>(namespaces.get("default").await?)
        })
        .await
    }

    /// Stops the API server in good order: watches end, the port refuses.
    pub async fn stop_apiserver(&self) -> Result<()> {
        self.stop("kube-apiserver").await
    }

    /// Kills the API server, as a crash would.
    pub async fn kill_apiserver(&self) -> Result<()> {
        self.supervised(|supervisor| supervisor.kill("kube-apiserver")).await
    }

    /// Runs any other program (its path, then arguments) beside the control plane, for example the operator: it is stopped
    /// before the API server, also when this process is killed. Its output is in `NAME.log` in [`folder`](Self::folder).
    pub async fn run(&self, name: &str, command: &[String]) -> Result<u32> {
        let (name, command) = (name.to_owned(), command.to_vec());
        self.supervised(move |supervisor| supervisor.run(&name, &command)).await
    }

    /// Stops a program by TERM, after 5 s by KILL, and waits for its end.
    pub async fn stop(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.supervised(move |supervisor| supervisor.stop(&name)).await
    }

    /// Whether a program runs.
    pub async fn alive(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.supervised(move |supervisor| supervisor.alive(&name)).await
    }

    /// What a program has written so far.
    pub fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every request from outside so far, from the audit log.
    pub fn audit(&self) -> Result<Vec<Audited>> {
        observed::audit(&self.folder.join("audit.log"))
    }

    /// The API server's own counters. They start anew with it.
    pub async fn requests(&self) -> Result<Requests> {
        let text = self.client()?.request_text(get("/metrics")?).await?;
        Ok(Requests::parse(&text))
    }

    /// Waits for one process, and stops waiting when it has ended.
    async fn ready<T, E: std::fmt::Display>(
        &self,
        name: &str,
        look: impl AsyncFn() -> std::result::Result<T, E>,
    ) -> Result<()> {
        let waited = wait_for(&format!("{name} to be ready"), START, async || {
            // A process that has ended is "found": there is nothing more to wait for.
            match look().await {
                Err(error) if self.alive(name).await.unwrap_or(false) => Err(error.to_string()),
                Err(_) => Ok(true),
                Ok(_) => Ok(false),
            }
        })
        .await;
        let problem = match waited {
            Ok(false) => return Ok(()),
            Ok(true) => format!("{name} has ended"),
            Err(error) => error.to_string(),
        };
        let log = self.log(name);
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        Err(format!("{problem}; the end of its log:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")).into())
    }

    async fn supervised<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Supervisor) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let supervisor = Arc::clone(&self.supervisor);
        tokio::task::spawn_blocking(move || work(&mut supervisor.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }
}

/// A GET, as kube's client takes it.
fn get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

/// The authority, the serving certificate and the keys of service accounts. Gives the authority's certificate.
fn write_certificates(folder: &Path) -> Result<Vec<u8>> {
    let authority = Authority::new("control plane of a test")?;
    let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.0.0.1"];
    let server = authority.issue(&names)?;
    let accounts = KeyPair::generate()?;
    for (name, content) in [
        ("ca.crt", authority.pem()),
        ("server.crt", server.certificate_pem),
        ("server.key", server.key_pem),
        ("service-accounts.key", accounts.serialize_pem()),
        ("service-accounts.pub", accounts.public_key_pem()),
    ] {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(authority.der())
}
