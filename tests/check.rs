//! The outbound side against real TLS servers on loopback, well and ill behaved.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "check/answers.rs"]
mod answers;
#[path = "check/broken.rs"]
mod broken;
#[path = "check/confidential.rs"]
mod confidential;
#[path = "check/dns.rs"]
mod dns;
#[path = "check/forbidden.rs"]
mod forbidden;
#[path = "check/pool.rs"]
mod pool;
#[path = "check/server.rs"]
mod server;
