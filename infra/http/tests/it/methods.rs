use crate::kit::{Server, problem};

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let server = Server::default().await;
    let answer = server.exchange(request("HEAD", "/hello")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn options_lists_the_methods() {
    let server = Server::default().await;
    let answer = server.exchange(request("OPTIONS", "/hello")).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert!(answer.contains("allow: GET, HEAD, OPTIONS\r\n"), "{answer}");
}

#[tokio::test]
async fn another_method_is_answered_405_with_those_allowed() {
    let server = Server::default().await;
    let answer = server.exchange(request("DELETE", "/length")).await;
    problem(&answer, 405, "method-not-allowed");
    assert!(answer.contains("allow: POST, OPTIONS\r\n"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::default().await;
    let post = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let get = "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = request("GET", "/hello");
    let answers = server.exchange(format!("{post}{get}{last}")).await;
    let statuses: Vec<_> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answers[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answers}");
    assert!(answers.ends_with("\r\n\r\nhello"), "{answers}");
}
