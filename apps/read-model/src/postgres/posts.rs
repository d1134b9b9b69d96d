//! Lists of posts: the statement for a filter, and its rows.
//!
//! Each single filter in the order [`Sort::New`], and `min_likes` in the order [`Sort::Top`], has an
//! index in the list's order: a page costs what it holds. For other combinations the planner
//! chooses, by its statistics, between walking the order and sorting what the narrowest filter passes.

use cqrs_core::Actor;
use cqrs_postgres::PgRead;
use tokio_postgres::types::ToSql;

use crate::paging::After;
use crate::postgres::read::{Found, POST, post_view, store};
use crate::query::{PostFilter, Sort};
use crate::views::PostView;

/// The posts of a page, one row more than `rows` where there are more.
pub(super) async fn posts(
    read: &PgRead,
    filter: &PostFilter,
    after: Option<After>,
    rows: u32,
) -> Found<Vec<PostView>> {
    let (sql, values) = page_sql(filter, after, rows);
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| &**v as _).collect();
    let found = read.query(&sql, &values).await.map_err(store)?;
    found
        .iter()
        .map(post_view)
        .collect::<Result<_, _>>()
        .map_err(store)
}

type Value = Box<dyn ToSql + Sync + Send>;

/// The values of a statement, and the tests that name them.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.0.push(Box::new(value));
        format!("${}", self.0.len())
    }
}

fn page_sql(filter: &PostFilter, after: Option<After>, rows: u32) -> (String, Vec<Value>) {
    let mut values = Values::default();
    let mut tests = vec!["p.author IS NOT NULL".to_owned()];
    // Of the same value as the post's own; an actor's rows have it in order.
    let mut at = "p.created_at";
    let mut id = "p.id";
    let mut from = "{schema}.social_post p".to_owned();
    for (table, actor) in [
        ("social_like", &filter.liked_by),
        ("social_commenter", &filter.commented_by),
    ] {
        let Some(actor) = actor.as_ref().map(Actor::as_str) else {
            continue;
        };
        let actor = values.bind(actor.to_owned());
        if at == "p.created_at" && filter.sort == Sort::New {
            from = format!("{{schema}}.{table} d JOIN {{schema}}.social_post p ON p.id = d.post");
            tests.push(format!("d.actor = {actor}"));
            (at, id) = ("d.post_at", "d.post");
        } else {
            tests.push(format!(
                "EXISTS (SELECT FROM {{schema}}.{table} t WHERE t.post = p.id AND t.actor = {actor})"
            ));
        }
    }
    if let Some(author) = &filter.author {
        let author = values.bind(author.as_str().to_owned());
        tests.push(format!("p.author = {author}"));
    }
    for (column, least) in [
        ("p.like_count", filter.min_likes),
        ("p.comment_count", filter.min_comments),
    ] {
        if let Some(least) = least {
            let least = values.bind(i64::try_from(least).unwrap_or(i64::MAX));
            tests.push(format!("{column} >= {least}"));
        }
    }
    // Said apart from the parameter, which a plan for all values knows nothing of: the index holds only these.
    if filter.min_comments.is_some_and(|least| least > 0) {
        tests.push("p.comment_count > 0".to_owned());
    }
    match after {
        Some(After::New(key)) => {
            let (time, post) = (values.bind(key.created_at), values.bind(key.id));
            tests.push(format!("({at}, {id}) < ({time}, {post})"));
        }
        Some(After::Top(key)) => {
            let likes = values.bind(key.like_count);
            let (time, post) = (values.bind(key.created_at), values.bind(key.id));
            tests.push(format!(
                "(p.like_count, p.created_at, p.id) < ({likes}, {time}, {post})"
            ));
        }
        None => {}
    }
    let order = match filter.sort {
        Sort::New => format!("{at} DESC, {id} DESC"),
        Sort::Top => "p.like_count DESC, p.created_at DESC, p.id DESC".to_owned(),
    };
    let limit = values.bind(i64::from(rows) + 1);
    let tests = tests.join(" AND ");
    let sql = format!(
        "SELECT {POST} FROM {from} LEFT JOIN {{schema}}.social_author a ON a.actor = p.author
         WHERE {tests} ORDER BY {order} LIMIT {limit}"
    );
    (sql, values.0)
}
