//! A DNS server of our own, so that the operator's resolver can be lied to.
//!
//! The operator has no flag for a resolver, on purpose: it asks as its pod is configured to. So it is started with a
//! `/etc/resolv.conf` of its own, in a mount namespace, which root may do on Linux. Where that cannot be had, the
//! behaviours of DNS are left out, and the test says so.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::behaviour::BadName;
use crate::support::Result;

/// Every name here ends so.
pub const ZONE: &str = "partner-faults.test";

/// A running DNS server; it ends when it is dropped.
pub struct Dns {
    address: Ipv4Addr,
    names: Arc<Mutex<HashMap<String, Named>>>,
    task: AbortHandle,
}

/// What is said of one name.
#[derive(Clone)]
struct Named {
    own: Ipv4Addr,
    bad: BadName,
    misbehaves: bool,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dns {
    /// Starts one on port 53 of an address on loopback; `None` where this user may not.
    pub async fn start() -> Option<Self> {
        let may_mount = std::process::Command::new("unshare").args(["-m", "true"]).output().ok()?.status.success();
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 53, high, low.clamp(1, 254));
        let socket = UdpSocket::bind((address, 53)).await.ok().filter(|_| may_mount)?;
        let names = Arc::default();
        let task = tokio::spawn(serve(socket, Arc::clone(&names))).abort_handle();
        Some(Self { address, names, task })
    }

    /// A program that runs `binary` with this server as its only resolver.
    pub fn wrapped(&self, binary: &str, folder: &Path) -> Result<PathBuf> {
        let resolv = folder.join("resolv.conf");
        std::fs::write(&resolv, format!("nameserver {}\n", self.address))?;
        let script = folder.join("with-resolver");
        let mount = format!("mount --bind '{}' /etc/resolv.conf && exec \"$@\"", resolv.display());
        std::fs::write(
            &script,
            format!(
                "#!/bin/sh\nexec unshare -m sh -c \"{}\" sh '{binary}' \"$@\"\n",
                mount.replace('"', "\\\"").replace('$', "\\$")
            ),
        )?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }

    /// Adds a name, which is well.
    pub fn add(&self, name: &str, own: SocketAddr, bad: &BadName) {
        let IpAddr::V4(own) = own.ip() else { return };
        let named = Named { own, bad: bad.clone(), misbehaves: false };
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), named);
    }

    /// Whether a name misbehaves from now on.
    pub fn set(&self, name: &str, misbehaves: bool) {
        if let Some(named) = self.names.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            named.misbehaves = misbehaves;
        }
    }
}

async fn serve(socket: UdpSocket, names: Arc<Mutex<HashMap<String, Named>>>) {
    let mut query = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut query).await else { return };
        let Some((name, kind, end)) = question(&query[..length]) else { continue };
        let said = names.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(answer) = answer(&query[..end], kind, &name, said.as_ref()) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// The name in lower case and the type that are asked for, and where the question ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).to_ascii_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    Some((labels.join("."), kind, at + 5))
}

const A: u16 = 1;
const AAAA: u16 = 28;
const CNAME: u16 = 5;

fn answer(query: &[u8], kind: u16, name: &str, named: Option<&Named>) -> Option<Vec<u8>> {
    let Some(Named { own, bad, misbehaves }) = named else { return Some(reply(query, 3, &[])) };
    let own = IpAddr::V4(*own);
    if !misbehaves {
        return Some(reply(query, 0, &records(kind, &[own])));
    }
    match bad {
        BadName::Code(code) => Some(reply(query, *code, &[])),
        BadName::Empty => Some(reply(query, 0, &[])),
        BadName::Silent => None,
        BadName::Garbage => Some(b"this is not DNS at all, whatever it is".to_vec()),
        BadName::WrongId => {
            let mut reply = reply(query, 0, &records(kind, &[own]));
            reply[0] ^= 0xff;
            Some(reply)
        }
        BadName::AliasLoop => Some(reply(query, 0, &[alias(&format!("alias.{name}"), name)])),
        BadName::Truncated => {
            let mut reply = reply(query, 0, &[]);
            reply[2] |= 2;
            Some(reply)
        }
        BadName::Addresses(addresses, and_own) => {
            let mut all = addresses.clone();
            all.extend(and_own.then_some(own));
            Some(reply(query, 0, &records(kind, &all)))
        }
    }
}

fn reply(query: &[u8], code: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap_or(0).to_be_bytes();
    // The id, QR and RD, RA and the code; one question.
    let head = [query[0], query[1], 0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
    [&head[..], &query[12..], &records.concat()].concat()
}

/// Of the type that was asked for, for the name that was asked for, not to be remembered.
fn records(kind: u16, addresses: &[IpAddr]) -> Vec<Vec<u8>> {
    let record = |kind: u16, data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap_or(0);
        [&[0xc0, 12], &kind.to_be_bytes()[..], &[0, 1, 0, 0, 0, 0], &length.to_be_bytes(), data].concat()
    };
    let matching = addresses.iter().filter_map(|address| match (kind, address) {
        (A, IpAddr::V4(v4)) => Some(record(A, &v4.octets())),
        (AAAA, IpAddr::V6(v6)) => Some(record(AAAA, &v6.octets())),
        _ => None,
    });
    matching.collect()
}

/// That the name which was asked for is an alias of another: of its own child, which is one of it.
fn alias(child: &str, _parent: &str) -> Vec<u8> {
    let mut target: Vec<u8> = Vec::new();
    for label in child.split('.').take(1) {
        target.push(u8::try_from(label.len()).unwrap_or(0));
        target.extend(label.as_bytes());
    }
    // Behind the label, the name that was asked for.
    target.extend([0xc0, 12]);
    let length = u16::try_from(target.len()).unwrap_or(0);
    [&[0xc0, 12], &CNAME.to_be_bytes()[..], &[0, 1, 0, 0, 0, 0], &length.to_be_bytes(), &target].concat()
}
