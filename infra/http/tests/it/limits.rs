use std::time::Duration;

use http_kit::{BodyLimits, ServerOptions};
use tokio::io::AsyncWriteExt;

use crate::kit::{Server, read_to_end};

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    let server = Server::default().await;
    let headers = "x: y\r\n".repeat(65);
    let answer = server
        .exchange(format!("GET /hello HTTP/1.1\r\n{headers}\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let server = Server::default().await;
    let value = "y".repeat(1024 * 1024);
    let answer = server
        .exchange(format!("GET /hello HTTP/1.1\r\nx: {value}\r\n\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn the_head_deadline_closes_slow_and_idle_connections_without_an_answer() {
    let options = ServerOptions {
        head_deadline: Duration::from_millis(20),
        ..ServerOptions::default()
    };
    let server = Server::start(options, BodyLimits::default()).await;
    assert_eq!(server.exchange("GET /hello HT").await, "");
    assert_eq!(server.exchange("").await, "");
    // Kept alive after its answer, until the deadline.
    let answer = server
        .exchange("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_place() {
    let options = ServerOptions {
        max_connections: 1,
        ..ServerOptions::default()
    };
    let server = Server::start(options, BodyLimits::default()).await;
    let mut first = server.connect().await;
    let request = "GET /gate HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    first.write_all(request.as_bytes()).await.unwrap();
    server.shared.entered.acquire().await.unwrap().forget();

    let mut second = server.connect().await;
    let request = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    second.write_all(request.as_bytes()).await.unwrap();
    server.shared.gate.add_permits(1);
    assert!(read_to_end(&mut first).await.ends_with("\r\n\r\nthrough"));
    drop(first);
    assert!(read_to_end(&mut second).await.ends_with("\r\n\r\nhello"));
    let events = server.shared.events.lock().unwrap().clone();
    assert_eq!(events, ["gate entered", "gate left", "hello"]);
}
