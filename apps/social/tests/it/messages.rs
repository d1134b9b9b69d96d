//! Commands as messages.

use serde_json::json;

use crate::server::Server;
use crate::uuid;
use social_test_kit::write;

#[test]
fn every_command_is_a_message_too() {
    let server = Server::start();
    let client = &mut server.client();
    let (id, cid) = (uuid(1), uuid(2));
    let messages = [
        ("ada", "CreatePost", json!({"message": "hi", "id": id})),
        (
            "ada",
            "EditPost",
            json!({"post_id": id, "message": "hello"}),
        ),
        ("bob", "LikePost", json!({"post_id": id})),
        (
            "bob",
            "AddComment",
            json!({"post_id": id, "id": cid, "message": "yes"}),
        ),
        (
            "bob",
            "EditComment",
            json!({"post_id": id, "comment_id": cid, "message": "no"}),
        ),
        (
            "ada",
            "LikeComment",
            json!({"post_id": id, "comment_id": cid}),
        ),
        (
            "ada",
            "UnlikeComment",
            json!({"post_id": id, "comment_id": cid}),
        ),
        (
            "ada",
            "RemoveComment",
            json!({"post_id": id, "comment_id": cid}),
        ),
        ("bob", "UnlikePost", json!({"post_id": id})),
        ("ada", "DeletePost", json!({"post_id": id})),
        (
            "ada",
            "RegisterAuthor",
            json!({"handle": "ada", "display_name": "Ada"}),
        ),
    ];
    for (number, (actor, kind, data)) in messages.into_iter().enumerate() {
        let envelope = json!({"type": kind, "id": uuid(100 + number as u128), "data": data});
        let sent = write(actor, "POST", "/v1/commands", &envelope);
        let first = client.send(&sent).expect(200);
        assert!(first.value()["version"].is_u64(), "{kind}");
        // The envelope's id is the idempotency key.
        let again = client.send(&sent).expect(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{kind}");
        assert_eq!(again.body, first.body, "{kind}");
    }
}
