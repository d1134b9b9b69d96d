//! Pages over rows: what every store does alike between a query and its rows.

use uuid::Uuid;

use crate::cursor::{self, CommentKey, LikeKey, NewKey, TopKey};
use crate::query::{PageRequest, PostFilter, QueryError, Sort, Tokens};
use crate::views::{CommentView, LikeView, Page, PostView};

/// Where a page of posts begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    New(NewKey),
    Top(TopKey),
}

/// A store's rows, found by key. Each list has one row more than asked for where there are more.
pub(crate) trait SocialRows: Send + Sync {
    /// The posts that pass `filter`, in its order, `after` that one.
    fn post_rows(
        &self,
        filter: &PostFilter,
        after: Option<After>,
        rows: u32,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<Vec<PostView>, QueryError>> + Send;

    /// The comments of `post`, the oldest first.
    fn comment_rows(
        &self,
        post: Uuid,
        after: Option<CommentKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<Vec<(CommentKey, CommentView)>, QueryError>> + Send;

    /// Who likes `post`, by actor.
    fn like_rows(
        &self,
        post: Uuid,
        after: Option<LikeKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<Vec<LikeView>, QueryError>> + Send;
}

pub(crate) async fn posts(
    rows_of: &impl SocialRows,
    filter: &PostFilter,
    page: &PageRequest,
    tokens: &Tokens,
) -> Result<Page<PostView>, QueryError> {
    let (list, rows) = (cursor::posts_list(filter), page.rows());
    let after = match (&page.cursor, filter.sort) {
        (None, _) => None,
        (Some(text), Sort::New) => Some(After::New(cursor::decode(&list, text)?)),
        (Some(text), Sort::Top) => Some(After::Top(cursor::decode(&list, text)?)),
    };
    let found = rows_of.post_rows(filter, after, rows, tokens).await?;
    let (items, more) = cut(found, rows);
    let next = items.last().filter(|_| more).map(|last| {
        let (id, created_at) = (last.id, last.created_at.timestamp().as_millis());
        match filter.sort {
            Sort::New => cursor::encode(&list, &NewKey { created_at, id }),
            Sort::Top => {
                let like_count = i64::try_from(last.like_count).unwrap_or(i64::MAX);
                let key = TopKey {
                    like_count,
                    created_at,
                    id,
                };
                cursor::encode(&list, &key)
            }
        }
    });
    Ok(Page { items, next })
}

pub(crate) async fn comments(
    rows_of: &impl SocialRows,
    post: Uuid,
    page: &PageRequest,
    tokens: &Tokens,
) -> Result<Page<CommentView>, QueryError> {
    let (list, rows) = (cursor::post_list("comments", post), page.rows());
    let after = page.cursor.as_deref();
    let after = after.map(|text| cursor::decode(&list, text)).transpose()?;
    let found = rows_of.comment_rows(post, after, rows, tokens).await?;
    let (found, more) = cut(found, rows);
    let last = found.last().filter(|_| more);
    let next = last.map(|(key, _)| cursor::encode(&list, key));
    let items = found.into_iter().map(|(_, comment)| comment).collect();
    Ok(Page { items, next })
}

pub(crate) async fn likes(
    rows_of: &impl SocialRows,
    post: Uuid,
    page: &PageRequest,
    tokens: &Tokens,
) -> Result<Page<LikeView>, QueryError> {
    let (list, rows) = (cursor::post_list("likes", post), page.rows());
    let after = page.cursor.as_deref();
    let after = after.map(|text| cursor::decode(&list, text)).transpose()?;
    let found = rows_of.like_rows(post, after, rows, tokens).await?;
    let (items, more) = cut(found, rows);
    let next = items.last().filter(|_| more).map(|last| {
        let actor = last.actor.clone();
        cursor::encode(&list, &LikeKey { actor })
    });
    Ok(Page { items, next })
}

/// Cuts the row that was read only to know that there are more; its list goes on after the last.
fn cut<T>(mut rows: Vec<T>, limit: u32) -> (Vec<T>, bool) {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    (rows, more)
}

/// Counts are never below zero.
pub(crate) fn count(stored: i64) -> u64 {
    stored.max(0).unsigned_abs()
}
