//! Queries on a store that fails.

use cqrs_core::{LogPosition, Partition, Position};
use social_read_model::{
    AuthorKey, AuthorView, CommentView, LikeView, Page, PageRequest, PostFilter, PostView,
    QueryError, SocialQueries, Tokens,
};
use uuid::Uuid;

use crate::stage::Stage;

/// How every query fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failing {
    Overloaded,
    Store,
    Behind,
}

impl Failing {
    fn answer<T>(self) -> Result<T, QueryError> {
        Err(match self {
            Self::Overloaded => QueryError::Overloaded,
            Self::Store => QueryError::Store {
                source: "it is away".into(),
            },
            Self::Behind => QueryError::Behind {
                token: LogPosition::new(Partition::new(0), Position::new(9)),
                reached: Position::new(7),
            },
        })
    }
}

impl SocialQueries for Failing {
    async fn post(&self, _: Uuid, _: &Tokens) -> Result<PostView, QueryError> {
        self.answer()
    }

    async fn posts(
        &self,
        _: &PostFilter,
        _: &PageRequest,
        _: &Tokens,
    ) -> Result<Page<PostView>, QueryError> {
        self.answer()
    }

    async fn comments(
        &self,
        _: Uuid,
        _: &PageRequest,
        _: &Tokens,
    ) -> Result<Page<CommentView>, QueryError> {
        self.answer()
    }

    async fn comment(&self, _: Uuid, _: Uuid, _: &Tokens) -> Result<CommentView, QueryError> {
        self.answer()
    }

    async fn likes(
        &self,
        _: Uuid,
        _: &PageRequest,
        _: &Tokens,
    ) -> Result<Page<LikeView>, QueryError> {
        self.answer()
    }

    async fn author(&self, _: &AuthorKey, _: &Tokens) -> Result<AuthorView, QueryError> {
        self.answer()
    }
}

#[tokio::test]
async fn every_query_says_that_its_store_fails() {
    let id = Uuid::from_u128(1);
    let paths = [
        "/v1/posts".to_owned(),
        format!("/v1/posts/{id}"),
        format!("/v1/posts/{id}/comments"),
        format!("/v1/posts/{id}/comments/{id}"),
        format!("/v1/posts/{id}/likes"),
        "/v1/authors/ada".to_owned(),
    ];
    for (failing, slug) in [
        (Failing::Overloaded, "overloaded"),
        (Failing::Store, "store-unavailable"),
        (Failing::Behind, "behind"),
    ] {
        let stage = Stage::start(1, failing).await;
        for path in &paths {
            let answer = stage.send("ada", ("GET", path), "Prefer: wait=0\r\n", "");
            let problem = answer.await.expect_problem(503, slug);
            // What the store said is for the log, not for the client.
            assert!(!problem.to_string().contains("away"), "{problem}");
        }
    }
}
