//! A proxy between the operator and the API server that lets requests through, or does what an API server does when things
//! go wrong: answers anything, is slow, breaks off before or after it has done what it was asked.
//!
//! TLS on both sides, with an authority of its own. What it does follows from rules alone, in their order, and never from
//! chance: a test says what happens to which request or event of a watch, and how often. It ends when it is dropped.

mod journal;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use journal::{Exchange, Journal, Shown};
pub use stream::EventAction;

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
    /// The API server does what it is asked; the client is told something else. Not for watches.
    AnswerAfter(Answer),
    /// It is let through after this time.
    Delay(Duration),
    /// A read is answered as it was before what it asks for changed last. Let through, and not counted, where nothing has.
    Rewind,
    /// Whoever takes [`Proxy::crashes`] is told to end the client; the request goes as far as this. Not for watches.
    Crash(When),
}

/// When the client of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the API server sees it.
    Before,
    /// When the API server has done what it was asked, before the client is told.
    Committed,
    /// Soon after the client has been told.
    Answered,
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
    /// When it was read.
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

type Predicate<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// What is done with requests, or with events, that match.
struct Rule<T, A> {
    number: u64,
    matches: Predicate<T>,
    action: A,
    /// So many go by first.
    skips: usize,
    left: usize,
    used: usize,
}

/// Which action applies, and of which rule.
fn apply<T, A: Clone>(rules: &mut [Rule<T, A>], to: &T) -> Option<(u64, A)> {
    let mut applied = None;
    for rule in rules.iter_mut().filter(|rule| rule.left > 0 && (rule.matches)(to)) {
        if rule.skips > 0 {
            rule.skips -= 1;
        } else if applied.is_none() {
            rule.left -= 1;
            rule.used += 1;
            applied = Some((rule.number, rule.action.clone()));
        }
    }
    applied
}

/// A rule that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

#[derive(Default)]
struct State {
    rules: Vec<Rule<Asked, Action>>,
    event_rules: Vec<Rule<Shown, EventAction>>,
    rules_so_far: u64,
    asked: Vec<Asked>,
    /// What has passed, where somebody wants to know.
    journal: Option<Journal>,
    crashes: Option<UnboundedSender<()>>,
    /// The one object of these plural names that the client gets to see in lists and watches.
    only: Option<(String, String)>,
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

    fn note<T>(&self, note: impl FnOnce(&mut Journal) -> T) -> Option<T> {
        self.state().journal.as_mut().map(note)
    }

    fn event(&self, shown: &Shown) -> EventAction {
        apply(&mut self.state().event_rules, shown).map_or(EventAction::Pass, |(_, action)| action)
    }

    fn shown(&self, shown: Shown) {
        self.note(|journal| journal.shown(shown));
    }

    fn crash(&self) {
        if let Some(crashes) = &self.state().crashes {
            // Nobody listens any more: then nobody ends anything.
            let _ = crashes.send(());
        }
    }

    /// The action of this rule did not apply after all.
    fn unused(&self, rule: u64) {
        if let Some(rule) = self.state().rules.iter_mut().find(|known| known.number == rule) {
            rule.used -= 1;
        }
    }
}

/// A running proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    folder: PathBuf,
    name: String,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one before this control plane, on a free port. It lets everything through.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        Self::start_named(plane, "proxy").await
    }

    /// The same for one of several: its files have this name in them.
    pub async fn start_named(plane: &ControlPlane, name: &str) -> Result<Self> {
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
        std::fs::write(folder.join(format!("{name}-ca.crt")), authority.pem())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Self { shared, address, folder, name: name.to_owned(), accepting })
    }

    /// From now on everything that passes is kept.
    pub fn keep_journal(&self) {
        self.shared.state().journal = Some(Journal::default());
    }

    /// Looks at what has been kept.
    ///
    /// # Panics
    /// Nothing is kept.
    pub fn journal<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(self.shared.state().journal.as_ref().expect("keep_journal was not called"))
    }

    /// Where it is told that the client is to be ended, see [`Action::Crash`].
    pub fn crashes(&self) -> UnboundedReceiver<()> {
        let (send, receive) = mpsc::unbounded_channel();
        self.shared.state().crashes = Some(send);
        receive
    }

    /// From now on lists and watches of this plural show one object alone, if it is there.
    pub fn show_only(&self, plural: &str, name: &str) {
        self.shared.state().only = Some((plural.to_owned(), name.to_owned()));
    }

    /// Writes a kubeconfig that leads through the proxy, with this token, and gives its path.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        self.write_kubeconfig(&format!("kubeconfig-{}", self.name), &json!({"token": token}))
    }

    /// The same with a file that the token is read from.
    pub fn kubeconfig_with_token_file(&self, file: &Path) -> Result<PathBuf> {
        self.write_kubeconfig(&format!("kubeconfig-{}-file", self.name), &json!({"tokenFile": file}))
    }

    fn write_kubeconfig(&self, name: &str, user: &Value) -> Result<PathBuf> {
        let cluster = json!({
            "server": format!("https://{}", self.address),
            "certificate-authority": self.folder.join(format!("{}-ca.crt", self.name)),
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
        self.add_rule(0, times, action, Box::new(matches))
    }

    /// The same for the nth request from now on, counted from 1, and no other.
    pub fn rule_nth(
        &self,
        nth: usize,
        action: Action,
        matches: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) -> RuleId {
        self.add_rule(nth.saturating_sub(1), 1, action, Box::new(matches))
    }

    fn add_rule(&self, skips: usize, left: usize, action: Action, matches: Predicate<Asked>) -> RuleId {
        let mut state = self.shared.state();
        state.rules_so_far += 1;
        let number = state.rules_so_far;
        state.rules.push(Rule { number, matches, action, skips, left, used: 0 });
        RuleId(number)
    }

    /// This is done with the nth event of a watch from now on, counted from 1, that matches.
    pub fn event_rule_nth(
        &self,
        nth: usize,
        action: EventAction,
        matches: impl Fn(&Shown) -> bool + Send + Sync + 'static,
    ) -> RuleId {
        let mut state = self.shared.state();
        state.rules_so_far += 1;
        let (number, skips, matches) = (state.rules_so_far, nth.saturating_sub(1), Box::new(matches));
        state.event_rules.push(Rule { number, matches, action, skips, left: 1, used: 0 });
        RuleId(number)
    }

    /// How many requests or events a rule has met; 0 once it is lifted.
    pub fn used(&self, rule: RuleId) -> usize {
        let state = self.shared.state();
        let requests = state.rules.iter().map(|known| (known.number, known.used));
        let events = state.event_rules.iter().map(|known| (known.number, known.used));
        requests.chain(events).find(|known| known.0 == rule.0).map_or(0, |known| known.1)
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
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (number, rule, action) = plan(&shared, &head.method, &head.uri, &body);
    let watch = asked(&head.method, &head.uri).is_watch();
    let request = Passing { head, body, number };
    if watch {
        return match action {
            Action::Answer(answer) => answered(answer),
            Action::CutBefore => Err("cut before".into()),
            Action::Delay(delay) => {
                tokio::time::sleep(delay).await;
                pass_watch(request, shared).await
            }
            _ => pass_watch(request, shared).await,
        };
    }
    match action {
        Action::Pass => pass(request, &shared).await?.response(),
        Action::Answer(answer) => answered(answer),
        Action::CutBefore => Err("cut before".into()),
        Action::CutAfter => {
            pass(request, &shared).await?;
            Err("cut after".into())
        }
        Action::AnswerAfter(answer) => {
            pass(request, &shared).await?;
            answered(answer)
        }
        Action::Delay(delay) => {
            tokio::time::sleep(delay).await;
            pass(request, &shared).await?.response()
        }
        Action::Rewind => {
            let mut passed = pass(request, &shared).await?;
            match passed.older.take() {
                Some(older) => passed.body = older,
                None => shared.unused(rule),
            }
            passed.response()
        }
        Action::Crash(when) => crash(when, request, shared).await,
    }
}

async fn crash(when: When, request: Passing, shared: Arc<Shared>) -> Result<Response<Body>> {
    match when {
        When::Before => shared.crash(),
        When::Committed => {
            pass(request, &shared).await?;
            shared.crash();
        }
        When::Answered => {
            let response = pass(request, &shared).await?.response()?;
            // Dropped with the body, when it has been handed on; what is in the socket's buffer arrives all the same.
            let bell = Bell(shared);
            return Ok(response.map(|body| {
                body.map_frame(move |frame| {
                    let _held = &bell;
                    frame
                })
                .boxed_unsync()
            }));
        }
    }
    // The client ends meanwhile, and this with it.
    std::future::pending().await
}

/// Tells that the client is to be ended.
struct Bell(Arc<Shared>);

impl Drop for Bell {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            shared.crash();
        });
    }
}

/// A request on its way.
struct Passing {
    head: http::request::Parts,
    body: Bytes,
    number: Option<usize>,
}

/// What the API server has answered, whole.
struct Passed {
    code: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
    /// What it answered before to the same question.
    older: Option<Bytes>,
}

impl Passed {
    fn response(self) -> Result<Response<Body>> {
        let mut response = Response::builder().status(self.code);
        if let Some(headers) = response.headers_mut() {
            *headers = for_the_client(&self.headers);
        }
        Ok(response.body(Full::new(self.body).map_err(|never| match never {}).boxed_unsync())?)
    }
}

/// This side has a framing of its own.
fn for_the_client(headers: &http::HeaderMap) -> http::HeaderMap {
    let mut headers = headers.clone();
    for name in [http::header::TRANSFER_ENCODING, http::header::CONNECTION, http::header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}

fn asked(method: &Method, uri: &Uri) -> Asked {
    Asked {
        at: Instant::now(),
        method: method.clone(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
    }
}

/// Logs a request and says what to do with it, by which rule.
fn plan(shared: &Shared, method: &Method, uri: &Uri, body: &[u8]) -> (Option<usize>, u64, Action) {
    let asked = asked(method, uri);
    let mut state = shared.state();
    let (rule, action) = apply(&mut state.rules, &asked).unwrap_or((0, Action::Pass));
    let number = state.journal.as_mut().map(|journal| journal.begin(asked.clone(), body));
    state.asked.push(asked);
    (number, rule, action)
}

/// Asks the API server, to the end, whoever goes away meanwhile: what it does is to be known.
async fn pass(request: Passing, shared: &Arc<Shared>) -> Result<Passed> {
    let shared = Arc::clone(shared);
    let passing = async move {
        let (number, question) = (request.number, question(&request.head));
        let answer = ask(request, &shared).await?;
        let (code, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await?;
        let older = number.and_then(|number| {
            shared.note(|journal| {
                journal.answered(number, code.as_u16(), &body);
                question.filter(|_| code.is_success()).and_then(|question| journal.older(number, question, &body))
            })?
        });
        Ok(Passed { code, headers, body, older })
    };
    tokio::spawn(passing).await?
}

/// By what two reads ask the same.
fn question(head: &http::request::Parts) -> Option<String> {
    let accept = head.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    (head.method == Method::GET).then(|| format!("{} {accept}", head.uri.path()))
}

async fn ask(request: Passing, shared: &Shared) -> Result<reqwest::Response> {
    let Passing { head, body, number } = request;
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut url = format!("{}{path}", shared.upstream);
    if head.method == Method::GET
        && let Some((plural, name)) = &shared.state().only
        && head.uri.path().ends_with(&format!("/{plural}"))
    {
        url += if head.uri.query().is_some() { "&" } else { "?" };
        url += &format!("fieldSelector=metadata.name%3D{name}");
    }
    let mut headers = head.headers;
    headers.remove(http::header::HOST);
    if let Some(number) = number {
        shared.note(|journal| journal.sent(number));
    }
    Ok(shared.client.request(head.method, url).headers(headers).body(body).send().await?)
}

/// Begins a watch; its events are handed on as they come.
async fn pass_watch(request: Passing, shared: Arc<Shared>) -> Result<Response<Body>> {
    let plural = request.head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let number = request.number;
    let answer = ask(request, &shared).await?;
    if let Some(number) = number {
        shared.note(|journal| journal.answered(number, answer.status().as_u16(), b""));
    }
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = for_the_client(answer.headers());
    }
    let (client, frames) = mpsc::channel(16);
    tokio::spawn(stream::relay(answer, shared, plural, client));
    let frames = futures::stream::unfold(frames, |mut frames| async move { Some((frames.recv().await?, frames)) });
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
