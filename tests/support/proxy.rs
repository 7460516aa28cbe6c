//! A proxy between the operator and the API server that lets requests through, or does what an API server does when things
//! go wrong: answers anything, is slow, breaks off before or after it has done what it was asked.
//!
//! TLS on both sides, with an authority of its own. What it does follows from rules alone, in their order, and never from
//! chance: a test says what happens to which request or event of a watch, and how often. It ends when it is dropped.

mod forward;
mod journal;
mod rules;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
pub use rules::{Action, Answer, Asked, RuleId, When};
pub use stream::EventAction;

use super::Result;
use super::controlplane::ControlPlane;
use super::pki::Authority;
use forward::handle;
use rules::{Predicate, Rule, apply};

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
