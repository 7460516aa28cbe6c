//! What tests and the demo share: a real control plane, a simulated partner, and waiting with a limit.
//!
//! Tests take it with `mod support;`, examples with `#[path = "../tests/support/mod.rs"] mod support;`. Each uses a part.
#![allow(dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;
use std::time::{Duration, Instant};

pub mod controlplane;
pub mod exposition;
pub mod fleet;
pub mod operator;
pub mod partner;
pub mod pki;
pub mod proof;
pub mod proxy;
pub mod usage;

/// Any error; tests show it, nobody tells one from another.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result of anything in here.
pub type Result<T> = std::result::Result<T, Error>;

/// How often [`wait_for`] looks.
const POLL: Duration = Duration::from_millis(25);

/// What one look of [`wait_for`] gives: it is there, or what is there instead.
pub trait Look {
    /// What was waited for.
    type Found;
    /// `Err` says in words what was seen instead; it ends up in the message when time is up.
    fn found(self) -> std::result::Result<Self::Found, String>;
}

impl Look for bool {
    type Found = ();
    fn found(self) -> std::result::Result<(), String> {
        if self { Ok(()) } else { Err("not so".to_owned()) }
    }
}

impl<T> Look for Option<T> {
    type Found = T;
    fn found(self) -> std::result::Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Look for std::result::Result<T, E> {
    type Found = T;
    fn found(self) -> std::result::Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks every 25 ms until `look` gives true, `Some` or `Ok`, at most for `limit`. A look that hangs is cut off at the limit too.
/// The error names `what` and the last thing seen instead.
/// Await it in the test itself: its future is not `Send` in every place.
pub async fn wait_for<L: Look>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> L) -> Result<L::Found> {
    let began = Instant::now();
    let mut seen = "no look has ended".to_owned();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, look()).await.map(Look::found) {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(instead)) => seen = instead,
            Err(_) => {}
        }
        if began.elapsed() + POLL >= limit {
            return Err(format!("waited {limit:?} for {what}; last seen: {seen}").into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Makes ring the process's TLS provider, once; both kube's client and reqwest are built without a default.
pub fn tls_provider() {
    // An error says that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
