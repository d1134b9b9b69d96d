//! Lists of posts: what drives the search for a page, and the search.
//!
//! A page costs what it holds, not what the store holds, for every single filter in the order
//! [`Sort::New`] but the counts, and for `min_likes` in the order [`Sort::Top`]: an index has the list in its order.
//! For other combinations no index can; there the filter that passes fewest posts drives where it
//! passes no more than [`FEW`], which are then sorted. Where all pass more, the order is walked and
//! the others are tested, so that a page costs its rows divided by the share of posts that pass.

use cqrs_core::Actor;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::paging::After;
use crate::query::{PostFilter, Sort};
use crate::sqlite::read::{POST, Read, post_view, store};
use crate::views::PostView;

/// So many posts are sorted for a page without a thought.
const FEW: u32 = 1_000;

/// What is walked to find a page's posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drive {
    LikedBy,
    CommentedBy,
    Author,
    MinLikes,
    MinComments,
    /// All posts, in the order of the list.
    Order,
}

/// The posts of a page, one row more than `rows` where there are more.
pub(super) fn posts(
    connection: &Connection,
    filter: &PostFilter,
    after: Option<After>,
    rows: u32,
) -> Read<Vec<PostView>> {
    let run = || {
        let drive = choose(filter, |drive| passing(connection, filter, drive))?;
        let (sql, values) = page_sql(filter, drive, after, rows);
        connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(values), post_view)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(store)
}

/// Chooses what drives; `passing` counts the posts that one filter passes, up to more than [`FEW`].
fn choose(
    filter: &PostFilter,
    passing: impl Fn(Drive) -> rusqlite::Result<u32>,
) -> rusqlite::Result<Drive> {
    use Drive::{Author, CommentedBy, LikedBy, MinComments, MinLikes, Order};
    let named = [
        (LikedBy, filter.liked_by.is_some()),
        (CommentedBy, filter.commented_by.is_some()),
        (Author, filter.author.is_some()),
        (MinLikes, filter.min_likes.is_some_and(|least| least > 0)),
        (
            MinComments,
            filter.min_comments.is_some_and(|least| least > 0),
        ),
    ];
    let named: Vec<_> = named
        .into_iter()
        .filter_map(|(drive, named)| named.then_some(drive))
        .collect();
    let ordered = match (filter.sort, named.first()) {
        (Sort::New, Some(first @ (LikedBy | CommentedBy | Author))) => *first,
        _ => Order,
    };
    let has_the_order = match filter.sort {
        Sort::New => named.len() <= 1 && (named.is_empty() || ordered != Order),
        Sort::Top => named.iter().all(|drive| *drive == MinLikes),
    };
    if has_the_order {
        return Ok(ordered);
    }
    let mut fewest = (FEW + 1, ordered);
    for drive in named {
        let posts = passing(drive)?;
        if posts < fewest.0 {
            fewest = (posts, drive);
        }
    }
    Ok(fewest.1)
}

/// Counts the posts that the filter of `drive` passes, no further than past [`FEW`].
fn passing(connection: &Connection, filter: &PostFilter, drive: Drive) -> rusqlite::Result<u32> {
    let mut values = Values::default();
    let (table, test) = match drive {
        Drive::LikedBy => ("social_like", values.is("actor", &filter.liked_by)),
        Drive::CommentedBy => ("social_commenter", values.is("actor", &filter.commented_by)),
        Drive::Author => (
            "social_post INDEXED BY social_post_author",
            values.is("author", &filter.author),
        ),
        Drive::MinLikes => (
            "social_post INDEXED BY social_post_top",
            values.least("like_count", filter.min_likes) + " AND author IS NOT NULL",
        ),
        Drive::MinComments => (
            "social_post INDEXED BY social_post_comments",
            values.least("comment_count", filter.min_comments) + " AND comment_count > 0",
        ),
        Drive::Order => return Ok(u32::MAX),
    };
    let limit = values.bind(i64::from(FEW + 1).into());
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {test} LIMIT {limit})");
    connection
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values.0), |row| row.get(0))
}

/// The page's keys are found first, so that no text is carried through a sort.
fn page_sql(
    filter: &PostFilter,
    drive: Drive,
    after: Option<After>,
    rows: u32,
) -> (String, Vec<Value>) {
    let (keys, values) = keys_sql(filter, drive, after, rows);
    let order = match filter.sort {
        Sort::New => "p.created_at DESC, p.id DESC",
        Sort::Top => "p.like_count DESC, p.created_at DESC, p.id DESC",
    };
    let sql = format!(
        "SELECT {POST} FROM ({keys}) page CROSS JOIN social_post p ON p.key = page.key
         LEFT JOIN social_author a ON a.actor = p.author ORDER BY {order}"
    );
    (sql, values)
}

/// What drives is said, not left to the planner, which knows no sizes.
fn keys_sql(
    filter: &PostFilter,
    drive: Drive,
    after: Option<After>,
    rows: u32,
) -> (String, Vec<Value>) {
    let mut values = Values::default();
    let mut tests = vec!["p.author IS NOT NULL".to_owned()];
    let ordered_by = match filter.sort {
        Sort::New => "social_post_new",
        Sort::Top => "social_post_top",
    };
    let actors = |table: &str| {
        format!("{table} d INDEXED BY {table}_actor CROSS JOIN social_post p ON p.key = d.post")
    };
    let from = match drive {
        Drive::LikedBy => actors("social_like"),
        Drive::CommentedBy => actors("social_commenter"),
        Drive::Author => "social_post p INDEXED BY social_post_author".to_owned(),
        Drive::MinLikes => "social_post p INDEXED BY social_post_top".to_owned(),
        Drive::MinComments => "social_post p INDEXED BY social_post_comments".to_owned(),
        Drive::Order => format!("social_post p INDEXED BY {ordered_by}"),
    };
    for (table, actor, drives) in [
        ("social_like", &filter.liked_by, drive == Drive::LikedBy),
        (
            "social_commenter",
            &filter.commented_by,
            drive == Drive::CommentedBy,
        ),
    ] {
        if actor.is_none() {
            continue;
        }
        tests.push(if drives {
            values.is("d.actor", actor)
        } else {
            let test = values.is("t.actor", actor);
            format!("EXISTS (SELECT 1 FROM {table} t WHERE t.post = p.key AND {test})")
        });
    }
    if filter.author.is_some() {
        tests.push(values.is("p.author", &filter.author));
    }
    for (column, least) in [
        ("p.like_count", filter.min_likes),
        ("p.comment_count", filter.min_comments),
    ] {
        if least.is_some() {
            tests.push(values.least(column, least));
        }
    }
    if drive == Drive::MinComments {
        tests.push("p.comment_count > 0".to_owned());
    }
    // Of the same value as the post's own; here the index has it in order.
    let at = match drive {
        Drive::LikedBy | Drive::CommentedBy => "d.post_at",
        _ => "p.created_at",
    };
    match after {
        Some(After::New(key)) => {
            let time = values.bind(key.created_at.into());
            let id = values.bind(key.id.as_bytes().to_vec().into());
            tests.push(format!("{at} <= {time}"));
            tests.push(format!("({at}, p.id) < ({time}, {id})"));
        }
        Some(After::Top(key)) => {
            let likes = values.bind(key.like_count.into());
            let time = values.bind(key.created_at.into());
            let id = values.bind(key.id.as_bytes().to_vec().into());
            tests.push(format!(
                "(p.like_count, p.created_at, p.id) < ({likes}, {time}, {id})"
            ));
        }
        None => {}
    }
    let order = match filter.sort {
        Sort::New => format!("{at} DESC, p.id DESC"),
        Sort::Top => "p.like_count DESC, p.created_at DESC, p.id DESC".to_owned(),
    };
    let limit = values.bind(i64::from(rows + 1).into());
    let tests = tests.join(" AND ");
    let sql =
        format!("SELECT p.key AS key FROM {from} WHERE {tests} ORDER BY {order} LIMIT {limit}");
    (sql, values.0)
}

/// The values of a statement, and the tests that name them.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    fn bind(&mut self, value: Value) -> String {
        self.0.push(value);
        format!("?{}", self.0.len())
    }

    fn is(&mut self, column: &str, actor: &Option<Actor>) -> String {
        let actor = actor.as_ref().map(|actor| actor.as_str().to_owned());
        format!("{column} = {}", self.bind(actor.into()))
    }

    fn least(&mut self, column: &str, least: Option<u64>) -> String {
        let least = i64::try_from(least.unwrap_or_default()).unwrap_or(i64::MAX);
        format!("{column} >= {}", self.bind(least.into()))
    }
}

#[cfg(test)]
#[path = "posts_tests.rs"]
mod tests;
