//! Small servers that do exactly what a test tells them, byte by byte, and count what they see.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use partner_integration_operator::api::PartnerSpec;
use partner_integration_operator::check::{CompiledCheck, Credential, Guard, Lookup, LookupFault, Prober, Resolver};
use partner_integration_operator::core::{Failure, PartnerFault, Reason, Verdict};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The name that the test's DNS answers with loopback.
pub const NAME: &str = "partner.example";
/// The key that tests send, easy to search for.
pub const KEY: &str = "k3y-canary-7f3a";

/// A certificate authority of one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A server certificate for `names`, changed by `change`.
    pub fn config_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        self.config_of(names, change, &[&rustls::version::TLS12, &rustls::version::TLS13])
    }

    pub fn config_of(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap()
    }

    pub fn config(&self) -> ServerConfig {
        self.config_with(&[NAME, "localhost", "127.0.0.1"], |_| {})
    }
}

/// A TCP server on loopback that runs `serve` for each connection, and stops when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Raw TCP.
    pub async fn tcp<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream));
                while serving.try_join_next().is_some() {}
            }
        });
        Self { address, connections, task: task.abort_handle() }
    }

    /// TLS; `serve` gets the connection after the handshake.
    pub async fn tls<F, R>(config: ServerConfig, serve: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serve = Arc::new(serve);
        Self::tcp(move |stream| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => serve(stream).await,
                    // What the client has sent is read, or a reset would follow our alert and might be seen in its place.
                    Err((_, mut tcp)) => {
                        let _ = tcp.shutdown().await;
                        while tcp.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
                    }
                }
            }
        })
        .await
    }

    /// TCP connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// `https://name:port`
    pub fn endpoint(&self) -> String {
        format!("https://{NAME}:{}", self.address.port())
    }
}

/// What a server has read, for as many requests as there were.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn push(&self, request: String) {
        self.0.lock().unwrap().push(request);
    }
}

/// Reads one HTTP/1 request, head and body; `None` at the end of the connection.
pub async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                .find_map(|length| length.parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A server of HTTP/1 that writes `answer` to each request, keeps the connection, and notes what it saw.
pub async fn answering(config: ServerConfig, answer: impl Into<Vec<u8>>) -> (Server, Seen) {
    let (seen, answer) = (Seen::default(), Arc::new(answer.into()));
    let noted = seen.clone();
    let server = Server::tls(config, move |mut stream| {
        let (noted, answer) = (noted.clone(), answer.clone());
        async move {
            while let Some(request) = read_request(&mut stream).await {
                noted.push(request);
                if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (server, seen)
}

/// An answer with a length.
pub fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// DNS in which every name is at these addresses, or fails.
#[derive(Clone)]
pub struct Dns(pub Result<Vec<IpAddr>, LookupFault>);

impl Lookup for Dns {
    fn lookup(&self, _: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupFault>> {
        let answer = self.0.clone();
        Box::pin(async move { answer })
    }
}

/// A prober that may dial loopback, where every name is.
pub fn prober() -> Prober {
    Prober::new(
        Guard::new(vec!["127.0.0.0/8".parse().unwrap()]),
        Resolver::custom(Dns(Ok(vec![Ipv4Addr::LOCALHOST.into()]))),
    )
}

/// A catalogue entry that trusts `authority`; `check` is laid over the usual check.
#[allow(clippy::needless_pass_by_value, reason = "callers write `json!` in place")]
pub fn spec(authority: &Authority, check: serde_json::Value) -> PartnerSpec {
    let mut whole = json!({"path": "/v1/validate", "timeout": "5s"});
    whole.as_object_mut().unwrap().extend(check.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "displayName": "Loyalty",
        "regions": [{"name": "eu1", "endpoint": "https://api.example"}],
        "authentication": {"headers": [{"name": "X-Key"}]},
        "check": whole,
        "trustBundle": authority.pem,
    }))
    .unwrap()
}

pub fn compiled(authority: &Authority, check: serde_json::Value) -> CompiledCheck {
    parsed(authority, check).unwrap()
}

pub fn parsed(authority: &Authority, check: serde_json::Value) -> Result<CompiledCheck, PartnerFault> {
    CompiledCheck::parse(&spec(authority, check))
}

pub fn credential(key: &str) -> Credential {
    let authentication = serde_json::from_value(json!({"headers": [{"name": "X-Key"}]})).unwrap();
    let data = BTreeMap::from([("api-key".to_owned(), ByteString(key.as_bytes().to_vec()))]);
    Credential::read(&authentication, "api-key", &data).unwrap_or_else(|fault| panic!("{fault}"))
}

/// One check with the usual key, in at most twenty seconds.
pub async fn prove(prober: &Prober, check: &CompiledCheck, endpoint: &str) -> Verdict {
    tokio::time::timeout(Duration::from_secs(20), prober.prove(check, endpoint, credential(KEY))).await.unwrap()
}

/// The reason and code of a verdict, in short.
pub fn short(verdict: &Verdict) -> (Reason, Option<u16>) {
    match verdict {
        Verdict::Connected => (Reason::Connected, None),
        Verdict::Failed(Failure { reason, code, .. }) => (*reason, *code),
        Verdict::NotMade(reason) => panic!("{reason}"),
    }
}
