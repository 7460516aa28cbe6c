//! DNS, and the filter that stands between its answers and what is dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use tokio::sync::OnceCell;

use super::Guard;

/// The most addresses of one name that are tried in turn. Whoever answers DNS must not choose how long a list is.
const MAX_ADDRESSES: usize = 16;
/// The longest that "no such name" is remembered: a mended name is to be seen by the next attempt but a few.
const MAX_NEGATIVE_TTL: std::time::Duration = std::time::Duration::from_secs(5);
/// The longest that an answer is remembered.
const MAX_TTL: std::time::Duration = std::time::Duration::from_mins(5);

/// Turns names into addresses. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Source);

#[derive(Clone)]
enum Source {
    System(Arc<OnceCell<TokioResolver>>),
    Custom(Arc<dyn Lookup>),
}

/// A source of addresses other than the system's, for tests of DNS failures and rebinding.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of `name`.
    fn lookup(&self, name: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupFault>>;
}

/// There is no such name, or nobody who could say. All the same to a check: `DNSFailure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name has no address")]
pub struct LookupFault;

impl Resolver {
    /// Asks as the system is configured to: `/etc/hosts`, then the servers in `/etc/resolv.conf`.
    ///
    /// The configuration is read at the first lookup. While it cannot be read, lookups fail and each reads it anew:
    /// the operator lives on, and heals when the file does.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System(Arc::default()))
    }

    /// Asks `lookup`, and nobody else.
    #[must_use]
    pub fn custom(lookup: impl Lookup) -> Self {
        Self(Source::Custom(Arc::new(lookup)))
    }

    /// The addresses of `name`, in the order to try them.
    ///
    /// # Errors
    /// [`LookupFault`] when there is none, whatever the cause. No deadline of its own worth the name: the caller's
    /// is the one that counts.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupFault> {
        match &self.0 {
            Source::Custom(lookup) => lookup.lookup(name).await,
            Source::System(cell) => {
                let resolver = cell.get_or_try_init(|| async { configured() }).await?;
                let answer = resolver.lookup_ip(name).await.map_err(|_| LookupFault)?;
                Ok(answer.iter().collect())
            }
        }
    }
}

fn configured() -> Result<TokioResolver, LookupFault> {
    let mut builder = TokioResolver::builder_tokio().map_err(|_| LookupFault)?;
    let options = builder.options_mut();
    // Pods have `ndots:5`: each name of a partner would first be asked for under every search domain of the cluster,
    // five questions instead of one. One dot is enough to be asked as it stands; search domains come after that.
    options.ndots = 1;
    options.use_hosts_file = ResolveHosts::Always;
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    options.positive_max_ttl = Some(MAX_TTL);
    builder.build().map_err(|_| LookupFault)
}

/// Why there was nothing to dial. It travels through the client's errors, so that the outcome can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAddress {
    #[error("the name has no address")]
    Lookup,
    #[error("every address of the name is forbidden")]
    Forbidden,
}

/// The resolver that the client dials with. What it gives is what has been judged: there is no second lookup in
/// which a name could say something else (DNS rebinding).
pub(super) struct GuardedResolver {
    pub(super) guard: Guard,
    pub(super) resolver: Resolver,
}

impl GuardedResolver {
    async fn permitted(guard: Guard, resolver: Resolver, name: &str) -> Result<Vec<SocketAddr>, NoAddress> {
        let answered = resolver.lookup(name).await.map_err(|LookupFault| NoAddress::Lookup)?;
        if answered.is_empty() {
            return Err(NoAddress::Lookup);
        }
        let permitted: Vec<_> = answered
            .into_iter()
            .filter(|address| guard.permits(*address))
            .take(MAX_ADDRESSES)
            // Port 0: the client puts in that of the endpoint.
            .map(|address| SocketAddr::new(address, 0))
            .collect();
        if permitted.is_empty() { Err(NoAddress::Forbidden) } else { Ok(permitted) }
    }
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (guard, resolver) = (self.guard.clone(), self.resolver.clone());
        Box::pin(async move {
            let addresses = Self::permitted(guard, resolver, name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [&'static str]);

    impl Lookup for Fixed {
        fn lookup(&self, _: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupFault>> {
            let answer = self.0.iter().map(|address| address.parse().unwrap()).collect();
            Box::pin(async move { Ok(answer) })
        }
    }

    async fn permitted(answer: &'static [&'static str]) -> Result<Vec<String>, NoAddress> {
        let addresses =
            GuardedResolver::permitted(Guard::default(), Resolver::custom(Fixed(answer)), "partner.example").await?;
        Ok(addresses.iter().map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn forbidden_addresses_are_dropped_and_the_rest_kept_in_order() {
        assert_eq!(
            permitted(&["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "::ffff:127.0.0.1"]).await,
            Ok(vec!["8.8.8.8".to_owned(), "2606:4700::1111".to_owned()])
        );
        assert_eq!(permitted(&["10.0.0.1", "169.254.169.254", "fd00::1"]).await, Err(NoAddress::Forbidden));
        assert_eq!(permitted(&[]).await, Err(NoAddress::Lookup));
    }

    #[tokio::test]
    async fn a_long_answer_is_cut() {
        assert_eq!(permitted(&["8.8.8.8"; 1000]).await.map(|kept| kept.len()), Ok(MAX_ADDRESSES));
    }

    #[tokio::test]
    async fn localhost_is_known_without_a_server() {
        let addresses = Resolver::system().lookup("localhost").await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }
}
