//! One pooled client for each set of roots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use rustls::ClientConfig;

use crate::core::Reason;

use super::guard::Guard;
use super::resolver::{GuardedResolver, Resolver};
use super::roots::{Roots, RootsId};

/// How this operator names itself to partners.
const USER_AGENT: &str = concat!("partner-integration-operator/", env!("CARGO_PKG_VERSION"));

/// Connections that wait for the next check: as many of one host as may be in flight there, for this long.
const MAX_IDLE: usize = 64;
const IDLE: Duration = Duration::from_secs(30);

/// How long an address may leave a SYN, or anything else, without an answer before it is given up. It is the kernel's
/// `TCP_USER_TIMEOUT`, because the client's own limit for connecting is one for all addresses together: this one
/// leaves time in the usual deadline to try the next. A dead pooled connection is noticed by it, too.
#[cfg(target_os = "linux")]
const TCP_SILENCE: Duration = Duration::from_secs(4);

/// HTTP/2: what a partner may make us hold. The header list is hyper's default, said here because that of h2 below it is
/// 16 MiB; hyper's windows are 2 MiB for a stream and 5 MiB for a connection, and no body needs that much.
const MAX_HEADER_LIST: u32 = 16 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A connection that answers no ping for this long, while checks wait on it, is closed.
const PING: Duration = Duration::from_secs(10);

/// Clients by the roots that they trust. One that has not been used for [`FORGET`] goes when the next is made: a
/// catalogue that is edited for months leaves nothing behind.
pub(super) struct Clients {
    guard: Guard,
    resolver: Resolver,
    made: Mutex<HashMap<RootsId, Made>>,
}

struct Made {
    client: Client,
    used: Instant,
}

const FORGET: Duration = Duration::from_hours(24);

impl Clients {
    pub(super) fn new(guard: Guard, resolver: Resolver) -> Self {
        Self { guard, resolver, made: Mutex::default() }
    }

    /// The client that trusts `roots`, and no others.
    ///
    /// # Errors
    /// When it cannot be built, which only a defect in here could cause: [`Reason::TlsFailed`].
    pub(super) fn get(&self, roots: &Roots) -> Result<Client, Reason> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(known) = made.get_mut(&roots.id()) {
            known.used = now;
            return Ok(known.client.clone());
        }
        made.retain(|_, other| now.duration_since(other.used) < FORGET);
        let client = self.build(roots)?;
        made.insert(roots.id(), Made { client: client.clone(), used: now });
        Ok(client)
    }

    fn build(&self, roots: &Roots) -> Result<Client, Reason> {
        // The provider is named, not taken from the process: reqwest panics where none was installed.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| Reason::TlsFailed)?
            .with_root_certificates(roots.store())
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let builder = Client::builder();
        // Elsewhere than on Linux, where people only develop, a silent address costs the whole deadline.
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout(TCP_SILENCE);
        builder
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // Off by the crate's features already; said again, because features are united over all dependents.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .dns_resolver(Arc::new(GuardedResolver { guard: self.guard.clone(), resolver: self.resolver.clone() }))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .build()
            .map_err(|_| Reason::TlsFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_roots_share_a_client_and_unused_ones_go() {
        let clients = Clients::new(Guard::default(), Resolver::system());
        let count = || clients.made.lock().unwrap().len();
        clients.get(&Roots::Public).unwrap();
        clients.get(&Roots::Public).unwrap();
        assert_eq!(count(), 1);
        if let Some(long_ago) = Instant::now().checked_sub(FORGET) {
            clients.made.lock().unwrap().get_mut(&None).unwrap().used = long_ago;
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = rcgen::CertificateParams::new(vec!["a".into()]).unwrap().self_signed(&key).unwrap().pem();
            clients.get(&Roots::parse(&pem).unwrap()).unwrap();
            assert_eq!(count(), 1);
        }
    }
}
