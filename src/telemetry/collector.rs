//! The HTTP client that spans leave with.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::export::ExportFault;
use crate::check::Resolver;

/// One request, whatever hangs.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most of an answer that is read: how many spans were refused, and why.
const MAX_ANSWER: usize = 64 * 1024;

/// Posts spans. It works on the runtime's thread, whoever asks: the SDK asks from a thread of its own.
pub(super) struct Collector {
    http: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    /// A client that trusts Mozilla's roots, follows no redirect and asks no proxy, as those for partners. Its addresses
    /// are not guarded: a collector is usually in the cluster, and its address comes from whoever runs the operator.
    pub(super) fn new(runtime: Handle) -> Result<Self, ExportFault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| ExportFault::Client)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // The system's own lookup holds a thread for as long as a name server is silent, also at the end.
            .dns_resolver(Arc::new(Names(Resolver::system())))
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| ExportFault::Client)?;
        Ok(Self { http, runtime })
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        AbortOnDropHandle::new(self.runtime.spawn(post(self.http.clone(), request))).await?
    }
}

async fn post(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err("the answer of the collector is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Response::new(body.into());
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}

struct Names(Resolver);

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            // Port 0: the client puts in that of the endpoint.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as reqwest::dns::Addrs)
        })
    }
}
