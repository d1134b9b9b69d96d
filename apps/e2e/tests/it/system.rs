//! The five services together: every command in each of its ways, every query.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Client, get};
use crate::script::{Step, Story};
use crate::world::System;

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn every_command_reaches_every_query_by_http_and_by_message() {
    let mut system = System::start();
    let stories = [Story::new(1), Story::new(2), Story::new(3)];
    let names: BTreeSet<_> = stories[0].steps().iter().map(|step| step.name).collect();
    assert_eq!(names.len(), 11, "every command of the contract");

    let client = &mut system.commands();
    for step in stories[0].steps() {
        let created = ["CreatePost", "AddComment"].contains(&step.name);
        let answer = client.send(&step.as_route());
        let answer = answer.expect(if created { 201 } else { 200 });
        assert_eq!(answer.header("location").is_some(), created);
    }
    for step in stories[1].steps() {
        client.send(&step.as_message()).expect(200);
    }
    by_topic(&system, &stories[2]);

    let history = system.world.history();
    let token = history.token();
    system.reaches(&token);
    let client = &mut system.queries();
    for story in &stories {
        read_everything(client, story, &token);
    }
    let steps: usize = stories.iter().map(|story| story.steps().len()).sum();
    assert_eq!(history.commits().count(), steps);
    history.recount().check_queries(client, &token);
    system.world.check_topic(&history);
    system.check_activity(&history);
    system.check_health();
    system.end();
}

/// Tells the story by the command topic, each command twice, with one that is refused and one that makes no sense.
fn by_topic(system: &System, story: &Story) {
    let refused = Step {
        name: "EditPost",
        id: crate::names::uuid(77),
        actor: story.guest.clone(),
        data: json!({"post_id": story.post, "message": "mine"}),
    };
    let senseless =
        json!({"type": "Dance", "id": crate::names::uuid(78), "actor": "ada", "data": {}});
    let steps = story.steps();
    // One key, so that they are handled in this order.
    let mut records: Vec<_> = steps
        .iter()
        .chain([&refused])
        .map(|step| (story.post.clone(), step.as_record()))
        .collect();
    records.extend(records.clone());
    records.push((story.post.clone(), senseless));
    system.world.produce(&records);

    let ids = records.iter().map(|(_, record)| record["id"].as_str());
    let ids: Vec<_> = ids.map(|id| id.unwrap().to_owned()).collect();
    let replies = system.world.answered(&ids);
    assert_eq!(replies.len(), steps.len() + 2);
    for step in &steps {
        let reply = &replies[&step.id];
        assert_eq!(reply["status"], 200, "{step:?}: {reply}");
        assert!(
            reply["position"].is_string() && reply["version"].is_u64(),
            "{reply}"
        );
    }
    let problem = |id: u128| {
        let reply = &replies[&crate::names::uuid(id)];
        (reply["status"].clone(), reply["type"].clone())
    };
    assert_eq!(problem(77), (json!(403), json!("/problems/not-the-author")));
    assert_eq!(problem(78), (json!(400), json!("/problems/invalid-value")));
}

/// Every query of the contract, on what the story left.
fn read_everything(client: &mut Client, story: &Story, token: &str) {
    let mut read = |path: &str| client.send(&get(path).at(token, 30));
    let path = format!("/v1/posts/{}", story.post);
    let answer = read(&path).expect(200);
    let etag = answer.header("etag").unwrap().to_owned();
    let post = answer.value();
    for (member, due) in [
        ("id", json!(story.post)),
        ("author", json!(story.author)),
        ("author_handle", Value::Null),
        ("message", json!("second")),
        ("like_count", json!(2)),
        ("comment_count", json!(1)),
        ("version", json!(13)),
    ] {
        assert_eq!(post[member], due, "`{member}` of {post}");
    }
    assert!(post["created_at"].is_string() && post["edited_at"].is_string());
    read(&format!("/v1/posts/{}", story.deleted)).expect_problem(410, "post-deleted");

    for (filter, due) in [
        (format!("author={}", story.author), 1),
        (format!("commented_by={}", story.commenter), 1),
        (format!("commented_by={}", story.guest), 0),
        (format!("liked_by={}&sort=top", story.commenter), 1),
        (
            format!("author={}&min_likes=2&min_comments=1", story.author),
            1,
        ),
        (format!("author={}&min_likes=3", story.author), 0),
    ] {
        let page = read(&format!("/v1/posts?{filter}")).expect(200).value();
        assert_eq!(
            page["items"].as_array().unwrap().len(),
            due,
            "{filter}: {page}"
        );
    }
    let comments = read(&format!("{path}/comments?limit=1"))
        .expect(200)
        .value();
    assert_eq!(comments["items"][0]["id"], story.comment);
    let comment = read(&format!("{path}/comments/{}", story.comment))
        .expect(200)
        .value();
    assert_eq!(comment, comments["items"][0]);
    assert_eq!(
        (&comment["message"], &comment["like_count"]),
        (&json!("no"), &json!(1))
    );
    assert_eq!(comment["author_handle"], story.handle);
    read(&format!("{path}/comments/{}", story.removed)).expect_problem(404, "comment-not-found");
    let likes = read(&format!("{path}/likes")).expect(200).value();
    let actors = likes["items"].as_array().unwrap().iter();
    let actors: BTreeSet<_> = actors.map(|like| like["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, BTreeSet::from([&*story.commenter, &*story.guest]));
    let author = read(&format!("/v1/authors/{}", story.author))
        .expect(200)
        .value();
    assert_eq!(
        (&author["post_count"], &author["likes_received"]),
        (&json!(1), &json!(2))
    );
    let by_handle = read(&format!("/v1/authors/@{}", story.handle.to_uppercase())).expect(200);
    assert_eq!(by_handle.value()["actor"], story.commenter);
    assert_eq!(by_handle.value()["comment_count"], 1);
    read(&format!("/v1/posts/{}", crate::names::uuid(79))).expect_problem(404, "post-not-found");
    read("/v1/authors/nobody").expect_problem(404, "author-not-found");
    let unchanged = get(&path).header("If-None-Match", &etag);
    client.send(&unchanged).expect(304);
    pages(client, token);
}

/// A walk by pages of one meets each post that is there, the most liked first.
fn pages(client: &mut Client, token: &str) {
    let (mut met, mut likes, mut cursor) = (BTreeSet::new(), u64::MAX, String::new());
    loop {
        let page = get(&format!("/v1/posts?sort=top&limit=1&cursor={cursor}")).at(token, 30);
        let page = client.send(&page).expect(200).value();
        for post in page["items"].as_array().unwrap() {
            assert!(met.insert(post["id"].to_string()), "met twice: {post}");
            let liked = post["like_count"].as_u64().unwrap();
            assert!(liked <= likes, "{liked} likes after {likes}");
            likes = liked;
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(met.len(), 3, "a post of each story");
}

impl System {
    /// Every service lives, is ready, and counts.
    fn check_health(&self) {
        for service in [
            &self.command_api,
            &self.relay,
            &self.projector,
            &self.query_api,
            &self.activity,
        ] {
            let mut client = service.client();
            client.send(&get("/livez")).expect(200);
            client.send(&get("/readyz")).expect(200);
            assert!(!client.send(&get("/metrics")).expect(200).body.is_empty());
        }
    }
}
