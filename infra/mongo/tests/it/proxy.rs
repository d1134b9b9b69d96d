//! A network that loses requests and answers: between driver and server, so that outcomes are really unknown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cqrs_core::Random;
use cqrs_core::testing::SeededRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Where it listens, and how many connections it has cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) cut: Arc<AtomicU64>,
}

struct Chance {
    random: SeededRandom,
    one_in: u64,
    cut: Arc<AtomicU64>,
}

impl Proxy {
    /// Forwards to `server`; of `one_in` messages each way, one is lost with its connection.
    pub(crate) async fn start(server: String, one_in: u64, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(AtomicU64::new(0));
        let chance = Arc::new(Chance {
            random: SeededRandom::new(seed),
            one_in,
            cut: Arc::clone(&cut),
        });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server, Arc::clone(&chance)));
                tokio::spawn(forward(from_server, to_client, Arc::clone(&chance)));
            }
        });
        Self { address, cut }
    }
}

/// Ends with the connection of either side; dropping the halves closes the other way too, message by message.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, chance: Arc<Chance>) {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        if chance.random.next_u64().is_multiple_of(chance.one_in) {
            chance.cut.fetch_add(1, Ordering::Relaxed);
            break;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
