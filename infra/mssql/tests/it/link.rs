//! What lies between the pool and the server: it holds answers back, or is cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Open,
    /// Questions pass, answers wait.
    Held,
    /// Whoever connects is turned away.
    Down,
}

pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Bytes that went to the server.
    asked: Arc<AtomicU64>,
    /// Connections that were ever let through.
    passed: Arc<AtomicU64>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Link {
    pub(crate) async fn to(server: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, seen) = watch::channel(Mode::Open);
        let asked = Arc::new(AtomicU64::new(0));
        let passed = Arc::new(AtomicU64::new(0));
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let (count, all) = (Arc::clone(&asked), Arc::clone(&connections));
        let through = Arc::clone(&passed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() == Mode::Down {
                    continue;
                }
                through.fetch_add(1, Ordering::Release);
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (count, seen) = (Arc::clone(&count), seen.clone());
                all.lock().await.spawn(async move {
                    tokio::select! {
                        () = ask(from_client, to_server, count) => {}
                        () = answer(from_server, to_client, seen) => {}
                    }
                });
            }
        });
        Self {
            address,
            mode,
            asked,
            passed,
            connections,
        }
    }

    pub(crate) fn hold(&self) {
        self.mode.send_replace(Mode::Held);
    }

    pub(crate) fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }

    /// Turns everybody away, those who are connected too.
    pub(crate) async fn go_down(&self) {
        self.mode.send_replace(Mode::Down);
        self.cut().await;
    }

    /// Ends all connections; new ones are welcome.
    pub(crate) async fn cut(&self) {
        self.connections.lock().await.shutdown().await;
    }

    /// How much the server was sent.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// How many connections were let through so far.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Arc<AtomicU64>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        asked.fetch_add(read as u64, Ordering::Release);
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let passes = mode.wait_for(|mode| *mode != Mode::Held).await.is_ok();
        if !passes || to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
