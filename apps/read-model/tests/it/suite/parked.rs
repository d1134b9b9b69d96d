//! Streams that wait for a human.

use cqrs_core::{ApplyError, ParkedStreams};
use social_read_model::{Missing, QueryError, SocialQueries, Tokens};

use crate::block_on;
use crate::harness::{Harness, World, tokens};
use crate::history::{Op, post};

pub(crate) fn events_out_of_nowhere_are_poison<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let ops = [Op::create(1, 1), Op::Edit { post: 1 }];
        let commits = world.commits(&ops).await;
        let failed = world.try_apply(&commits[1..]).await;
        assert!(matches!(failed, Err(ApplyError::Poison { index: 0, .. })));
        // Nothing of it stays, the checkpoint neither.
        world.apply(&commits).await;
        let read = world.queries().post(post(1), &Tokens::none()).await;
        assert_eq!(read.unwrap().message, "edited");
    });
}

pub(crate) fn a_parked_commit_is_not_reflected_until_released<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let ops = [Op::create(1, 1), Op::Edit { post: 1 }];
        let commits = world.commits(&ops).await;
        world.park(&commits, "no reason").await;
        let (queries, last) = (world.queries(), commits[1].at);
        for commit in &commits {
            let behind = queries.post(post(1), &tokens(&[commit.at])).await;
            let Err(QueryError::Behind { token, reached }) = behind else {
                panic!("a parked commit counts as not reached");
            };
            assert_eq!((token, reached), (commit.at, last.position));
        }
        let unasked = queries.post(post(1), &Tokens::none()).await;
        assert!(matches!(unasked, Err(QueryError::NotFound(Missing::Post))));
        let parked = world.projection().parked(last.partition).await.unwrap();
        assert_eq!((parked.len(), parked[0].waiting), (1, 2));
        assert_eq!(parked[0].reason, "no reason");

        let stream = &commits[0].stream;
        let released = world.projection().release(last.partition, stream).await;
        released.unwrap();
        let read = queries.post(post(1), &tokens(&[last])).await.unwrap();
        assert_eq!((read.message.as_str(), read.version), ("edited", 2));
        let parked = world.projection().parked(last.partition).await.unwrap();
        assert_eq!(parked, []);
    });
}

pub(crate) fn a_parked_stream_holds_no_other_back<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        let commits = world.commits(&[Op::create(1, 1), Op::create(2, 2)]).await;
        world.park(&commits[..1], "no reason").await;
        world.apply(&commits[1..]).await;
        let queries = world.queries();
        let other = queries.post(post(2), &tokens(&[commits[1].at])).await;
        assert!(other.is_ok());
        let both = tokens(&[commits[1].at, commits[0].at]);
        let behind = queries.post(post(2), &both).await;
        assert!(matches!(behind, Err(QueryError::Behind { token, .. }) if token == commits[0].at));
    });
}
