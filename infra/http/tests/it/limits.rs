use std::time::Duration;

use http_kit::{BodyLimits, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{Server, problem_of_type, read_to_end};

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    let server = Server::default().await;
    let headers = "x: y\r\n".repeat(65);
    let answer = server
        .exchange(format!("GET /hello HTTP/1.1\r\n{headers}\r\n"))
        .await;
    problem_of_type(&answer, 431, "about:blank");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let server = Server::default().await;
    let value = "y".repeat(1024 * 1024);
    let answer = server
        .exchange(format!("GET /hello HTTP/1.1\r\nx: {value}\r\n\r\n"))
        .await;
    problem_of_type(&answer, 431, "about:blank");
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
}

#[tokio::test]
async fn an_idle_connection_is_kept_until_the_head_deadline() {
    let options = ServerOptions::default();
    let server = Server::start(options, BodyLimits::default()).await;
    let mut client = server.connect().await;
    let request = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..2 {
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhello") {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "kept alive");
        }
    }
    tokio::time::pause();
    let mut rest = String::new();
    let mut closed = std::pin::pin!(client.read_to_string(&mut rest));
    loop {
        tokio::select! {
            biased;
            read = &mut closed => break assert_eq!(read.unwrap(), 0),
            () = tokio::time::advance(options.head_deadline) => {}
        }
    }
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
