//! The certificates of misbehaving partners, good and bad, all made anew in each run.

use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::behaviour::{BadTls, Fault};
use super::server_of_check::Authority;

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// One authority that the catalogue trusts, and one that it does not.
pub struct Certificates {
    known: Authority,
    unknown: Authority,
}

impl Certificates {
    /// Two new authorities.
    pub fn new() -> Self {
        Self { known: Authority::new(), unknown: Authority::new() }
    }

    /// For `trustBundle`.
    pub fn pem(&self) -> &str {
        &self.known.pem
    }

    /// Of a server that is well, for HTTP/1.1.
    pub fn good(&self, names: &[&str]) -> Arc<ServerConfig> {
        let mut config = self.known.config_of(names, |_| {}, &BOTH);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Of a server with this fault.
    pub fn of(&self, fault: &Fault, names: &[&str]) -> Arc<ServerConfig> {
        let mut config = match fault {
            Fault::Tls(bad) => self.bad(*bad, names),
            _ => self.known.config_of(names, |_| {}, &BOTH),
        };
        let protocol = if matches!(fault, Fault::Http2 { .. }) { b"h2".to_vec() } else { b"http/1.1".to_vec() };
        config.alpn_protocols = vec![protocol];
        Arc::new(config)
    }

    fn bad(&self, bad: BadTls, names: &[&str]) -> ServerConfig {
        let valid = |from, to| {
            move |params: &mut CertificateParams| {
                (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
            }
        };
        let known = &self.known;
        match bad {
            BadTls::Expired => known.config_of(names, valid(2020, 2021), &BOTH),
            BadTls::NotYetValid => known.config_of(names, valid(2090, 2091), &BOTH),
            BadTls::WrongName => known.config_of(&["elsewhere.example", "127.0.0.99"], |_| {}, &BOTH),
            BadTls::NoName => known.config_of(&[], |_| {}, &BOTH),
            BadTls::UnknownAuthority => self.unknown.config_of(names, |_| {}, &BOTH),
            BadTls::SelfSigned => self_signed(names, 1),
            BadTls::ForClients => known.config_of(
                names,
                |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
                &BOTH,
            ),
            BadTls::Huge => self_signed(names, 200),
            BadTls::WantsClient12 => wants_client(known, names, &rustls::version::TLS12),
            BadTls::WantsClient13 => wants_client(known, names, &rustls::version::TLS13),
        }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate that signed itself, in a chain of so many of its kind.
fn self_signed(names: &[&str], chain: usize) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&BOTH)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone(); chain], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

fn wants_client(authority: &Authority, names: &[&str], version: &'static SupportedProtocolVersion) -> ServerConfig {
    let plain = authority.config_of(names, |_| {}, &[version]);
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(plain.cert_resolver.clone())
}
