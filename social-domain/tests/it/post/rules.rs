//! What is decided, rule by rule.

use cqrs_core::testing::given;
use social_domain::{CommentEdited, Post, PostEdited, PostError, PostEvent};

use super::{
    AUTHOR, COMMENTER, STRANGER, add, added, comment_liked, comment_unliked, create, created,
    delete, deleted, edit, edit_comment, like, like_comment, liked, post, remove, removed, unlike,
    unlike_comment, unliked,
};
use crate::support::{by, comment};

#[test]
fn a_created_post_is_its_creators() {
    given::<Post>([])
        .when(create(), &by(AUTHOR))
        .then([created()]);
}

#[test]
fn an_id_is_never_used_again() {
    post([])
        .when(create(), &by(AUTHOR))
        .then_error(PostError::AlreadyExists);
    post([deleted()])
        .when(create(), &by(AUTHOR))
        .then_error(PostError::AlreadyExists);
}

#[test]
fn the_author_edits_and_the_same_text_is_nothing_to_do() {
    let edited = |message: &str| {
        let message = message.into();
        PostEvent::from(PostEdited { message })
    };
    post([])
        .when(edit("other"), &by(AUTHOR))
        .then([edited("other")]);
    post([]).when(edit("hi"), &by(AUTHOR)).then_nothing();
    post([edited("other")])
        .when(edit("other"), &by(AUTHOR))
        .then_nothing();
    post([edited("other")])
        .when(edit("hi"), &by(AUTHOR))
        .then([edited("hi")]);
    // Who may not is told so, whatever the text.
    post([])
        .when(edit("hi"), &by(STRANGER))
        .then_error(PostError::NotTheAuthor);
}

#[test]
fn the_author_deletes_once() {
    post([]).when(delete(), &by(AUTHOR)).then([deleted()]);
    post([deleted()])
        .when(delete(), &by(AUTHOR))
        .then_error(PostError::PostDeleted);
    // Gone is told before who may.
    post([deleted()])
        .when(delete(), &by(STRANGER))
        .then_error(PostError::PostDeleted);
}

#[test]
fn a_like_counts_once_for_each_actor() {
    post([]).when(like(), &by(STRANGER)).then([liked(STRANGER)]);
    post([liked(STRANGER)])
        .when(like(), &by(STRANGER))
        .then_nothing();
    post([liked(STRANGER)])
        .when(like(), &by(COMMENTER))
        .then([liked(COMMENTER)]);
    // One's own, too.
    post([]).when(like(), &by(AUTHOR)).then([liked(AUTHOR)]);
    post([liked(STRANGER), unliked(STRANGER)])
        .when(like(), &by(STRANGER))
        .then([liked(STRANGER)]);
}

#[test]
fn only_one_s_own_like_is_taken_back() {
    post([liked(STRANGER)])
        .when(unlike(), &by(STRANGER))
        .then([unliked(STRANGER)]);
    post([liked(STRANGER)])
        .when(unlike(), &by(AUTHOR))
        .then_nothing();
    post([]).when(unlike(), &by(STRANGER)).then_nothing();
    post([liked(STRANGER), unliked(STRANGER)])
        .when(unlike(), &by(STRANGER))
        .then_nothing();
}

#[test]
fn anyone_comments_as_often_as_they_like() {
    post([]).when(add(Some(1)), &by(COMMENTER)).then([added(1)]);
    post([added(1)])
        .when(add(Some(2)), &by(COMMENTER))
        .then([added(2)]);
}

#[test]
fn a_comment_without_an_id_gets_one_that_follows_from_the_command() {
    let by = by(COMMENTER);
    let derived = by.command_id.derive("comment").as_u128();
    post([]).when(add(None), &by).then([added(derived)]);
    // So that the command, decided again, does not comment twice.
    post([added(derived)])
        .when(add(None), &by)
        .then_error(PostError::AlreadyExists);
}

#[test]
fn a_comment_s_id_is_never_used_again_under_its_post() {
    for history in [vec![added(1)], vec![added(1), removed(1)]] {
        post(history)
            .when(add(Some(1)), &by(STRANGER))
            .then_error(PostError::AlreadyExists);
    }
}

#[test]
fn the_commenter_edits_and_nobody_else_not_even_the_post_s_author() {
    let edited = CommentEdited {
        comment_id: comment(1).as_uuid(),
        message: "no".into(),
    };
    post([added(1)])
        .when(edit_comment(1, "no"), &by(COMMENTER))
        .then([edited.clone().into()]);
    post([added(1)])
        .when(edit_comment(1, "yes"), &by(COMMENTER))
        .then_nothing();
    post([added(1), edited.into()])
        .when(edit_comment(1, "no"), &by(COMMENTER))
        .then_nothing();
    for other in [AUTHOR, STRANGER] {
        post([added(1)])
            .when(edit_comment(1, "no"), &by(other))
            .then_error(PostError::NotTheAuthor);
    }
}

#[test]
fn the_commenter_and_the_post_s_author_remove_a_comment() {
    for may in [COMMENTER, AUTHOR] {
        post([added(1)])
            .when(remove(1), &by(may))
            .then([removed(1)]);
    }
    post([added(1)])
        .when(remove(1), &by(STRANGER))
        .then_error(PostError::NotTheAuthor);
    // Removed is not found: that is told before who may.
    for actor in [COMMENTER, AUTHOR, STRANGER] {
        post([added(1), removed(1)])
            .when(remove(1), &by(actor))
            .then_error(PostError::CommentNotFound);
    }
}

#[test]
fn a_like_of_a_comment_counts_once_for_each_actor() {
    post([added(1)])
        .when(like_comment(1), &by(STRANGER))
        .then([comment_liked(1, STRANGER)]);
    post([added(1), comment_liked(1, STRANGER)])
        .when(like_comment(1), &by(STRANGER))
        .then_nothing();
    // Neither the post's likes nor another comment's are this one's.
    post([
        added(1),
        added(2),
        liked(STRANGER),
        comment_liked(2, STRANGER),
    ])
    .when(like_comment(1), &by(STRANGER))
    .then([comment_liked(1, STRANGER)]);
    let back = [
        added(1),
        comment_liked(1, STRANGER),
        comment_unliked(1, STRANGER),
    ];
    post(back.clone())
        .when(unlike_comment(1), &by(STRANGER))
        .then_nothing();
    post(back)
        .when(like_comment(1), &by(STRANGER))
        .then([comment_liked(1, STRANGER)]);
}

#[test]
fn only_one_s_own_like_of_a_comment_is_taken_back() {
    let history = [added(1), comment_liked(1, STRANGER)];
    post(history.clone())
        .when(unlike_comment(1), &by(STRANGER))
        .then([comment_unliked(1, STRANGER)]);
    post(history)
        .when(unlike_comment(1), &by(COMMENTER))
        .then_nothing();
}

#[test]
fn nothing_under_another_comment_is_touched_by_a_removal() {
    post([added(1), added(2), comment_liked(2, STRANGER), removed(1)])
        .when(like_comment(2), &by(STRANGER))
        .then_nothing();
    post([added(1), added(2), removed(1)])
        .when(edit_comment(2, "yes"), &by(COMMENTER))
        .then_nothing();
}
