//! One post, one comment, one author.

use cqrs_core::Actor;
use social_read_model::{AuthorKey, Missing, PageRequest, QueryError, SocialQueries, Tokens};
use uuid::Uuid;

use crate::block_on;
use crate::harness::{Harness, World};
use crate::history::{Op, comment, post};

fn actor(name: &str) -> AuthorKey {
    AuthorKey::Actor(Actor::parse(name).unwrap())
}

fn register(actor: usize, handle: &str) -> Op {
    let handle = handle.to_owned();
    Op::Register { actor, handle }
}

pub(crate) fn a_deleted_post_is_gone_with_all_under_it<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let ops = [
            Op::create(1, 1),
            Op::Comment {
                post: 1,
                comment: 7,
                actor: 2,
            },
            Op::LikeComment {
                post: 1,
                comment: 7,
                actor: 0,
            },
            Op::Delete { post: 1 },
        ];
        world.happen(&ops).await;
        let (id, page, none) = (post(1), PageRequest::default(), Tokens::none());
        let queries = world.queries();
        let read = queries.post(id, &none).await;
        assert!(matches!(read, Err(QueryError::Gone)));
        let comments = queries.comments(id, &page, &none).await;
        assert!(matches!(comments, Err(QueryError::Gone)));
        let likes = queries.likes(id, &page, &none).await;
        assert!(matches!(likes, Err(QueryError::Gone)));
        let comment = queries.comment(id, comment(7), &none).await;
        assert!(matches!(comment, Err(QueryError::Gone)));
        let unknown = queries.post(Uuid::from_u128(99), &none).await;
        assert!(matches!(unknown, Err(QueryError::NotFound(Missing::Post))));
        let liker = queries.author(&actor("actor-0"), &none).await.unwrap();
        assert_eq!((liker.handle, liker.likes_received), (None, 0));
        let stranger = queries.author(&actor("stranger"), &none).await;
        let missing = QueryError::NotFound(Missing::Author).to_string();
        assert_eq!(stranger.unwrap_err().to_string(), missing);
    });
}

pub(crate) fn a_handle_answers_for_its_present_holder_in_any_case<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let ops = [
            register(0, "Ada"),
            Op::create(1, 0),
            Op::Handle {
                actor: 0,
                handle: "Lovelace".into(),
            },
            register(1, "ada"),
        ];
        world.happen(&ops).await;
        let none = Tokens::none();
        let queries = world.queries();
        let by = |handle: &str| AuthorKey::Handle(handle.to_owned());
        let ada = queries.author(&by("ADA"), &none).await.unwrap();
        assert_eq!(ada.actor, "actor-1");
        let lovelace = queries.author(&by("lovelace"), &none).await.unwrap();
        assert_eq!(
            (lovelace.actor.as_str(), lovelace.handle.as_deref()),
            ("actor-0", Some("Lovelace"))
        );
        let read = queries.post(post(1), &none).await.unwrap();
        assert_eq!(read.author_handle.as_deref(), Some("Lovelace"));
        let nobody = queries.author(&by("nobody"), &none).await;
        assert!(matches!(nobody, Err(QueryError::NotFound(Missing::Author))));
    });
}

pub(crate) fn statistics_are_summed_over_partitions<H: Harness>() {
    block_on(async {
        let world = World::<H>::with_partitions(4).await;
        let posts = 12;
        let mut ops = vec![register(0, "ada")];
        for number in 0..posts {
            ops.push(Op::create(number, number));
            ops.push(Op::Like {
                post: number,
                actor: 1,
            });
        }
        let commits = world.commits(&ops).await;
        let mut used: Vec<_> = commits.iter().map(|c| c.at.partition.index()).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, [0, 1, 2, 3], "the streams are spread");
        world.apply(&commits).await;
        let queries = world.queries();
        let ada = queries.author(&actor("actor-0"), &Tokens::none()).await;
        let ada = ada.unwrap();
        assert_eq!(ada.handle.as_deref(), Some("ada"));
        assert_eq!((ada.post_count, ada.likes_received), (12, 12));
    });
}
