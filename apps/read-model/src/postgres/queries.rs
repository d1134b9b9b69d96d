//! The queries, each in a snapshot of the live version.

use cqrs_postgres::{PgModels, PgRead, PgReader, ReadModelError};
use uuid::Uuid;

use crate::cursor::{CommentKey, LikeKey};
use crate::model::SocialReadModel;
use crate::paging::{self, After, SocialRows};
use crate::postgres::model::LAYOUT;
use crate::postgres::{posts, read};
use crate::query::{AuthorKey, PageRequest, PostFilter, QueryError, SocialQueries, Tokens};
use crate::views::{AuthorView, CommentView, LikeView, Page, PostView};

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
        posts::posts(&self.begin(tokens).await?, filter, after, rows).await
    }

    async fn comment_rows(
        &self,
        post: Uuid,
        after: Option<CommentKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<(CommentKey, CommentView)>, QueryError> {
        read::comments(&self.begin(tokens).await?, post, after, rows).await
    }

    async fn like_rows(
        &self,
        post: Uuid,
        after: Option<LikeKey>,
        rows: u32,
        tokens: &Tokens,
    ) -> Result<Vec<LikeView>, QueryError> {
        read::likes(&self.begin(tokens).await?, post, after, rows).await
    }
}

impl SocialQueries for PgQueries {
    async fn post(&self, id: Uuid, tokens: &Tokens) -> Result<PostView, QueryError> {
        read::post(&self.begin(tokens).await?, id).await
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
        read::comment(&self.begin(tokens).await?, post, id).await
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
        read::author(&self.begin(tokens).await?, key).await
    }
}
