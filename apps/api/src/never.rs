//! Whoever serves no commands, or no queries.

use cqrs_core::{DispatchResult, Envelope, Handler, Message};
use social_read_model::{
    AuthorKey, AuthorView, CommentView, LikeView, Page, PageRequest, PostFilter, PostView,
    QueryError, SocialQueries, Tokens,
};
use uuid::Uuid;

/// Has no value: stands where a service has no commands or no queries.
#[derive(Debug, Clone, Copy)]
pub enum Never {}

impl<M: Message> Handler<M> for Never {
    async fn handle(&self, _: M, _: &Envelope) -> DispatchResult<M> {
        match *self {}
    }
}

impl SocialQueries for Never {
    async fn post(&self, _: Uuid, _: &Tokens) -> Result<PostView, QueryError> {
        match *self {}
    }

    async fn posts(
        &self,
        _: &PostFilter,
        _: &PageRequest,
        _: &Tokens,
    ) -> Result<Page<PostView>, QueryError> {
        match *self {}
    }

    async fn comments(
        &self,
        _: Uuid,
        _: &PageRequest,
        _: &Tokens,
    ) -> Result<Page<CommentView>, QueryError> {
        match *self {}
    }

    async fn comment(&self, _: Uuid, _: Uuid, _: &Tokens) -> Result<CommentView, QueryError> {
        match *self {}
    }

    async fn likes(
        &self,
        _: Uuid,
        _: &PageRequest,
        _: &Tokens,
    ) -> Result<Page<LikeView>, QueryError> {
        match *self {}
    }

    async fn author(&self, _: &AuthorKey, _: &Tokens) -> Result<AuthorView, QueryError> {
        match *self {}
    }
}
