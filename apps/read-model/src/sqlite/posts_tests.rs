//! Plans and costs of lists of posts, as SQLite tells them.

use rusqlite::StatementStatus;
use uuid::Uuid;

use super::*;
use crate::cursor::{NewKey, TopKey};

fn tables() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for made in [
        include_str!("schema/create.sql"),
        include_str!("schema/index.sql"),
    ] {
        connection.execute_batch(made).unwrap();
    }
    connection
}

fn ada() -> Option<Actor> {
    Actor::parse("ada").ok()
}

fn after(sort: Sort) -> After {
    let (created_at, id) = (1, Uuid::nil());
    match sort {
        Sort::New => After::New(NewKey { created_at, id }),
        Sort::Top => After::Top(TopKey {
            like_count: 1,
            created_at,
            id,
        }),
    }
}

/// The steps of the plan that finds a page's keys.
fn plan(filter: &PostFilter, drive: Drive) -> Vec<String> {
    let (sql, values) = keys_sql(filter, drive, Some(after(filter.sort)), 20);
    let connection = tables();
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let steps = explain.query_map(params_from_iter(values), |row| row.get(3));
    steps.unwrap().collect::<Result<_, _>>().unwrap()
}

fn filters(sort: Sort) -> [(Drive, PostFilter); 6] {
    let filter = PostFilter {
        sort,
        ..PostFilter::default()
    };
    let with = |change: fn(&mut PostFilter)| {
        let mut filter = filter.clone();
        change(&mut filter);
        filter
    };
    [
        (Drive::Order, filter.clone()),
        (Drive::Author, with(|f| f.author = ada())),
        (Drive::LikedBy, with(|f| f.liked_by = ada())),
        (Drive::CommentedBy, with(|f| f.commented_by = ada())),
        (Drive::MinLikes, with(|f| f.min_likes = Some(1))),
        (Drive::MinComments, with(|f| f.min_comments = Some(1))),
    ]
}

const FEW_PASS: fn(Drive) -> rusqlite::Result<u32> = |_| Ok(3);
const MANY_PASS: fn(Drive) -> rusqlite::Result<u32> = |_| Ok(FEW + 1);

#[test]
fn what_drives_is_in_order_or_little() {
    for sort in [Sort::New, Sort::Top] {
        for (alone, filter) in filters(sort) {
            let few = choose(&filter, FEW_PASS).unwrap();
            let many = choose(&filter, MANY_PASS).unwrap();
            let in_order = match sort {
                Sort::New => !matches!(alone, Drive::MinLikes | Drive::MinComments),
                Sort::Top => matches!(alone, Drive::Order | Drive::MinLikes),
            };
            let walked = match (sort, in_order) {
                (Sort::New, true) => alone,
                _ => Drive::Order,
            };
            assert_eq!(many, walked, "{filter:?}");
            assert_eq!(few, if in_order { walked } else { alone }, "{filter:?}");
        }
    }
    let all = PostFilter {
        author: ada(),
        liked_by: ada(),
        commented_by: ada(),
        min_likes: Some(1),
        min_comments: Some(1),
        sort: Sort::New,
    };
    let fewest = |drive| Ok(if drive == Drive::Author { 5 } else { 6 });
    assert_eq!(choose(&all, fewest).unwrap(), Drive::Author);
    assert_eq!(choose(&all, MANY_PASS).unwrap(), Drive::LikedBy);
}

#[test]
fn every_search_goes_by_its_index() {
    for sort in [Sort::New, Sort::Top] {
        for (alone, filter) in filters(sort) {
            for few in [FEW_PASS, MANY_PASS] {
                let drive = choose(&filter, few).unwrap();
                let steps = plan(&filter, drive);
                let index = match (drive, sort) {
                    (Drive::LikedBy, _) => "social_like_actor (actor=?",
                    (Drive::CommentedBy, _) => "social_commenter_actor (actor=?",
                    (Drive::Author, _) => "social_post_author (author=?",
                    (Drive::MinComments, _) => "social_post_comments (comment_count>?",
                    (Drive::Order, Sort::New) => "social_post_new (created_at<?",
                    (Drive::MinLikes, _) | (Drive::Order, Sort::Top) => {
                        "social_post_top (like_count>?"
                    }
                };
                // Without a bound on likes, the cursor alone bounds the walk.
                let index = match alone {
                    Drive::MinLikes => index,
                    _ => index.strip_suffix("like_count>?").unwrap_or(index),
                };
                assert!(steps[0].contains(index), "{filter:?}: {steps:?}");
                assert!(steps.iter().all(|s| !s.starts_with("SCAN")), "{steps:?}");
                let in_order = drive == Drive::Order || (sort == Sort::New && drive == alone);
                let counted = matches!(drive, Drive::MinLikes | Drive::MinComments);
                let sorts = steps.iter().any(|s| s == "USE TEMP B-TREE FOR ORDER BY");
                assert_eq!(sorts, !in_order || counted, "{filter:?}: {steps:?}");
            }
        }
    }
}

/// The virtual machine's steps for a page in the middle, of `posts` posts that ada wrote, liked and commented on.
fn steps(connection: &Connection, filter: &PostFilter, posts: i64) -> i32 {
    let drive = choose(filter, |drive| passing(connection, filter, drive)).unwrap();
    let middle = After::New(NewKey {
        created_at: posts / 2,
        id: Uuid::max(),
    });
    let (sql, values) = page_sql(filter, drive, Some(middle), 20);
    let mut page = connection.prepare(&sql).unwrap();
    let rows = page.query_map(params_from_iter(values), post_view).unwrap();
    assert_eq!(rows.count(), 21);
    page.get_status(StatementStatus::VmStep)
}

fn fill(posts: i64) -> Connection {
    let connection = tables();
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {posts})
             INSERT INTO social_post SELECT n, randomblob(16), 'ada', n, NULL, 1, 1, 3, '' FROM n;
             INSERT INTO social_like SELECT key, 'ada', key, created_at FROM social_post;
             INSERT INTO social_commenter SELECT key, 'ada', 1, created_at FROM social_post;"
        ))
        .unwrap();
    connection
}

#[test]
fn a_page_costs_the_same_in_a_store_ten_times_as_large() {
    let (small, large) = (fill(2_000), fill(20_000));
    for (_, filter) in filters(Sort::New) {
        let (before, after) = (
            steps(&small, &filter, 2_000),
            steps(&large, &filter, 20_000),
        );
        assert!(
            after <= before + before / 10,
            "{filter:?}: {before}, {after}"
        );
    }
}

/// Every combination of the filters, in both orders.
fn combinations() -> impl Iterator<Item = PostFilter> {
    let sorts = [Sort::New, Sort::Top].into_iter();
    sorts.flat_map(|sort| {
        (0..32).map(move |bits| PostFilter {
            author: ada().filter(|_| bits & 1 > 0),
            liked_by: ada().filter(|_| bits & 2 > 0),
            commented_by: ada().filter(|_| bits & 4 > 0),
            min_likes: Some(3).filter(|_| bits & 8 > 0),
            min_comments: Some(2).filter(|_| bits & 16 > 0),
            sort,
        })
    })
}

#[test]
fn whatever_drives_finds_the_same_page() {
    let connection = tables();
    connection
        .execute_batch(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400)
             INSERT INTO social_post SELECT n, randomblob(16), iif(n % 4, 'ada', 'bob'), n / 3,
                 NULL, n % 7, n % 5, 3, '' FROM n;
             UPDATE social_post SET author = NULL WHERE key % 50 = 0;
             INSERT INTO social_like SELECT key, 'ada', key, created_at FROM social_post
                 WHERE key % 3 AND author IS NOT NULL;
             INSERT INTO social_commenter SELECT key, 'ada', 1, created_at FROM social_post
                 WHERE key % 2 AND author IS NOT NULL;",
        )
        .unwrap();
    let found = |filter: &PostFilter, drive, after| {
        let (sql, values) = keys_sql(filter, drive, after, 30);
        let mut page = connection.prepare(&sql).unwrap();
        let keys = page.query_map(params_from_iter(values), |row| row.get::<_, i64>(0));
        keys.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    for filter in combinations() {
        let asked = std::cell::RefCell::new(vec![Drive::Order]);
        let note = |drive| {
            asked.borrow_mut().push(drive);
            MANY_PASS(drive)
        };
        let chosen = choose(&filter, note).unwrap();
        asked.borrow_mut().push(chosen);
        let middle = match after(filter.sort) {
            After::New(key) => After::New(NewKey {
                created_at: 70,
                ..key
            }),
            After::Top(key) => After::Top(TopKey {
                like_count: 4,
                created_at: 70,
                ..key
            }),
        };
        for after in [None, Some(middle)] {
            let expected = found(&filter, Drive::Order, after);
            assert!(!expected.is_empty(), "{filter:?}");
            for drive in asked.borrow().iter() {
                assert_eq!(
                    found(&filter, *drive, after),
                    expected,
                    "{filter:?} {drive:?}"
                );
            }
        }
    }
}
