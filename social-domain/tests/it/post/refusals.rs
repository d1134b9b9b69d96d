//! Who is refused what, and why.

use cqrs_core::Decide;
use cqrs_core::testing::{Given, given};
use social_domain::{Post, PostError};

use super::{
    AUTHOR, COMMENTER, STRANGER, add, added, create, created, delete, deleted, edit, edit_comment,
    like, like_comment, remove, removed, unlike, unlike_comment,
};
use crate::support::by;

/// Of each command in each state of the post, asked by the author, the
/// commenter and a stranger. A post that is not there is told before one that was deleted, that before a comment
/// that is not there, that before who may, that before what exists already.
#[test]
fn every_refusal_in_every_state() {
    // `.` accepted, N not found, D deleted, C no such comment, A not the author, X exists.
    let grid = "
        unknown deleted plain commented removed
        CreatePost    ... XXX XXX XXX XXX
        EditPost      NNN DDD .AA .AA .AA
        DeletePost    NNN DDD .AA .AA .AA
        LikePost      NNN DDD ... ... ...
        UnlikePost    NNN DDD ... ... ...
        AddComment    NNN DDD ... XXX XXX
        EditComment   NNN DDD CCC A.A CCC
        RemoveComment NNN DDD CCC ..A CCC
        LikeComment   NNN DDD CCC ... CCC
        UnlikeComment NNN DDD CCC ... CCC
    ";
    let states = [
        vec![],
        // Whatever was under it: it is deleted first of all.
        vec![created(), added(1), deleted()],
        vec![created()],
        vec![created(), added(1)],
        vec![created(), added(1), removed(1)],
    ];
    let mut rows = grid.trim().lines();
    assert_eq!(
        rows.next().map(|s| s.split(' ').count()),
        Some(states.len())
    );
    let mut cells = 0;
    for row in rows {
        let mut row = row.split_whitespace();
        let command = row.next().unwrap();
        for (state, cell) in states.iter().zip(row) {
            for (actor, expected) in [AUTHOR, COMMENTER, STRANGER].iter().zip(cell.chars()) {
                let refusal = refusal(command, given(state.clone()), actor);
                assert_eq!(refusal, expected, "{command} by {actor} after {state:?}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 10 * 5 * 3);
}

fn refusal(command: &str, post: Given<Post>, actor: &str) -> char {
    let (post, by) = (post.state(), &by(actor));
    let decided = match command {
        "CreatePost" => post.decide(&create(), by),
        "EditPost" => post.decide(&edit("other"), by),
        "DeletePost" => post.decide(&delete(), by),
        "LikePost" => post.decide(&like(), by),
        "UnlikePost" => post.decide(&unlike(), by),
        "AddComment" => post.decide(&add(Some(1)), by),
        "EditComment" => post.decide(&edit_comment(1, "other"), by),
        "RemoveComment" => post.decide(&remove(1), by),
        "LikeComment" => post.decide(&like_comment(1), by),
        "UnlikeComment" => post.decide(&unlike_comment(1), by),
        other => panic!("no command `{other}`"),
    };
    match decided {
        Ok(_) => '.',
        Err(PostError::PostNotFound) => 'N',
        Err(PostError::PostDeleted) => 'D',
        Err(PostError::CommentNotFound) => 'C',
        Err(PostError::NotTheAuthor) => 'A',
        Err(PostError::AlreadyExists) => 'X',
    }
}
