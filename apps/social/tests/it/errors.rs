//! Requests that are wrong in themselves.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};

use crate::server::Server;
use crate::{post, uuid};
use social_test_kit::{get, request, write};

#[test]
fn bodies_that_are_no_json_are_refused() {
    let server = Server::start();
    let client = &mut server.client();
    let create = request("POST", "/v1/posts").by("ada");
    for body in [
        &b"{"[..],
        b"",
        b"{} {}",
        b"\xef\xbb\xbf{\"message\":\"hi\"}",
        b"{\"message\":\"\xff\"}",
        b"{\"message\":\"a\",\"message\":\"b\"}",
        b"{\"message\":\"\\ud800\"}",
        b"{'message':1}",
    ] {
        let answer = client.send(&create.clone().raw_json(body));
        answer.expect_problem(400, "malformed-json");
    }
    for body in ["[]", "null", "\"x\"", "1"] {
        let answer = client.send(&create.clone().raw_json(body.as_bytes()));
        answer.expect_problem(400, "invalid-value");
    }
}

#[test]
fn values_that_do_not_fit_are_named() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let long = "x".repeat(5_001);
    let comment = "x".repeat(2_001);
    let comments = format!("/v1/posts/{id}/comments");
    let posts = "/v1/posts".to_owned();
    let me = "/v1/authors/me".to_owned();
    let rows = [
        ("POST", &posts, json!({}), "message"),
        ("POST", &posts, json!({"message": 1}), "message"),
        ("POST", &posts, json!({"message": null}), "message"),
        ("POST", &posts, json!({"message": " \n "}), "message"),
        ("POST", &posts, json!({"message": long}), "message"),
        ("POST", &posts, json!({"message": "a\u{7}b"}), "message"),
        (
            "POST",
            &posts,
            json!({"message": "a", "mesage": "b"}),
            "mesage",
        ),
        ("POST", &comments, json!({"message": comment}), "message"),
        (
            "PUT",
            &me,
            json!({"handle": "ab", "display_name": "x"}),
            "handle",
        ),
        (
            "PUT",
            &me,
            json!({"handle": "a-b", "display_name": "x"}),
            "handle",
        ),
        (
            "PUT",
            &me,
            json!({"handle": "abc", "display_name": "a\nb"}),
            "display_name",
        ),
        ("PUT", &me, json!({"handle": "abc"}), "display_name"),
    ];
    for (method, path, body, field) in rows {
        let answer = client.send(&write("ada", method, path, &body));
        let problem = answer.expect_problem(400, "invalid-value");
        assert_eq!(problem["field"], field, "{body}");
    }
    // A command without members takes none.
    let like = format!("/v1/posts/{id}/like");
    let answer = client.send(&write("ada", "PUT", &like, &json!({"x": 1})));
    answer.expect_problem(400, "invalid-value");
    client
        .send(&write("ada", "PUT", &like, &json!({})))
        .expect(200);
    // As long as may be, after trimming.
    let body = json!({"message": format!(" {} ", "x".repeat(5_000))});
    client
        .send(&write("ada", "POST", "/v1/posts", &body))
        .expect(201);
}

#[test]
fn ids_that_are_none_are_refused() {
    let server = Server::start();
    let client = &mut server.client();
    let good = uuid(1);
    let text = json!({"message": "x"});
    let rows = [
        (
            "POST",
            "/v1/posts".to_owned(),
            json!({"id": "x", "message": "x"}),
        ),
        ("PUT", "/v1/posts/x/message".to_owned(), text.clone()),
        ("DELETE", "/v1/posts/x".to_owned(), Value::Null),
        (
            "PUT",
            format!("/v1/posts/{}/like", good.replace('-', "")),
            Value::Null,
        ),
        ("PUT", format!("/v1/posts/%7B{good}%7D/like"), Value::Null),
        ("PUT", "/v1/posts/%ff/like".to_owned(), Value::Null),
        ("PUT", format!("/v1/posts/{good}/comments/x"), text),
    ];
    for (method, path, body) in rows {
        let answer = client.send(&write("ada", method, &path, &body));
        answer.expect_problem(400, "malformed-id");
    }
}

#[test]
fn messages_are_checked_like_requests() {
    let server = Server::start();
    let client = &mut server.client();
    let id = uuid(1);
    let rows = [
        (json!({"id": id, "data": {}}), "invalid-value", "type"),
        (
            json!({"type": "Nope", "id": id, "data": {}}),
            "invalid-value",
            "type",
        ),
        (
            json!({"type": "LikePost", "data": {}}),
            "invalid-value",
            "id",
        ),
        (
            json!({"type": "LikePost", "id": "x", "data": {}}),
            "malformed-id",
            "id",
        ),
        (
            json!({"type": "LikePost", "id": id}),
            "invalid-value",
            "data",
        ),
        (
            json!({"type": "LikePost", "id": id, "data": {}}),
            "invalid-value",
            "data.post_id",
        ),
        (
            json!({"type": "LikePost", "id": id, "data": {"post_id": "x"}}),
            "malformed-id",
            "data.post_id",
        ),
        (
            json!({"type": "LikePost", "id": id, "data": {"post_id": id}, "x": 1}),
            "invalid-value",
            "x",
        ),
    ];
    for (body, slug, field) in rows {
        let answer = client.send(&write("ada", "POST", "/v1/commands", &body));
        assert_eq!(answer.expect_problem(400, slug)["field"], field, "{body}");
    }
}

#[test]
fn types_and_sizes_are_checked() {
    let server = Server::start();
    let client = &mut server.client();
    let body = br#"{"message":"hi"}"#;
    let create = request("POST", "/v1/posts").by("ada").body(body);
    client
        .send(&create)
        .expect_problem(415, "unsupported-media-type");
    for bad in [
        "text/plain",
        "application/json; charset=latin1",
        "application/x",
    ] {
        let answer = client.send(&create.clone().header("Content-Type", bad));
        answer.expect_problem(415, "unsupported-media-type");
    }
    let good = "application/json; charset=UTF-8";
    client
        .send(&create.clone().header("Content-Type", good))
        .expect(201);
    let large = json!({"message": "x".repeat(65 * 1024)});
    let answer = client.send(&write("ada", "POST", "/v1/posts", &large));
    answer.expect_problem(413, "body-too-large");
}

#[test]
fn paths_and_methods_that_are_not_there_are_told() {
    let server = Server::start();
    let client = &mut server.client();
    for path in ["/", "/v1", "/v1/posts/", "/V1/posts", "/v1/nothing"] {
        client.send(&get(path)).expect_problem(404, "unknown-route");
    }
    for (method, path) in [
        ("PATCH", "/v1/posts"),
        ("GET", "/v1/commands"),
        ("GET", "/v1/authors/me"),
        ("POST", "/livez"),
    ] {
        let answer = client.send(&request(method, path));
        assert!(answer.header("allow").is_some(), "{method} {path}");
        answer.expect_problem(405, "method-not-allowed");
    }
}

#[test]
fn who_is_nobody_may_not_write() {
    let server = Server::start();
    let client = &mut server.client();
    let create = request("POST", "/v1/posts").json(&json!({"message": "hi"}));
    client.send(&create).expect_problem(401, "unauthenticated");
    // Nobody learns nothing of what else is wrong.
    for (method, path) in [
        ("POST", "/v1/posts?x=1"),
        ("POST", "/v1/commands"),
        ("PUT", "/v1/posts/x/like"),
        ("PUT", "/v1/posts/%ff/like"),
        ("DELETE", "/v1/posts/%zz"),
    ] {
        let wrong = request(method, path).body(b"{");
        client.send(&wrong).expect_problem(401, "unauthenticated");
    }
    let long = "x".repeat(65);
    for bad in ["Ada", "a b", "me", "..", &long] {
        let problem = client
            .send(&create.clone().by(bad))
            .expect_problem(400, "invalid-value");
        assert_eq!(problem["field"], "X-Actor");
    }
}

#[test]
fn requests_that_cannot_be_parsed_are_answered_and_closed() {
    let server = Server::start();
    for bytes in [
        &b"NONSENSE\r\n\r\n"[..],
        b"GET /livez HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(bytes).expect("sent");
        let mut answer = String::new();
        // The server closes: reading ends.
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let mut many = String::from("GET /livez HTTP/1.1\r\nHost: x\r\n");
    (0..200).for_each(|n| many.push_str(&format!("x-{n}: 1\r\n")));
    let answer = server
        .client()
        .exchange(format!("{many}\r\n").as_bytes(), false);
    assert_eq!(answer.expect("an answer").status, 431);
}

#[test]
fn a_body_that_is_cut_off_leaves_nothing_behind() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream
        .write_all(
            b"POST /v1/posts HTTP/1.1\r\nHost: x\r\nX-Actor: ada\r\n\
              Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"message\":",
        )
        .expect("sent");
    stream.shutdown(Shutdown::Write).expect("half closed");
    let mut rest = Vec::new();
    // An answer or a closed connection: the client is gone either way.
    let _ = stream.read_to_end(&mut rest);
    let page = server.send(&get("/v1/posts")).expect(200).value();
    assert_eq!(page, json!({"items": [], "next": null}));
}

#[test]
fn whoever_shuts_its_side_down_after_the_request_still_gets_the_answer() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let body = r#"{"message":"hi"}"#;
    let head = format!(
        "POST /v1/posts HTTP/1.1\r\nHost: x\r\nX-Actor: ada\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.shutdown(Shutdown::Write).expect("half closed");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}
