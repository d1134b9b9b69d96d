//! The queries, on the store's reader threads.

use cqrs_core::{Partition, Position, TailLog};
use cqrs_sqlite::{ReadFailure, SqliteStore, checkpoint_on, is_parked_on};
use rusqlite::Connection;
use uuid::Uuid;

use crate::cursor::{self, LikeKey, NewKey, TopKey};
use crate::query::{AuthorKey, PageRequest, PostFilter, QueryError, SocialQueries, Sort, Tokens};
use crate::sqlite::model::SocialReadModel;
use crate::sqlite::posts::{self, After};
use crate::sqlite::read;
use crate::views::{AuthorView, CommentView, LikeView, Page, PostView};

/// [`SocialQueries`] on the read model in a [`SqliteStore`]. Cheap to clone.
///
/// The model's projection must have been opened in the store.
#[derive(Debug, Clone)]
pub struct SqliteQueries {
    store: SqliteStore,
}

impl SqliteQueries {
    /// Queries on the model in `store`.
    #[must_use]
    pub fn new(store: SqliteStore) -> Self {
        Self { store }
    }

    async fn read<T, F>(&self, tokens: &Tokens, read: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, QueryError> + Send + 'static,
    {
        let (tokens, partitions) = (tokens.clone(), self.store.partitions());
        let answer = self.store.read(move |connection| {
            check(connection, &tokens, partitions)?;
            read(connection)
        });
        answer.await.map_err(|failure| match failure {
            ReadFailure::Failed(error) => error,
            ReadFailure::Overloaded => QueryError::Overloaded,
            other => QueryError::Store {
                source: other.into(),
            },
        })
    }
}

/// Whether the rows of this transaction reflect every token.
fn check(connection: &Connection, tokens: &Tokens, partitions: u16) -> Result<(), QueryError> {
    let unknown = |partition: &Partition| partition.index() >= partitions;
    let mut named = tokens.positions().iter().map(|token| token.partition);
    if let Some(partition) = named.find(unknown) {
        return Err(QueryError::UnknownPartition(partition));
    }
    for token in tokens.positions() {
        if token.position == Position::START {
            continue;
        }
        let reached = checkpoint_on(connection, SocialReadModel::NAME, token.partition)
            .map_err(read::store)?
            .position;
        let behind = token.position > reached
            || is_parked_on(connection, SocialReadModel::NAME, *token).map_err(read::store)?;
        if behind {
            return Err(QueryError::Behind {
                token: *token,
                reached,
            });
        }
    }
    Ok(())
}

impl SocialQueries for SqliteQueries {
    async fn post(&self, id: Uuid, tokens: &Tokens) -> Result<PostView, QueryError> {
        self.read(tokens, move |c| read::post(c, id)).await
    }

    async fn posts(
        &self,
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
        let (asked, sort) = (filter.clone(), filter.sort);
        let found = self
            .read(tokens, move |c| posts::posts(c, &asked, after, rows))
            .await?;
        let (items, more) = read::cut(found, rows);
        let next = items.last().filter(|_| more).map(|last| {
            let (id, created_at) = (last.id, last.created_at.timestamp().as_millis());
            match sort {
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

    async fn comments(
        &self,
        post: Uuid,
        page: &PageRequest,
        tokens: &Tokens,
    ) -> Result<Page<CommentView>, QueryError> {
        let (list, rows) = (cursor::post_list("comments", post), page.rows());
        let after = page.cursor.as_deref();
        let after = after.map(|text| cursor::decode(&list, text)).transpose()?;
        let found = self
            .read(tokens, move |c| read::comments(c, post, after, rows))
            .await?;
        let (found, more) = read::cut(found, rows);
        let last = found.last().filter(|_| more);
        let next = last.map(|(key, _)| cursor::encode(&list, key));
        let items = found.into_iter().map(|(_, comment)| comment).collect();
        Ok(Page { items, next })
    }

    async fn comment(
        &self,
        post: Uuid,
        id: Uuid,
        tokens: &Tokens,
    ) -> Result<CommentView, QueryError> {
        self.read(tokens, move |c| read::comment(c, post, id)).await
    }

    async fn likes(
        &self,
        post: Uuid,
        page: &PageRequest,
        tokens: &Tokens,
    ) -> Result<Page<LikeView>, QueryError> {
        let (list, rows) = (cursor::post_list("likes", post), page.rows());
        let after = page.cursor.as_deref();
        let after = after.map(|text| cursor::decode(&list, text)).transpose()?;
        let found = self
            .read(tokens, move |c| read::likes(c, post, after, rows))
            .await?;
        let (items, more) = read::cut(found, rows);
        let next = items.last().filter(|_| more).map(|last| {
            let actor = last.actor.clone();
            cursor::encode(&list, &LikeKey { actor })
        });
        Ok(Page { items, next })
    }

    async fn author(&self, key: &AuthorKey, tokens: &Tokens) -> Result<AuthorView, QueryError> {
        let key = key.clone();
        self.read(tokens, move |c| read::author(c, &key)).await
    }
}
