//! Pages.

use social_read_model::{PageRequest, PostFilter, QueryError, SocialQueries, Sort, Tokens};

use crate::block_on;
use crate::harness::{Harness, World};
use crate::history::Op;

pub(crate) fn walks_neither_skip_nor_repeat_while_posts_arrive<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        // Several posts at one moment: the id decides.
        let ops: Vec<_> = (0..25).map(|n| Op::create(n, n / 4)).collect();
        let commits = world.commits(&ops).await;
        world.apply(&commits[..20]).await;
        let (all, none) = (PostFilter::default(), Tokens::none());
        let before = world.ids(&all, 100).await;
        assert_eq!(before.len(), 20);
        let (mut walked, mut cursor) = (Vec::new(), None);
        let mut arrivals = commits[20..].chunks(1);
        for limit in [1, 3, 2].into_iter().cycle() {
            let page = PageRequest { limit, cursor };
            let page = world.queries().posts(&all, &page, &none).await.unwrap();
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

pub(crate) fn a_foreign_cursor_is_refused<H: Harness>() {
    block_on(async {
        let world = World::<H>::open().await;
        world.happen(&[Op::create(1, 1), Op::create(2, 2)]).await;
        let (all, none) = (PostFilter::default(), Tokens::none());
        let first = PageRequest {
            limit: 1,
            cursor: None,
        };
        let page = world.queries().posts(&all, &first, &none).await.unwrap();
        let second = PageRequest {
            limit: 9,
            cursor: page.next,
        };
        let top = PostFilter {
            sort: Sort::Top,
            ..PostFilter::default()
        };
        assert!(world.queries().posts(&all, &second, &none).await.is_ok());
        let foreign = world.queries().posts(&top, &second, &none).await;
        assert!(matches!(foreign, Err(QueryError::InvalidCursor)));
    });
}
