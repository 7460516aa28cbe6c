//! A partner that misbehaves byte by byte: at accept, in TLS, in HTTP/1.1, in HTTP/2. It has an address of its own on
//! loopback, behaves well until it is told otherwise, and notes when it was asked and how much it could send.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::behaviour::{Fault, Step};
use super::certificates::Certificates;
use super::http2::Http2;
use crate::support::Result;

/// Sent by a partner that is well.
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{\"valid\":true}";
/// What makes an integration Failed for long: nothing is tried for ten minutes after it.
const TEAPOT: &[u8] = b"HTTP/1.1 418 Teapot\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
/// No flood is longer, so that a test ends also where nothing stops it.
pub const LONGEST_FLOOD: u64 = 512 << 20;
/// What our side of a connection holds back, so that what was sent is not far from what was read.
const SEND_BUFFER: u32 = 32 << 10;

/// What the partner does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Accepts the key.
    Good,
    /// Answers 418.
    Teapot,
    /// Misbehaves as it was made to.
    Bad,
}

/// A running partner; it ends when it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    /// Connections that fill the queue of [`Fault::Deaf`].
    fillers: Vec<TcpStream>,
    held: Option<TcpListener>,
}

/// What its connections share.
pub struct Shared {
    fault: Fault,
    good: Arc<ServerConfig>,
    bad: Arc<ServerConfig>,
    state: Mutex<State>,
    /// The most that one connection was able to send while it misbehaved.
    most_sent: AtomicU64,
}

struct State {
    mode: Mode,
    end: CancellationToken,
    /// When it was asked while it misbehaved: requests, or connections where no request can be read.
    asked: Vec<Timestamp>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come while it misbehaves.
    pub fn asked(&self) {
        self.state().asked.push(Timestamp::now());
    }

    /// So many bytes were taken of an answer.
    pub fn sent(&self, sent: u64) {
        self.most_sent.fetch_max(sent, Ordering::SeqCst);
    }
}

/// An address on loopback that no other server of this machine is likely to have: a port that is closed for a while
/// must not be taken by somebody else.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let next = NEXT.fetch_add(1, Ordering::SeqCst);
    // 127.64.0.0/10: 10 bits of the process, 12 of the server.
    let process = std::process::id() & 0x3ff;
    Ipv4Addr::from_bits(0x7f40_0000 | process << 12 | (next & 0xfff))
}

impl Server {
    /// Starts one that behaves well. `name`: besides its address, in its certificate.
    pub fn start(fault: Fault, name: &str, certificates: &Certificates) -> Result<Self> {
        let ip = address();
        let shared = Arc::new(Shared {
            good: certificates.good(&[&ip.to_string(), name]),
            bad: certificates.of(&fault, &[&ip.to_string(), name]),
            fault,
            state: Mutex::new(State { mode: Mode::Good, end: CancellationToken::new(), asked: Vec::new() }),
            most_sent: AtomicU64::new(0),
        });
        let listener = listen(SocketAddrV4::new(ip, 0), 64)?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting: Some(accepting), fillers: Vec::new(), held: None })
    }

    /// Behaves so from now on; connections of before are closed.
    pub async fn set(&mut self, mode: Mode) -> Result<()> {
        {
            let mut state = self.shared.state();
            state.mode = mode;
            std::mem::take(&mut state.end).cancel();
        }
        if !matches!(self.shared.fault, Fault::Closed | Fault::Deaf | Fault::NeverAccepted) {
            return Ok(());
        }
        if let Some(task) = self.accepting.take() {
            task.abort();
            // Its end is the listener's end.
            let _ = task.await;
        }
        (self.held, self.fillers) = (None, Vec::new());
        let SocketAddr::V4(address) = self.address else { return Err("not IPv4".into()) };
        match (mode, &self.shared.fault) {
            (Mode::Bad, Fault::Closed) => {}
            (Mode::Bad, Fault::NeverAccepted) => self.held = Some(again(address, 64).await?),
            (Mode::Bad, Fault::Deaf) => {
                self.held = Some(again(address, 1).await?);
                self.fillers = fill(self.address).await?;
            }
            _ => self.accepting = Some(tokio::spawn(accept(again(address, 64).await?, Arc::clone(&self.shared)))),
        }
        Ok(())
    }

    /// When it was asked while it misbehaved, oldest first.
    pub fn asked(&self) -> Vec<Timestamp> {
        self.shared.state().asked.clone()
    }

    /// Whether anybody's asking can be seen: nobody sees a SYN that the kernel drops.
    pub fn sees(&self) -> bool {
        !matches!(self.shared.fault, Fault::Closed | Fault::Deaf | Fault::NeverAccepted | Fault::Name(_))
    }

    /// The most bytes that one connection could send while it misbehaved, before TLS.
    pub fn most_sent(&self) -> u64 {
        self.shared.most_sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
        }
        self.shared.state().end.cancel();
    }
}

fn listen(address: SocketAddrV4, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address.into())?;
    socket.listen(backlog)
}

/// Listens where it did before, once the port is free again.
async fn again(address: SocketAddrV4, backlog: u32) -> Result<TcpListener> {
    for _ in 0..200 {
        if let Ok(listener) = listen(address, backlog) {
            return Ok(listener);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(listen(address, backlog)?)
}

/// Fills the queue of connections that nobody accepts: from then on the kernel drops every SYN.
async fn fill(address: SocketAddr) -> Result<Vec<TcpStream>> {
    let mut queued = Vec::new();
    for _ in 0..8 {
        match tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            Ok(stream) => queued.push(stream?),
            Err(_) => return Ok(queued),
        }
    }
    Err("the queue does not fill up".into())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (mode, end) = {
            let state = shared.state();
            (state.mode, state.end.clone())
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // How a connection ends is the client's to judge.
            let _ = end.run_until_cancelled(connection(stream, mode, &shared)).await;
        });
    }
}

async fn connection(mut tcp: TcpStream, mode: Mode, shared: &Shared) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let plain = match (&shared.fault, mode) {
        (Fault::Tcp(steps), Mode::Bad) => {
            shared.asked();
            let mut sent = 0;
            let _ = play_tcp(&mut tcp, steps, &mut sent).await?;
            shared.sent(sent);
            return Ok(());
        }
        (Fault::Handshake(length, then), Mode::Bad) => {
            shared.asked();
            return half_a_handshake(tcp, &shared.good, *length, then).await;
        }
        (Fault::Tls(_), Mode::Bad) => {
            shared.asked();
            match TlsAcceptor::from(Arc::clone(&shared.bad)).accept(tcp).into_fallible().await {
                Ok(stream) => stream,
                Err((_, tcp)) => return refused(tcp).await,
            }
        }
        (_, Mode::Bad) => TlsAcceptor::from(Arc::clone(&shared.bad)).accept(tcp).await?,
        (_, Mode::Good | Mode::Teapot) => TlsAcceptor::from(Arc::clone(&shared.good)).accept(tcp).await?,
    };
    let mut stream = plain;
    match (&shared.fault, mode) {
        (Fault::Http1(steps), Mode::Bad) => {
            while read_head(&mut stream).await? {
                shared.asked();
                if !play(&mut stream, steps, shared).await? {
                    break;
                }
            }
            Ok(())
        }
        (Fault::Http2 { settings, steps }, Mode::Bad) => Http2::new(stream, shared).serve(settings, steps).await,
        _ => {
            while read_head(&mut stream).await? {
                if mode == Mode::Bad && !matches!(shared.fault, Fault::Tls(_)) {
                    shared.asked();
                }
                stream.write_all(if mode == Mode::Teapot { TEAPOT } else { GOOD }).await?;
                stream.flush().await?;
                stream.shutdown().await?;
            }
            Ok(())
        }
    }
}

/// After an alert of ours: whatever the client has sent meanwhile is read, or the kernel would follow the alert up with a
/// reset, and which of the two a client sees, which writes just then, is chance.
async fn refused(mut tcp: TcpStream) -> std::io::Result<()> {
    tcp.shutdown().await?;
    while tcp.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

/// Reads to the end of a head; whether there was one. A body that follows is read with it or left.
async fn read_head(stream: &mut TlsStream<TcpStream>) -> std::io::Result<bool> {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut read).await? == 0 || read.len() > 256 << 10 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does the steps; whether the connection can go on.
async fn play(stream: &mut TlsStream<TcpStream>, steps: &[Step], shared: &Shared) -> std::io::Result<bool> {
    let mut sent = 0;
    let played = play_tls(stream, steps, &mut sent).await;
    shared.sent(sent);
    played
}

async fn play_tls(stream: &mut TlsStream<TcpStream>, steps: &[Step], sent: &mut u64) -> std::io::Result<bool> {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                *sent += bytes.len() as u64;
            }
            Step::Make(make) => {
                stream.write_all(&make()).await?;
                stream.flush().await?;
            }
            Step::Flood(bytes, pause) | Step::Pour(bytes, pause) => {
                while *sent < LONGEST_FLOOD {
                    stream.write_all(bytes).await?;
                    *sent += bytes.len() as u64;
                    if !pause.is_zero() {
                        stream.flush().await?;
                        tokio::time::sleep(*pause).await;
                    }
                }
            }
            Step::Raw(bytes) => stream.get_mut().0.write_all(bytes).await?,
            Step::Pause(pause) => tokio::time::sleep(*pause).await,
            Step::Hang => std::future::pending().await,
            Step::Close => {
                stream.shutdown().await?;
                return Ok(false);
            }
            Step::Cut => {
                stream.get_mut().0.shutdown().await?;
                return Ok(false);
            }
            Step::Reset => {
                stream.get_ref().0.set_zero_linger()?;
                return Ok(false);
            }
            Step::Read => {
                let _ = stream.read(&mut [0; 4096]).await?;
            }
        }
    }
    Ok(true)
}

async fn play_tcp(stream: &mut TcpStream, steps: &[Step], sent: &mut u64) -> std::io::Result<bool> {
    for step in steps {
        match step {
            Step::Send(bytes) | Step::Raw(bytes) => {
                stream.write_all(bytes).await?;
                *sent += bytes.len() as u64;
            }
            Step::Make(make) => stream.write_all(&make()).await?,
            Step::Flood(bytes, pause) | Step::Pour(bytes, pause) => {
                while *sent < LONGEST_FLOOD {
                    if let Err(error) = stream.write_all(bytes).await {
                        // The client has had enough; what it took counts.
                        return if *sent > 0 { Ok(false) } else { Err(error) };
                    }
                    *sent += bytes.len() as u64;
                    if !pause.is_zero() {
                        tokio::time::sleep(*pause).await;
                    }
                }
            }
            Step::Pause(pause) => tokio::time::sleep(*pause).await,
            Step::Hang => std::future::pending().await,
            Step::Close | Step::Cut => {
                stream.shutdown().await?;
                return Ok(false);
            }
            Step::Reset => {
                stream.set_zero_linger()?;
                return Ok(false);
            }
            Step::Read => {
                let _ = stream.read(&mut [0; 4096]).await?;
            }
        }
    }
    // Until the client has seen it and closes.
    let _ = stream.read(&mut [0; 4096]).await?;
    Ok(false)
}

/// A real handshake of which only the first bytes get through, followed by `then`.
async fn half_a_handshake(mut tcp: TcpStream, good: &Arc<ServerConfig>, most: u64, then: &Step) -> std::io::Result<()> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let acceptor = TlsAcceptor::from(Arc::clone(good));
    let handshake = tokio::spawn(async move { acceptor.accept(theirs).await.map(drop) });
    let (mut from_server, mut to_server) = tokio::io::split(ours);
    let mut hello = vec![0; 16 << 10];
    let read = tcp.read(&mut hello).await?;
    to_server.write_all(&hello[..read]).await?;
    let mut begin = vec![0; usize::try_from(most).unwrap_or(0)];
    from_server.read_exact(&mut begin).await?;
    tcp.write_all(&begin).await?;
    let end = play_tcp(&mut tcp, std::slice::from_ref(then), &mut 0).await;
    handshake.abort();
    end.map(drop)
}
