use std::time::Duration;

use http_kit::{BodyLimits, ServerOptions};
use tokio::io::AsyncWriteExt;

use crate::kit::{Server, problem, problem_of_type, read_to_end};

/// Far more than the buffers of both sockets hold: writing it all succeeds
/// only while the server goes on reading.
const UPLOAD: usize = 12 * 1024 * 1024;

#[tokio::test]
async fn garbage_is_answered_400() {
    let server = Server::default().await;
    for garbage in [
        "\u{1}not http at all\r\n\r\n",
        "GET /hello HTTP/1.1\r\nno header\r\n\r\n",
        "GET /hello HTTP/9.9\r\n\r\n",
        "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    ] {
        let answer = server.exchange(garbage).await;
        problem_of_type(&answer, 400, "about:blank");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_writes_a_declared_oversized_body_first_still_reads_the_413() {
    let server = Server::default().await;
    let mut client = server.connect().await;
    let head = format!("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: {UPLOAD}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b'x'; UPLOAD]).await.unwrap();
    problem(&read_to_end(&mut client).await, 413, "body-too-large");
}

#[tokio::test]
async fn a_client_that_writes_an_oversized_chunked_body_first_still_reads_the_413() {
    let server = Server::default().await;
    let mut client = server.connect().await;
    let head = "POST /length HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x1_0000], b"\r\n"].concat();
    for _ in 0..UPLOAD / 0x1_0000 {
        client.write_all(&chunk).await.unwrap();
    }
    problem(&read_to_end(&mut client).await, 413, "body-too-large");
}

#[tokio::test]
async fn an_answer_that_never_looked_at_the_body_arrives_whole() {
    let server = Server::default().await;
    let mut client = server.connect().await;
    let head = format!("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: {UPLOAD}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b'x'; UPLOAD]).await.unwrap();
    let answer = read_to_end(&mut client).await;
    problem(&answer, 415, "unsupported-media-type");
}

#[tokio::test]
async fn a_client_that_never_closes_does_not_keep_its_place() {
    let options = ServerOptions {
        max_connections: 1,
        ..ServerOptions::default()
    };
    let server = Server::start(options, BodyLimits::default()).await;
    let mut stubborn = server.connect().await;
    let request = "POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    stubborn.write_all(request.as_bytes()).await.unwrap();
    problem(
        &read_to_end(&mut stubborn).await,
        415,
        "unsupported-media-type",
    );
    let next = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(server.exchange(next).await.ends_with("\r\n\r\nhello"));
    drop(stubborn);
}

#[tokio::test]
async fn a_slow_body_is_answered_408() {
    let limits = BodyLimits {
        deadline: Duration::from_millis(20),
        ..BodyLimits::default()
    };
    let server = Server::start(ServerOptions::default(), limits).await;
    let request = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12";
    let answer = server.exchange(request).await;
    problem(&answer, 408, "request-timeout");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_answered_503_and_the_server_goes_on() {
    let server = Server::default().await;
    let answer = server
        .exchange("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    problem(&answer, 503, "store-unavailable");
    assert!(answer.contains("retry-after: "), "{answer}");
    let next = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(server.exchange(next).await.ends_with("\r\n\r\nhello"));
}
