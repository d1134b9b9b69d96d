//! The queries, each in a snapshot of the live version.

use cqrs_core::Position;
use cqrs_postgres::{PgModels, PgRead, PgReader, ReadModelError, is_outdated};
use uuid::Uuid;

use crate::cursor::{CommentKey, LikeKey};
use crate::model::SocialReadModel;
use crate::paging::{self, After, SocialRows};
use crate::postgres::model::LAYOUT;
use crate::postgres::{posts, read};
use crate::query::{AuthorKey, PageRequest, PostFilter, QueryError, SocialQueries, Tokens};
use crate::views::{AuthorView, CommentView, LikeView, Page, PostView};

/// Reads, and once more where a column was changed under the statements.
macro_rules! reading {
    ($queries:expr, $tokens:expr, |$begun:ident| $read:expr) => {{
        let answer = {
            let $begun = &$queries.begin($tokens).await?;
            $read.await
        };
        match answer {
            Err(QueryError::Store { source }) if is_outdated(source.as_ref()) => {
                let $begun = &$queries.begin($tokens).await?;
                $read.await
            }
            answer => answer,
        }
    }};
}

/// [`SocialQueries`] on the live version of the read model in PostgreSQL. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PgQueries {
    reader: PgReader,
}

impl PgQueries {
    /// Queries on the live one among `models`. Nothing is asked yet.
    #[must_use]
    pub fn new(models: PgModels) -> Self {
        Self {
            reader: PgReader::new(models, SocialReadModel::NAME, LAYOUT),
        }
    }

    /// Whether there is a live version that this code knows, and a server that answers.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn ping(&self) -> Result<(), ReadModelError> {
        self.reader.begin(&[]).await.map(drop)
    }

    /// How far the live version is, by partition.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn places(&self) -> Result<Vec<Position>, ReadModelError> {
        self.reader.places().await
    }

    async fn begin(&self, tokens: &Tokens) -> Result<PgRead, QueryError> {
        let begun = self.reader.begin(tokens.positions()).await;
        begun.map_err(|error| match error {
            ReadModelError::Behind { token, reached } => QueryError::Behind { token, reached },
            ReadModelError::UnknownPartition(partition) => QueryError::UnknownPartition(partition),
            other => QueryError::Store {
                source: other.into(),
            },
        })
    }
}

impl SocialRows for PgQueries {
    async fn post_rows(
        &self,
        filter: &PostFilter,
        after: Option<After>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<PostView>, QueryError> {
        reading!(self, tokens, |begun| posts::posts(
            begun, filter, after, rows
        ))
    }

    async fn comment_rows(
        &self,
        post: Uuid,
        after: Option<CommentKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<(CommentKey, CommentView)>, QueryError> {
        reading!(self, tokens, |begun| read::comments(
            begun, post, after, rows
        ))
    }

    async fn like_rows(
        &self,
        post: Uuid,
        after: Option<LikeKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<LikeView>, QueryError> {
        reading!(self, tokens, |begun| read::likes(
            begun,
            post,
            after.clone(),
            rows
        ))
    }
}

impl SocialQueries for PgQueries {
    async fn post(&self, id: Uuid, tokens: &Tokens) -> Result<PostView, QueryError> {
        reading!(self, tokens, |begun| read::post(begun, id))
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
        reading!(self, tokens, |begun| read::comment(begun, post, id))
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
        reading!(self, tokens, |begun| read::author(begun, key))
    }
}
