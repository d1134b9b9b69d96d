use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::kit::{Server, read_to_end};

#[tokio::test]
async fn a_drain_finishes_requests_under_way_and_closes_idle_connections() {
    let server = Server::default().await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    let request = "GET /gate HTTP/1.1\r\nhost: a\r\n\r\n";
    busy.write_all(request.as_bytes()).await.unwrap();
    server.shared.entered.acquire().await.unwrap().forget();

    server.stop.send(()).unwrap();
    // Refused from the moment that the listener is closed.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(read_to_end(&mut idle).await, "");
    drop(idle);
    assert!(!server.task.is_finished());
    server.shared.gate.add_permits(1);
    assert!(read_to_end(&mut busy).await.ends_with("\r\n\r\nthrough"));
    drop(busy);
    server.task.await.unwrap().unwrap();
}
