//! Accepting connections, and what is done to one before there is a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::behaviour::Behaviour;
use super::{Connection, Shared, http1, http2, tls};
use crate::support::Result;

/// How long a port that was given up may take to be free again.
const FREE: Duration = Duration::from_secs(10);

/// Listens at an address and accepts until the task is aborted.
pub async fn open(address: SocketAddr, shared: Arc<Shared>) -> Result<(SocketAddr, JoinHandle<()>)> {
    let began = Instant::now();
    // Not `wait_for`: a future with an async closure in it is not `Send` enough for a handler of axum.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if began.elapsed() > FREE => return Err(format!("{address}: {error}").into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    };
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(accept(listener, shared))))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, for example: the next try may find one.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (id, behaviour, end) = {
            let mut state = shared.state();
            state.log.counters.connections += 1;
            state.log.counters.open += 1;
            (state.log.counters.connections, state.everywhere.clone(), state.connections.clone())
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let open = Open(Arc::clone(&shared));
            // How a connection ends, well or badly, is the client's to judge.
            let _ = end.run_until_cancelled(connection(stream, id, behaviour, shared)).await;
            drop(open);
        });
    }
}

/// Counts a connection as open for as long as it is held.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state().log.counters.open -= 1;
    }
}

async fn connection(mut stream: TcpStream, id: u64, behaviour: Behaviour, shared: Arc<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let instead = match behaviour {
        Behaviour::ResetOnAccept => {
            stream.set_zero_linger()?;
            return Ok(());
        }
        Behaviour::CloseBeforeTls => Some(Vec::new()),
        Behaviour::TlsAlert => Some(tls::ALERT.to_vec()),
        Behaviour::OldTls => Some(tls::old_server_hello()),
        Behaviour::HangBeforeTls => return std::future::pending().await,
        _ => None,
    };
    if let Some(bytes) = instead {
        // What is not read before the close turns the close into a reset.
        let _ = stream.read(&mut vec![0; 16 << 10]).await?;
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        // Until the client has seen it and closes.
        let _ = stream.read(&mut [0; 8]).await?;
        return Ok(());
    }
    let stream = TlsAcceptor::from(shared.tls.config(&behaviour)).accept(stream).await?;
    shared.state().log.counters.handshakes += 1;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let connection = Connection { id, alpn: if h2 { "h2" } else { "http/1.1" }, shared };
    match (h2, behaviour) {
        (true, Behaviour::GoAway) => http2::go_away(stream).await,
        (false, Behaviour::GoAway) => Ok(()),
        (true, _) => http2::serve(stream, connection).await,
        (false, _) => http1::serve(stream, &connection).await,
    }
}
