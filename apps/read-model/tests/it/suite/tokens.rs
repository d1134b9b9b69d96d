//! Consistency tokens against checkpoints.

use cqrs_core::{LogPosition, Partition, Position};
use social_read_model::{PageRequest, PostFilter, QueryError, SocialQueries};

use crate::block_on;
use crate::harness::{Harness, World, tokens};
use crate::history::{Op, post};

fn at(partition: u16, position: u64) -> LogPosition {
    LogPosition::new(Partition::new(partition), Position::new(position))
}

pub(crate) fn tokens_are_held_against_the_checkpoint<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        world.happen(&[Op::create(1, 1)]).await;
        let ask = |at| tokens(&[at]);
        let queries = world.queries();
        assert!(queries.post(post(1), &ask(at(0, 0))).await.is_ok());
        assert!(queries.post(post(1), &ask(at(0, 1))).await.is_ok());
        let behind = queries.post(post(1), &ask(at(0, 2))).await;
        assert!(matches!(behind, Err(QueryError::Behind { reached, .. }) if reached.get() == 1));
        let unknown = queries.post(post(1), &ask(at(1, 0))).await;
        assert!(matches!(unknown, Err(QueryError::UnknownPartition(_))));
    });
}

pub(crate) fn each_partition_has_its_own_checkpoint<H: Harness>() {
    block_on(async {
        let world = World::<H>::with_partitions(2).await;
        let ops: Vec<_> = (0..10).map(|n| Op::create(n, n)).collect();
        let commits = world.commits(&ops).await;
        let [(zero, first), (one, last)] = [0, 1].map(|partition| {
            let of_it = commits
                .iter()
                .filter(|c| c.at.partition.index() == partition);
            let of_it: Vec<_> = of_it.cloned().collect();
            let last = of_it.last().expect("both are used").at;
            (of_it, last)
        });
        world.apply(&one).await;
        let (all, page) = (PostFilter::default(), PageRequest::default());
        let queries = world.queries();
        let (own, both) = (tokens(&[last]), tokens(&[last, first]));
        let ask = |tokens| queries.posts(&all, &page, tokens);
        assert_eq!(ask(&own).await.unwrap().items.len(), one.len());
        // The first token that is not reflected is told, wherever it stands.
        let behind = ask(&both).await.unwrap_err();
        let QueryError::Behind { token, reached } = behind else {
            panic!("not behind: {behind}");
        };
        assert_eq!((token, reached), (first, Position::START));
        world.apply(&zero).await;
        let found = ask(&both).await.unwrap();
        assert_eq!(found.items.len(), commits.len());
    });
}

pub(crate) fn a_bad_cursor_is_told_before_a_token_that_is_not_reflected<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let page = PageRequest {
            cursor: Some("damaged".to_owned()),
            ..PageRequest::default()
        };
        let (queries, never) = (world.queries(), tokens(&[at(0, 99)]));
        let listed = queries.posts(&PostFilter::default(), &page, &never).await;
        assert!(matches!(listed, Err(QueryError::InvalidCursor)));
        // And that before whether there is such a post.
        let read = queries.post(post(1), &never).await;
        assert!(matches!(read, Err(QueryError::Behind { .. })));
    });
}
