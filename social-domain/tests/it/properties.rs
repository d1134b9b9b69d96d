//! The invariants of a post, each over random command sequences.

use std::collections::BTreeMap;

use cqrs_core::{Aggregate, Codec, Snapshotted};
use proptest::prelude::*;
use social_domain::{CommentId, Post, PostError, PostEvent};

use crate::model::{Ask, Model, Request, requests};
use crate::support::fold;

/// What came of a request.
struct Step {
    request: Request,
    before: Post,
    decided: Result<Vec<PostEvent>, PostError>,
    after: Post,
}

fn run(requests: &[Request]) -> Vec<Step> {
    let mut post = Post::default();
    let steps = requests.iter().map(|request| {
        let (before, decided) = (post.clone(), request.ask(&post));
        let events = decided.as_deref().unwrap_or_default();
        let after = events.iter().fold(before.clone(), Post::evolve);
        post = after.clone();
        Step {
            request: request.clone(),
            before,
            decided,
            after,
        }
    });
    steps.collect()
}

fn history(requests: &[Request]) -> Vec<PostEvent> {
    let decided = run(requests).into_iter().flat_map(|step| step.decided);
    decided.flatten().collect()
}

proptest! {
    #[test]
    fn a_post_does_what_the_plain_model_does(requests in requests()) {
        let mut model = Model::default();
        for step in run(&requests) {
            let changed = step.decided.map(|events| !events.is_empty());
            prop_assert_eq!(changed, model.ask(&step.request), "{:?}", step.request);
            let (likes, comments, comment_likes) = model.counts();
            prop_assert_eq!(step.after.like_count(), likes);
            prop_assert_eq!(step.after.comment_count(), comments);
            for id in model.comments.keys() {
                let counted = step.after.comment_like_count(*id);
                prop_assert_eq!(counted, comment_likes.get(id).copied());
            }
        }
    }

    #[test]
    fn a_like_counts_once_per_actor_and_repeats_harmlessly(requests in requests()) {
        for step in run(&requests) {
            let count = |post: &Post| match step.request.ask {
                Ask::Like | Ask::Unlike => post.like_count(),
                _ => step.request.comment().and_then(|c| post.comment_like_count(c)).unwrap_or(0),
            };
            let (before, after) = (count(&step.before), count(&step.after));
            match step.request.ask {
                Ask::Like | Ask::LikeComment(_) => prop_assert!(after == before || after == before + 1),
                Ask::Unlike | Ask::UnlikeComment(_) => prop_assert!(after == before || after + 1 == before),
                _ => continue,
            }
            if step.decided.is_ok() {
                prop_assert_eq!(step.request.ask(&step.after), Ok(vec![]));
            }
        }
    }

    #[test]
    fn only_the_author_edits_or_deletes(requests in requests()) {
        let (mut author, mut commenters) = (None, BTreeMap::new());
        for step in run(&requests) {
            if !step.decided.is_ok_and(|events| !events.is_empty()) {
                continue;
            }
            let actor = step.request.actor;
            let commenter = |id| commenters.get(&id).copied();
            match (&step.request.ask, step.request.comment()) {
                (Ask::Create(_), _) => author = Some(actor),
                (Ask::Edit(_) | Ask::Delete, _) => prop_assert_eq!(Some(actor), author),
                (Ask::Comment(..), Some(id)) => { commenters.insert(id, actor); }
                (Ask::EditComment(..), Some(id)) => prop_assert_eq!(Some(actor), commenter(id)),
                (Ask::RemoveComment(_), Some(id)) => {
                    prop_assert!(Some(actor) == commenter(id) || Some(actor) == author);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_happens_to_a_deleted_post(requests in requests()) {
        let mut deleted = false;
        for step in run(&requests) {
            if deleted {
                let refusal = match step.request.ask {
                    Ask::Create(_) => PostError::AlreadyExists,
                    _ => PostError::PostDeleted,
                };
                prop_assert_eq!(&step.decided, &Err(refusal));
                prop_assert_eq!(&step.before, &step.after);
            }
            let events = step.decided.unwrap_or_default();
            deleted |= events.iter().any(|e| matches!(e, PostEvent::PostDeleted(_)));
        }
    }

    #[test]
    fn a_removed_comment_takes_no_edits_or_likes(requests in requests()) {
        let mut removed = Vec::new();
        for step in run(&requests) {
            let id = step.request.comment().map(CommentId::as_uuid);
            if id.is_some_and(|id| removed.contains(&id)) {
                let refusal = match (&step.decided, &step.request.ask) {
                    (Err(PostError::PostDeleted), _) => PostError::PostDeleted,
                    (_, Ask::Comment(..)) => PostError::AlreadyExists,
                    _ => PostError::CommentNotFound,
                };
                prop_assert_eq!(&step.decided, &Err(refusal));
            }
            for event in step.decided.unwrap_or_default() {
                if let PostEvent::CommentRemoved(event) = event {
                    removed.push(event.comment_id);
                }
            }
        }
    }

    /// As a read model counts: one up, one down with each event.
    #[test]
    fn counts_equal_the_sets_behind_them(requests in requests()) {
        let (mut likes, mut comments) = (0_i64, BTreeMap::new());
        for step in run(&requests) {
            for event in step.decided.unwrap_or_default() {
                match event {
                    PostEvent::PostLiked(_) => likes += 1,
                    PostEvent::PostUnliked(_) => likes -= 1,
                    PostEvent::CommentAdded(e) => { comments.insert(e.comment_id, 0_i64); }
                    PostEvent::CommentRemoved(e) => { comments.remove(&e.comment_id); }
                    PostEvent::CommentLiked(e) => *comments.get_mut(&e.comment_id).unwrap() += 1,
                    PostEvent::CommentUnliked(e) => *comments.get_mut(&e.comment_id).unwrap() -= 1,
                    PostEvent::PostDeleted(_) => { likes = 0; comments.clear(); }
                    PostEvent::PostCreated(_) | PostEvent::PostEdited(_) | PostEvent::CommentEdited(_) => {}
                }
            }
            prop_assert_eq!(i64::try_from(step.after.like_count()), Ok(likes));
            prop_assert_eq!(step.after.comment_count(), comments.len());
            for (id, likes) in &comments {
                let counted = step.after.comment_like_count(CommentId::new(*id)).unwrap();
                prop_assert_eq!(i64::try_from(counted), Ok(*likes));
            }
        }
    }

    #[test]
    fn a_history_folds_the_same_whole_in_two_halves_and_through_its_json(
        requests in requests(),
        cut in any::<prop::sample::Index>(),
    ) {
        let events = history(&requests);
        let whole: Post = fold(&events);

        let (head, tail) = events.split_at(cut.index(events.len() + 1));
        let json = serde_json::to_vec(&fold::<Post>(head).to_wire()).unwrap();
        let half = Post::from_wire(serde_json::from_slice(&json).unwrap()).unwrap();
        let halves = tail.iter().fold(half, Post::evolve);
        prop_assert_eq!(&halves, &whole);
        prop_assert_eq!(halves.weight(), whole.weight());

        let codec = Codec::<PostEvent>::new();
        let stored = events.iter().map(|event| codec.decode(&codec.encode(event).unwrap()).unwrap());
        let stored: Vec<_> = stored.collect();
        prop_assert_eq!(&stored, &events);
        prop_assert_eq!(fold::<Post>(&stored), whole);
    }

    #[test]
    fn a_refused_command_yields_no_event_and_changes_nothing(requests in requests()) {
        for step in run(&requests) {
            if step.decided.is_err() {
                prop_assert_eq!(step.before, step.after);
            }
        }
    }

    #[test]
    fn a_command_issued_again_with_the_same_ids_yields_nothing_new(requests in requests()) {
        for step in run(&requests) {
            let again = step.request.ask(&step.after);
            prop_assert!(again.as_ref().map_or(true, Vec::is_empty), "{:?}: {again:?}", step.request);
        }
    }
}
