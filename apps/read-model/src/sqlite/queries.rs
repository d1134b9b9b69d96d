//! The queries, on the store's reader threads.

use cqrs_core::{Partition, Position, TailLog};
use cqrs_sqlite::{ReadFailure, SqliteStore, checkpoint_on, is_parked_on};
use rusqlite::Connection;
use uuid::Uuid;

use crate::cursor::{CommentKey, LikeKey};
use crate::model::SocialReadModel;
use crate::paging::{self, After, SocialRows};
use crate::query::{AuthorKey, PageRequest, PostFilter, QueryError, SocialQueries, Tokens};
use crate::sqlite::{posts, read};
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

impl SocialRows for SqliteQueries {
    async fn post_rows(
        &self,
        filter: &PostFilter,
        after: Option<After>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<PostView>, QueryError> {
        let filter = filter.clone();
        self.read(tokens, move |c| posts::posts(c, &filter, after, rows))
            .await
    }

    async fn comment_rows(
        &self,
        post: Uuid,
        after: Option<CommentKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<(CommentKey, CommentView)>, QueryError> {
        self.read(tokens, move |c| read::comments(c, post, after, rows))
            .await
    }

    async fn like_rows(
        &self,
        post: Uuid,
        after: Option<LikeKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<LikeView>, QueryError> {
        self.read(tokens, move |c| read::likes(c, post, after, rows))
            .await
    }
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
        paging::posts(self, filter, page, tokens).await
    }

    async fn comments(
        &self,
        post: Uuid,
        page: &PageRequest,
        tokens: &Tokens,
    ) -> Result<Page<CommentView>, QueryError> {
        paging::comments(self, post, page, tokens).await
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
        paging::likes(self, post, page, tokens).await
    }

    async fn author(&self, key: &AuthorKey, tokens: &Tokens) -> Result<AuthorView, QueryError> {
        let key = key.clone();
        self.read(tokens, move |c| read::author(c, &key)).await
    }
}
