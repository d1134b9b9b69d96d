//! Events that come again.

use cqrs_core::Actor;
use social_read_model::{AuthorKey, SocialQueries, Tokens};

use crate::block_on;
use crate::harness::{Harness, World};
use crate::history::{Op, actor, post};

pub(crate) fn a_slice_that_comes_again_counts_only_what_is_new<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let (like, comment) = (Op::Like { post: 1, actor: 1 }, |comment| Op::Comment {
            post: 1,
            comment,
            actor: 2,
        });
        // The like of one who likes it already changes nothing, in whatever slice it comes.
        let ops = [Op::create(1, 1), like.clone(), comment(1), like, comment(2)];
        let commits = world.commits(&ops).await;
        world.apply(&commits[..3]).await;
        world.apply(&commits).await;
        world.apply(&commits).await;
        let queries = world.queries();
        let read = queries.post(post(1), &Tokens::none()).await.unwrap();
        assert_eq!(
            (read.like_count, read.comment_count, read.version),
            (1, 2, 5)
        );
        let commenter = AuthorKey::Actor(Actor::parse(&actor(2)).unwrap());
        let read = queries.author(&commenter, &Tokens::none()).await.unwrap();
        assert_eq!(read.comment_count, 2);
    });
}
