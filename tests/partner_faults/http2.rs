//! HTTP/2 that misbehaves: the steps are done for every request of a connection, as a server does that is always wrong in the
//! same way. What it is asked and told is read frame by frame, and nothing of it is understood but what is needed for that.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::behaviour::{GOAWAY, HEADERS, RST_STREAM, Step};
use super::server::{LONGEST_FLOOD, Shared};

/// The length of the preface of a client, and of the head of a frame (RFC 9113, 3.4 and 4.1).
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// A client that may open no stream, or that is told nothing, sends no request: after this it counts as asked.
const QUIET: Duration = Duration::from_secs(1);

/// One connection.
pub struct Http2<'a> {
    stream: TlsStream<TcpStream>,
    shared: &'a Shared,
    /// What was read of a frame that is not whole, and whether the preface is behind us.
    read: Vec<u8>,
    begun: bool,
    /// Streams that were asked on and are not answered yet.
    asked: VecDeque<u32>,
    /// The stream that was given up last, and whether the whole connection was.
    given_up: u32,
    gone: bool,
    sent: u64,
}

impl<'a> Http2<'a> {
    /// After the handshake of TLS.
    pub fn new(stream: TlsStream<TcpStream>, shared: &'a Shared) -> Self {
        let (read, asked) = (Vec::new(), VecDeque::new());
        Self { stream, shared, read, begun: false, asked, given_up: 0, gone: false, sent: 0 }
    }

    /// Answers `steps` to each request until the client has gone or a step ends it.
    pub async fn serve(mut self, settings: &[u8], steps: &[Step]) -> std::io::Result<()> {
        self.stream.write_all(settings).await?;
        self.stream.flush().await?;
        let first = tokio::time::timeout(QUIET, self.next()).await;
        let (mut counted, mut next) = if let Ok(next) = first {
            (false, next?)
        } else {
            self.shared.asked();
            (true, self.next().await?)
        };
        while let Some(stream) = next {
            if !std::mem::take(&mut counted) {
                self.shared.asked();
            }
            let played = self.play(stream, steps).await;
            self.shared.sent(self.sent);
            if !played? {
                return Ok(());
            }
            next = self.next().await?;
        }
        Ok(())
    }

    /// The next stream that is asked on; `None` at the end of the connection.
    async fn next(&mut self) -> std::io::Result<Option<u32>> {
        loop {
            if let Some(stream) = self.asked.pop_front() {
                return Ok(Some(stream));
            }
            // Cancelled while it reads, it has taken nothing off.
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
            self.parse();
        }
    }

    /// Takes whole frames off what was read.
    fn parse(&mut self) {
        if !self.begun {
            if self.read.len() < PREFACE {
                return;
            }
            self.read.drain(..PREFACE);
            self.begun = true;
        }
        while let Some(length) = length(&self.read).filter(|length| self.read.len() >= *length) {
            let frame: Vec<u8> = self.read.drain(..length).collect();
            match (frame[3], id(&frame)) {
                (HEADERS, id) => self.asked.push_back(id),
                (RST_STREAM, id) => self.given_up = id,
                (GOAWAY, _) => self.gone = true,
                _ => {}
            }
        }
    }

    /// Does the steps on this stream; whether the connection can go on.
    async fn play(&mut self, id: u32, steps: &[Step]) -> std::io::Result<bool> {
        self.sent = 0;
        for step in steps {
            match step {
                Step::Send(bytes) => self.write(&on(id, bytes)).await?,
                Step::Make(make) => self.write(&on(id, &make())).await?,
                Step::Flood(bytes, pause) => self.flood(&on(id, bytes), *pause, id).await?,
                Step::Pour(bytes, pause) => self.flood(&on(id, bytes), *pause, u32::MAX).await?,
                Step::Raw(bytes) => self.stream.get_mut().0.write_all(bytes).await?,
                Step::Pause(pause) => tokio::time::sleep(*pause).await,
                // This stream gets no more; the next one is answered.
                Step::Hang => return Ok(true),
                Step::Read => {
                    self.stream.read_buf(&mut self.read).await?;
                    self.parse();
                }
                Step::Close => {
                    self.stream.shutdown().await?;
                    return Ok(false);
                }
                Step::Cut => {
                    self.stream.get_mut().0.shutdown().await?;
                    return Ok(false);
                }
                Step::Reset => {
                    self.stream.get_ref().0.set_zero_linger()?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    /// Writes again and again, until the client gives this stream or the connection up. With a stream that there is not, it
    /// does not look.
    async fn flood(&mut self, bytes: &[u8], pause: Duration, id: u32) -> std::io::Result<()> {
        while self.sent < LONGEST_FLOOD && !self.gone && self.given_up != id {
            self.write(bytes).await?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            while id != u32::MAX
                && let Some(read) = self.stream.read_buf(&mut self.read).now_or_never()
            {
                if read? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                self.parse();
            }
        }
        Ok(())
    }
}

/// The length of the frame that begins here, with its head.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..HEAD)?;
    Some(HEAD + (usize::from(head[0]) << 16) + (usize::from(head[1]) << 8) + usize::from(head[2]))
}

/// The stream of a frame.
fn id(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]])
}

/// These frames, those of stream 1 on another one.
fn on(stream: u32, frames: &[u8]) -> Vec<u8> {
    let mut frames = frames.to_vec();
    let mut at = 0;
    while let Some(length) = length(&frames[at..]).filter(|length| frames.len() >= at + length) {
        if id(&frames[at..]) == 1 {
            frames[at + 5..at + HEAD].copy_from_slice(&stream.to_be_bytes());
        }
        at += length;
    }
    frames
}
