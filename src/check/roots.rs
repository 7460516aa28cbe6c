//! The sets of roots that a partner's certificate may lead to.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// A set of roots. Two of the same certificates are the same set, in whatever order and with whatever comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// Mozilla's, compiled in.
    Public,
    /// Those of a `trustBundle`, and no others.
    Bundle(Arc<Bundle>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    id: [u8; 32],
    certificates: Vec<CertificateDer<'static>>,
}

/// A bundle holds no certificate, or something that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BundleFault;

/// What clients are shared by: equal for equal sets. `None` is the public set.
pub(super) type RootsId = Option<[u8; 32]>;

impl Roots {
    /// Reads PEM. Text around the certificates is allowed, as in the bundles that distributions ship; every PEM
    /// block must be a certificate that can be a trust anchor.
    pub(super) fn parse(pem: &str) -> Result<Self, BundleFault> {
        let begun = pem.matches("-----BEGIN ").count();
        let mut certificates =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|_| BundleFault)?;
        // The parser passes over other kinds of blocks; a key or a request in here is somebody's mistake.
        if certificates.is_empty() || certificates.len() != begun {
            return Err(BundleFault);
        }
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|_| BundleFault)?;
        }
        certificates.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        certificates.dedup();
        let mut hasher = Sha256::new();
        for certificate in &certificates {
            hasher.update((certificate.len() as u64).to_be_bytes());
            hasher.update(certificate);
        }
        Ok(Self::Bundle(Arc::new(Bundle { id: hasher.finalize().into(), certificates })))
    }

    pub(super) fn id(&self) -> RootsId {
        match self {
            Self::Public => None,
            Self::Bundle(bundle) => Some(bundle.id),
        }
    }

    pub(super) fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        match self {
            Self::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Self::Bundle(bundle) => {
                store.add_parsable_certificates(bundle.certificates.iter().cloned());
            }
        }
        store
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca(name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn equal_sets_have_equal_identities_whatever_the_order_and_the_comments() {
        let (a, b) = (ca("a").0, ca("b").0);
        let id = |pem: &str| Roots::parse(pem).unwrap().id();
        assert_eq!(id(&format!("{a}{b}")), id(&format!("# both\n{b}\n# again\n{a}{b}\n")));
        assert_ne!(id(&a), id(&b));
        assert_ne!(id(&a), id(&format!("{a}{b}")));
        assert_ne!(id(&a), Roots::Public.id());
        assert_eq!(Roots::parse(&format!("{a}{b}")).unwrap().store().len(), 2);
    }

    #[test]
    fn a_bundle_of_anything_but_certificates_is_refused() {
        let (a, key) = ca("a");
        let cut = &a[..a.len() / 2];
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_base64 = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let other = a.replace("CERTIFICATE", "CERTIFICATE REQUEST");
        let unknown = a.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        for pem in ["", "no PEM", cut, no_certificate, no_base64, &key, &other, &unknown] {
            assert_eq!(Roots::parse(pem), Err(BundleFault), "{pem:?}");
            assert_eq!(Roots::parse(&format!("{a}{pem}")).is_err(), pem.contains("BEGIN"), "after a good one: {pem:?}");
        }
    }

    #[test]
    fn the_public_roots_are_not_empty() {
        assert!(Roots::Public.store().len() > 100);
    }
}
