//! The partner's certificates, good and bad, and what it says instead of TLS.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::behaviour::Behaviour;
use crate::support::Result;
use crate::support::pki::{Authority, Identity};

/// A fatal alert, `handshake_failure` (RFC 8446, section 6).
pub const ALERT: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];

/// The server configurations of one partner.
pub struct Tls {
    authority: Authority,
    good: Arc<ServerConfig>,
    wants_client: Arc<ServerConfig>,
    wrong_name: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    other: Arc<ServerConfig>,
}

impl Tls {
    /// An authority of its own, and certificates for loopback and these further names. It offers `protocols` (ALPN).
    pub fn new(further_names: &[&str], protocols: &[&str]) -> Result<Self> {
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let with_alpn = |mut config: ServerConfig| {
            config.alpn_protocols.clone_from(&protocols);
            Arc::new(config)
        };
        let plain = |identity: &Identity| -> Result<Arc<ServerConfig>> {
            let config = ServerConfig::builder().with_no_client_auth();
            Ok(with_alpn(config.with_single_cert(vec![identity.certificate.clone()], identity.key())?))
        };
        let authority = Authority::new("simulated partner")?;
        let mut names = vec!["localhost", "127.0.0.1", "::1"];
        names.extend_from_slice(further_names);
        let good = authority.issue(&names)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().into())?;
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
        let wants_client = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![good.certificate.clone()], good.key())?;
        Ok(Self {
            wants_client: with_alpn(wants_client),
            good: plain(&good)?,
            wrong_name: plain(&authority.issue(&["elsewhere.example"])?)?,
            expired: plain(&authority.issue_until(&names, 2001)?)?,
            other: plain(&Authority::new("nobody knows it")?.issue(&names)?)?,
            authority,
        })
    }

    /// The authority's certificate, PEM: what goes into `trustBundle`.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The configuration that a behaviour needs.
    pub fn config(&self, behaviour: &Behaviour) -> Arc<ServerConfig> {
        Arc::clone(match behaviour {
            Behaviour::WantsClientCertificate => &self.wants_client,
            Behaviour::WrongName => &self.wrong_name,
            Behaviour::Expired => &self.expired,
            Behaviour::OtherAuthority => &self.other,
            _ => &self.good,
        })
    }
}

/// A `ServerHello` that chooses TLS 1.1 (RFC 4346): what an old server answers to any client.
pub fn old_server_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0, 0x2f, 0]);
    hello
}
