//! The SQLite read model against a plain recount, and its walks.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares only functions that are tests themselves"
)]

mod fixture;

use cqrs_core::{Actor, LogPosition, Partition, Position, Projection};
use cqrs_sqlite::ReadModel;
use fixture::{Op, World, recount};
use proptest::prelude::*;
use social_read_model::{
    AuthorKey, Missing, PageRequest, PostFilter, QueryError, SocialQueries, SocialReadModel, Sort,
    Tokens,
};
use uuid::Uuid;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_answer_equals_a_recount_in_any_slicing(
        ops in prop::collection::vec(fixture::op(), 1..120),
        cuts in prop::collection::vec(1_usize..20, 1..8),
    ) {
        block_on(async {
            let mut sliced = World::open().await;
            let mut whole = World::open().await;
            let commits = fixture::commits(&ops);
            let mut rest = commits.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (slice, more) = rest.split_at((*cut).min(rest.len()));
                sliced.apply(slice).await;
                rest = more;
            }
            whole.apply(&commits).await;
            let expected = recount(&ops);
            assert_eq!(sliced.dump().await, expected);
            assert_eq!(whole.dump().await, expected);
        });
    }
}

#[test]
fn walks_neither_skip_nor_repeat_while_posts_arrive() {
    block_on(async {
        let mut world = World::open().await;
        // Several posts at one moment: the id decides.
        let ops: Vec<_> = (0..25).map(|n| Op::create(n, n / 4)).collect();
        let commits = fixture::commits(&ops);
        world.apply(&commits[..20]).await;
        let before: Vec<_> = world.ids(&PostFilter::default(), 100).await;
        assert_eq!(before.len(), 20);
        let (all, none) = (PostFilter::default(), Tokens::none());
        let mut walked = Vec::new();
        let mut cursor = None;
        let mut arrivals = commits[20..].chunks(1);
        for limit in [1, 3, 2].into_iter().cycle() {
            let page = PageRequest { limit, cursor };
            let page = world.queries.posts(&all, &page, &none);
            let page = page.await.unwrap();
            walked.extend(page.items.into_iter().map(|p| p.id));
            if let Some(arrival) = arrivals.next() {
                world.apply(arrival).await;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(walked, before);
    });
}

#[test]
fn tokens_are_held_against_the_checkpoint() {
    block_on(async {
        let mut world = World::open().await;
        let commits = fixture::commits(&[Op::create(1, 1)]);
        world.apply(&commits).await;
        let post = fixture::post(1);
        let ask = |partition, position| {
            let at = LogPosition::new(Partition::new(partition), Position::new(position));
            Tokens::from(vec![at])
        };
        assert!(world.queries.post(post, &ask(0, 0)).await.is_ok());
        assert!(world.queries.post(post, &ask(0, 1)).await.is_ok());
        let behind = world.queries.post(post, &ask(0, 2)).await;
        assert!(matches!(behind, Err(QueryError::Behind { reached, .. }) if reached.get() == 1));
        let unknown = world.queries.post(post, &ask(1, 0)).await;
        assert!(matches!(unknown, Err(QueryError::UnknownPartition(_))));
    });
}

#[test]
fn a_deleted_post_is_gone_with_all_under_it() {
    block_on(async {
        let mut world = World::open().await;
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
        world.apply(&fixture::commits(&ops)).await;
        let (post, page, none) = (fixture::post(1), PageRequest::default(), Tokens::none());
        let queries = &world.queries;
        assert!(matches!(
            queries.post(post, &none).await,
            Err(QueryError::Gone)
        ));
        assert!(matches!(
            queries.comments(post, &page, &none).await,
            Err(QueryError::Gone)
        ));
        assert!(matches!(
            queries.likes(post, &page, &none).await,
            Err(QueryError::Gone)
        ));
        let comment = queries.comment(post, fixture::comment(7), &none).await;
        assert!(matches!(comment, Err(QueryError::Gone)));
        let unknown = queries.post(Uuid::from_u128(99), &none).await;
        assert!(matches!(unknown, Err(QueryError::NotFound(Missing::Post))));
        let liker = AuthorKey::Actor(Actor::parse("actor-0").unwrap());
        let liker = queries.author(&liker, &none).await.unwrap();
        assert_eq!((liker.handle, liker.likes_received), (None, 0));
        let stranger = AuthorKey::Actor(Actor::parse("stranger").unwrap());
        let stranger = queries.author(&stranger, &none).await;
        assert!(matches!(
            stranger,
            Err(QueryError::NotFound(Missing::Author))
        ));
    });
}

#[test]
fn a_handle_answers_for_its_present_holder_in_any_case() {
    block_on(async {
        let mut world = World::open().await;
        let ops = [
            Op::Register {
                actor: 0,
                handle: "Ada".into(),
            },
            Op::create(1, 0),
            Op::Handle {
                actor: 0,
                handle: "Lovelace".into(),
            },
            Op::Register {
                actor: 1,
                handle: "ada".into(),
            },
        ];
        world.apply(&fixture::commits(&ops)).await;
        let none = Tokens::none();
        let by = |handle: &str| AuthorKey::Handle(handle.to_owned());
        let ada = world.queries.author(&by("ADA"), &none).await.unwrap();
        assert_eq!(ada.actor, "actor-1");
        let lovelace = world.queries.author(&by("lovelace"), &none).await.unwrap();
        assert_eq!(
            (lovelace.actor.as_str(), lovelace.handle.as_deref()),
            ("actor-0", Some("Lovelace"))
        );
        let post = world.queries.post(fixture::post(1), &none).await.unwrap();
        assert_eq!(post.author_handle.as_deref(), Some("Lovelace"));
        let nobody = world.queries.author(&by("nobody"), &none).await;
        assert!(matches!(nobody, Err(QueryError::NotFound(Missing::Author))));
    });
}

#[test]
fn a_foreign_cursor_is_refused() {
    block_on(async {
        let mut world = World::open().await;
        world
            .apply(&fixture::commits(&[Op::create(1, 1), Op::create(2, 2)]))
            .await;
        let first = PageRequest {
            limit: 1,
            cursor: None,
        };
        let none = Tokens::none();
        let page = world
            .queries
            .posts(&PostFilter::default(), &first, &none)
            .await
            .unwrap();
        let second = PageRequest {
            limit: 9,
            cursor: page.next,
        };
        let top = PostFilter {
            sort: Sort::Top,
            ..PostFilter::default()
        };
        assert!(
            world
                .queries
                .posts(&PostFilter::default(), &second, &none)
                .await
                .is_ok()
        );
        let foreign = world.queries.posts(&top, &second, &none).await;
        assert!(matches!(foreign, Err(QueryError::InvalidCursor)));
    });
}

#[test]
fn events_out_of_nowhere_are_poison() {
    block_on(async {
        let world = World::open().await;
        assert!(world.projection.handles("post-liked"));
        assert_eq!(SocialReadModel::new().layout(), SocialReadModel::LAYOUT);
        let commits = fixture::commits(&[Op::create(1, 1), Op::Edit { post: 1 }]);
        let failed = world.try_apply(&commits[1..]).await;
        assert!(matches!(
            failed,
            Err(cqrs_core::ApplyError::Poison { index: 0, .. })
        ));
    });
}
