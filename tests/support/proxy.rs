//! A proxy between the operator and the API server that lets requests through, or does what an API server does when things
//! go wrong: answers anything, is slow, breaks off before or after it has done what it was asked.
//!
//! TLS on both sides, with an authority of its own. What it does follows from rules alone, in their order, and never from
//! chance: a test says what happens to which request, and how often. It ends when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::controlplane::ControlPlane;
use super::pki::Authority;
use super::{Error, Result};

/// What is done with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// It is let through.
    Pass,
    /// It is answered by the proxy; the API server never sees it.
    Answer(Answer),
    /// The connection ends without an answer; the API server never sees the request.
    CutBefore,
    /// The API server does what it is asked; then the connection ends without an answer. Not for watches: they have no end.
    CutAfter,
    /// It is let through after this time.
    Delay(Duration),
}

/// An answer of the proxy.
#[derive(Debug, Clone)]
pub struct Answer {
    code: u16,
    retry_after: Option<u32>,
    body: String,
}

impl Answer {
    /// The `Status` of an API server with this code, and `Retry-After` in seconds if any.
    pub fn status(code: u16, retry_after: Option<u32>) -> Self {
        Self { code, retry_after, body: status(code).to_string() }
    }

    /// A watch that begins well and then says that it is too old (410), and ends.
    pub fn expired_watch() -> Self {
        let body = json!({"type": "ERROR", "object": status(410)}).to_string() + "\n";
        Self { code: 200, retry_after: None, body }
    }
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as planned", "code": code})
}

/// A request as rules see it, and when it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When its head was read.
    pub at: Instant,
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, or nothing.
    pub query: String,
}

impl Asked {
    /// Whether it begins or resumes a watch.
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true") || self.query.contains("watch=1")
    }

    /// Whether it lists or watches this plural in all namespaces or in the cluster.
    pub fn is_of_all(&self, plural: &str) -> bool {
        self.method == Method::GET && self.path.ends_with(&format!("/{plural}")) && !self.path.contains("/namespaces/")
    }

    /// Whether it writes the status of an object of this plural.
    pub fn writes_status_of(&self, plural: &str) -> bool {
        self.method == Method::PATCH && self.path.contains(&format!("/{plural}/")) && self.path.ends_with("/status")
    }
}

type Predicate = Box<dyn Fn(&Asked) -> bool + Send + Sync>;

struct Rule {
    number: u64,
    matches: Predicate,
    action: Action,
    left: usize,
    used: usize,
}

/// A rule that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    rules_so_far: u64,
    asked: Vec<Asked>,
    /// Cancelled when the connections of today have to go.
    connections: CancellationToken,
}

struct Shared {
    state: Mutex<State>,
    client: reqwest::Client,
    upstream: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    folder: PathBuf,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one before this control plane, on a free port. It lets everything through.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let authority = Authority::new("proxy of a test")?;
        let identity = authority.issue(&["127.0.0.1"])?;
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![identity.certificate.clone()], identity.key())?;
        let roots = plane.config()?.root_cert.ok_or("the control plane has no authority")?;
        let roots = roots.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<reqwest::Result<Vec<_>>>()?;
        // HTTP/1.1, as the operator's own client speaks it: a connection for each request in flight.
        let client = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only(roots).build()?;
        let shared = Arc::new(Shared { state: Mutex::default(), client, upstream: plane.url() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let folder = plane.folder().to_owned();
        std::fs::write(folder.join("proxy-ca.crt"), authority.pem())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Self { shared, address, folder, accepting })
    }

    /// Writes a kubeconfig that leads through the proxy, with this token, and gives its path.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        self.write_kubeconfig("kubeconfig-proxy", &json!({"token": token}))
    }

    /// The same with a file that the token is read from.
    pub fn kubeconfig_with_token_file(&self, file: &Path) -> Result<PathBuf> {
        self.write_kubeconfig("kubeconfig-proxy-file", &json!({"tokenFile": file}))
    }

    fn write_kubeconfig(&self, name: &str, user: &Value) -> Result<PathBuf> {
        let cluster = json!({
            "server": format!("https://{}", self.address),
            "certificate-authority": self.folder.join("proxy-ca.crt"),
        });
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "user"}}],
            "current-context": "proxy",
        });
        let path = self.folder.join(name);
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// From now on this is done with requests that match, until [`lift`](Self::lift). The first rule that matches counts.
    pub fn rule(&self, action: Action, matches: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> RuleId {
        self.rule_times(usize::MAX, action, matches)
    }

    /// The same for so many requests; later ones go on to the next rule.
    pub fn rule_times(
        &self,
        times: usize,
        action: Action,
        matches: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) -> RuleId {
        let mut state = self.shared.state();
        state.rules_so_far += 1;
        let number = state.rules_so_far;
        state.rules.push(Rule { number, matches: Box::new(matches), action, left: times, used: 0 });
        RuleId(number)
    }

    /// How many requests a rule has met; 0 once it is lifted.
    pub fn used(&self, rule: RuleId) -> usize {
        self.shared.state().rules.iter().find(|known| known.number == rule.0).map_or(0, |known| known.used)
    }

    /// Takes a rule away; gives how many requests it has met.
    pub fn lift(&self, rule: RuleId) -> usize {
        let used = self.used(rule);
        self.shared.state().rules.retain(|known| known.number != rule.0);
        used
    }

    /// Ends every open connection, and so every watch.
    pub fn cut_connections(&self) {
        std::mem::take(&mut self.shared.state().connections).cancel();
    }

    /// Every request so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_connections();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        let end = shared.state().connections.clone();
        tokio::spawn(async move {
            // How a connection ends is the client's to judge.
            let _ = end.run_until_cancelled(connection(stream, acceptor, shared)).await;
        });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = TokioIo::new(acceptor.accept(stream).await?);
    // An error of the service ends the connection without an answer.
    let service = service_fn(|request| handle(request, Arc::clone(&shared)));
    hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await?;
    Ok(())
}

type Body = UnsyncBoxBody<Bytes, Error>;

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>> {
    match plan(&shared, request.method(), request.uri()) {
        Action::Pass => pass(request, &shared).await,
        Action::Answer(answer) => answered(answer),
        Action::CutBefore => Err("cut before".into()),
        Action::CutAfter => {
            pass(request, &shared).await?.into_body().collect().await?;
            Err("cut after".into())
        }
        Action::Delay(delay) => {
            tokio::time::sleep(delay).await;
            pass(request, &shared).await
        }
    }
}

/// Logs a request and says what to do with it.
fn plan(shared: &Shared, method: &Method, uri: &Uri) -> Action {
    let asked = Asked {
        at: Instant::now(),
        method: method.clone(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
    };
    let mut state = shared.state();
    let rule = state.rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(&asked));
    let action = rule.map_or(Action::Pass, |rule| {
        rule.left -= 1;
        rule.used += 1;
        rule.action.clone()
    });
    state.asked.push(asked);
    action
}

/// Asks the API server; its answer is handed on as it comes.
async fn pass(request: Request<Incoming>, shared: &Shared) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers;
    headers.remove(http::header::HOST);
    let request = shared.client.request(head.method, format!("{}{path}", shared.upstream)).headers(headers);
    let answer = request.body(body.collect().await?.to_bytes()).send().await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
        // This side has a framing of its own.
        headers.remove(http::header::TRANSFER_ENCODING);
        headers.remove(http::header::CONNECTION);
    }
    let frames = answer.bytes_stream().map_ok(Frame::data).map_err(Error::from);
    Ok(response.body(StreamBody::new(frames).boxed_unsync())?)
}

fn answered(answer: Answer) -> Result<Response<Body>> {
    let mut response = Response::builder().status(StatusCode::from_u16(answer.code)?);
    response = response.header(http::header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = answer.retry_after {
        response = response.header(http::header::RETRY_AFTER, seconds);
    }
    Ok(response.body(Full::new(Bytes::from(answer.body)).map_err(|never| match never {}).boxed_unsync())?)
}
