//! Every row of the queries' table.

use serde_json::{Value, json};

use crate::server::Server;
use crate::{comment, post, read, uuid};
use social_test_kit::{Client, get, request, write};

/// The token of the newest commit: another post's.
fn newest(client: &mut Client) -> String {
    let body = json!({"message": "newest"});
    let answer = client.send(&write("zoe", "POST", "/v1/posts", &body));
    answer.expect(201).token()
}

fn like(client: &mut Client, actor: &str, post: &str) {
    let path = format!("/v1/posts/{post}/like");
    client
        .send(&write(actor, "PUT", &path, &Value::Null))
        .expect(200);
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

#[test]
fn a_post_is_read_whole() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    like(client, "ada", &id);
    comment(client, "bob", &id, "yes");
    let token = newest(client);
    let value = read(client, &format!("/v1/posts/{}", id.to_uppercase()), &token);
    let created = value["created_at"].as_str().expect("a time").to_owned();
    assert!(created.ends_with('Z') && created.len() == "2026-01-01T00:00:00.000Z".len());
    assert_eq!(
        value,
        json!({"id": id, "author": "ada", "author_handle": null, "message": "hi",
               "created_at": created, "edited_at": null,
               "like_count": 1, "comment_count": 1, "version": 3})
    );
    let likes = read(client, &format!("/v1/posts/{id}/likes"), &token);
    assert_eq!(likes["items"][0]["actor"], "ada");
    assert!(likes["items"][0]["at"].is_string());
    assert_eq!(likes["next"], Value::Null);
    let author = read(client, "/v1/authors/ada", &token);
    assert_eq!(
        author,
        json!({"actor": "ada", "handle": null, "display_name": null,
               "post_count": 1, "comment_count": 0, "likes_received": 1})
    );
}

#[test]
fn posts_are_filtered_sorted_and_paged() {
    let server = Server::start();
    let client = &mut server.client();
    let posts: Vec<_> = (0..5)
        .map(|n| {
            post(
                client,
                if n % 2 == 0 { "ada" } else { "bob" },
                &format!("{n}"),
            )
        })
        .collect();
    like(client, "eve", &posts[1]);
    like(client, "eve", &posts[3]);
    like(client, "dan", &posts[3]);
    comment(client, "eve", &posts[0], "yes");
    let token = newest(client);
    let list =
        |client: &mut Client, query: &str| read(client, &format!("/v1/posts?{query}"), &token);
    let pick =
        |numbers: &[usize]| -> Vec<String> { numbers.iter().map(|n| posts[*n].clone()).collect() };
    for (query, expected) in [
        ("author=bob", pick(&[3, 1])),
        ("liked_by=eve&sort=top", pick(&[3, 1])),
        ("min_likes=2", pick(&[3])),
        ("min_comments=1", pick(&[0])),
        ("commented_by=eve", pick(&[0])),
        ("author=ada&commented_by=eve&liked_by=", pick(&[0])),
        ("author=ada&liked_by=eve", pick(&[])),
    ] {
        assert_eq!(ids(&list(client, query)), expected, "{query}");
    }
    // A walk over pages sees each once; its limit may change.
    let mut walked = Vec::new();
    let mut query = "author=ada&limit=1".to_owned();
    loop {
        let page = list(client, &query);
        walked.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => query = format!("author=ada&limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, pick(&[4, 2, 0]));
}

#[test]
fn comments_and_likes_are_paged() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let comments: Vec<_> = (0..3)
        .map(|n| comment(client, "bob", &id, &n.to_string()))
        .collect();
    for actor in ["a", "b", "c"] {
        like(client, actor, &id);
    }
    let token = newest(client);
    let path = format!("/v1/posts/{id}/comments?limit=2");
    let first = read(client, &path, &token);
    assert_eq!(ids(&first), comments[..2]);
    let next = first["next"].as_str().expect("more");
    let second = read(client, &format!("{path}&cursor={next}"), &token);
    assert_eq!(ids(&second), comments[2..]);
    assert_eq!(second["next"], Value::Null);
    // A cursor belongs to its list.
    let foreign = format!("/v1/posts/{id}/likes?cursor={next}");
    client
        .send(&get(&foreign))
        .expect_problem(400, "invalid-parameter");
    let likes = read(client, &format!("/v1/posts/{id}/likes?limit=2"), &token);
    assert_eq!(likes["items"].as_array().map(Vec::len), Some(2));
    assert!(likes["next"].is_string());
}

#[test]
fn what_is_not_there_is_said() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let gone = post(client, "ada", "gone");
    let cid = comment(client, "bob", &gone, "yes");
    client
        .send(&write(
            "ada",
            "DELETE",
            &format!("/v1/posts/{gone}"),
            &Value::Null,
        ))
        .expect(200);
    let token = newest(client);
    let missing = uuid(999);
    let rows = [
        (format!("/v1/posts/{missing}"), 404, "post-not-found"),
        (
            format!("/v1/posts/{missing}/comments"),
            404,
            "post-not-found",
        ),
        (format!("/v1/posts/{missing}/likes"), 404, "post-not-found"),
        (
            format!("/v1/posts/{id}/comments/{missing}"),
            404,
            "comment-not-found",
        ),
        (format!("/v1/posts/{gone}"), 410, "post-deleted"),
        (format!("/v1/posts/{gone}/comments"), 410, "post-deleted"),
        (
            format!("/v1/posts/{gone}/comments/{cid}"),
            410,
            "post-deleted",
        ),
        (format!("/v1/posts/{gone}/likes"), 410, "post-deleted"),
        ("/v1/authors/nobody".to_owned(), 404, "author-not-found"),
        ("/v1/authors/@nobody".to_owned(), 404, "author-not-found"),
        ("/v1/posts/nonsense".to_owned(), 400, "malformed-id"),
        (format!("/v1/posts/{id}/comments/x"), 400, "malformed-id"),
        ("/v1/posts?limit=0".to_owned(), 400, "invalid-parameter"),
        ("/v1/posts?limit=101".to_owned(), 400, "invalid-parameter"),
        ("/v1/posts?limit=x".to_owned(), 400, "invalid-parameter"),
        (
            "/v1/posts?min_likes=-1".to_owned(),
            400,
            "invalid-parameter",
        ),
        ("/v1/posts?sort=old".to_owned(), 400, "invalid-parameter"),
        ("/v1/posts?colour=red".to_owned(), 400, "invalid-parameter"),
        (
            "/v1/posts?cursor=damaged".to_owned(),
            400,
            "invalid-parameter",
        ),
        (
            "/v1/posts?author=No%20Actor".to_owned(),
            400,
            "invalid-parameter",
        ),
        (format!("/v1/posts/{id}?x=1"), 400, "invalid-parameter"),
    ];
    for (path, status, slug) in rows {
        let answer = client.send(&get(&path).header("Consistency-Token", &token));
        answer.expect_problem(status, slug);
    }
    // Its author's statistics no longer count it.
    assert_eq!(read(client, "/v1/authors/ada", &token)["post_count"], 1);
    assert_eq!(read(client, "/v1/authors/bob", &token)["comment_count"], 0);
}

#[test]
fn tokens_are_waited_for_and_told_when_late() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let path = format!("/v1/posts/{id}");
    for satisfied in ["0-1", "0-0", "0-1, 0-0"] {
        let request = get(&path).header("Consistency-Token", satisfied);
        client.send(&request).expect(200);
    }
    let late = get(&path)
        .header("Consistency-Token", "0-99")
        .header("Prefer", "wait=0");
    let answer = client.send(&late);
    assert!(answer.header("retry-after").is_some());
    answer.expect_problem(503, "behind");
    for bad in ["7-1", "x", "0-1,", "0-01", "-1"] {
        let request = get(&path).header("Consistency-Token", bad);
        client.send(&request).expect_problem(400, "invalid-value");
    }
    // A malformed preference is none.
    let ignored = get(&path)
        .header("Consistency-Token", "0-1")
        .header("Prefer", "wait=soon");
    client.send(&ignored).expect(200);
}

#[test]
fn a_waiting_query_is_answered_when_its_commit_comes() {
    let server = Server::start();
    let address = server.address();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let path = format!("/v1/posts/{id}");
    let waiting = std::thread::spawn({
        let late = get(&path)
            .header("Consistency-Token", "0-2")
            .header("Prefer", "wait=30");
        move || Client::new(address).send(&late)
    });
    like(client, "bob", &id);
    let answer = waiting.join().expect("an answer").expect(200);
    assert_eq!(answer.value()["like_count"], 1);
}

#[test]
fn tags_change_with_the_body() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    like(client, "bob", &id);
    let token = newest(client);
    let paths = [
        format!("/v1/posts/{id}"),
        format!("/v1/posts/{id}/likes"),
        "/v1/posts".to_owned(),
        "/v1/authors/ada".to_owned(),
    ];
    for path in &paths {
        let first = client
            .send(&get(path).header("Consistency-Token", &token))
            .expect(200);
        let tag = first.header("etag").expect("a tag").to_owned();
        for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = client
                .send(&get(path).header("If-None-Match", &known))
                .expect(304);
            assert_eq!(again.header("etag"), Some(&*tag));
        }
        client
            .send(&get(path).header("If-None-Match", "\"x\""))
            .expect(200);
    }
    let tag = |client: &mut Client, token: &str| {
        let answer = client.send(&get(&paths[0]).header("Consistency-Token", token));
        answer.expect(200).header("etag").expect("a tag").to_owned()
    };
    let before = tag(client, &token);
    assert!(before.starts_with("\"2-"), "{before}");
    // The author's handle is in the body, not in the version.
    let body = json!({"handle": "ada", "display_name": "Ada"});
    let registered = client
        .send(&write("ada", "PUT", "/v1/authors/me", &body))
        .expect(200);
    let after = tag(client, &registered.token());
    assert!(after.starts_with("\"2-") && after != before, "{after}");
}

#[test]
fn head_is_get_without_the_body_and_options_name_the_methods() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let token = newest(client);
    let path = format!("/v1/posts/{id}");
    let full = client
        .send(&get(&path).header("Consistency-Token", &token))
        .expect(200);
    let head = client.send(&request("HEAD", &path)).expect(200);
    for name in ["etag", "content-type", "content-length"] {
        assert_eq!(head.header(name), full.header(name), "{name}");
    }
    for (path, methods) in [
        ("/v1/posts".to_owned(), "GET HEAD OPTIONS POST"),
        (path, "DELETE GET HEAD OPTIONS"),
        (format!("/v1/posts/{id}/like"), "DELETE OPTIONS PUT"),
        ("/v1/authors/me".to_owned(), "OPTIONS PUT"),
    ] {
        let answer = client.send(&request("OPTIONS", &path)).expect(204);
        let allow = answer.header("allow").expect("methods").to_owned();
        let mut allowed: Vec<_> = allow.split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(" "), methods, "{path}");
    }
}
