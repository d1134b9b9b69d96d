//! What a client is told when something is refused. The slugs are stable; the texts depend on nothing but the refusal.

use cqrs_core::{DispatchError, Precondition};
use http_kit::Problem;
use serde_json::{Value, json};
use social_domain::PostError;
use social_read_model::{Missing, QueryError};

use crate::commands::Refusal;

/// Seconds after which a command that is still running may be asked for again.
const RUNNING_RETRY: u32 = 1;

/// The problem that a command ended in.
pub(crate) fn of_command(error: DispatchError<Refusal>) -> Problem {
    match error {
        DispatchError::Refused(Refusal::Post(error)) => of_post(error),
        DispatchError::Refused(Refusal::Author(error)) => match error {},
        DispatchError::Invalid { field, reason } => Problem::invalid_value(field, reason),
        DispatchError::VersionMismatch { expected, actual } => {
            let actual = actual.get();
            Problem::new("version-mismatch", 412, "The version is another")
                .detail(match expected {
                    Precondition::Exact(version) => {
                        format!("version {version} was demanded, version {actual} is there")
                    }
                    Precondition::Exists => "any version was demanded, there is none".to_owned(),
                })
                .field("If-Match")
                .expected(demanded(expected))
                .actual(actual)
        }
        DispatchError::Taken { .. } => {
            Problem::new("handle-taken", 409, "The handle is another author's")
                .detail("another author has this handle")
                .field("handle")
        }
        DispatchError::Conflict { .. } => Problem::new(
            "conflict",
            409,
            "Rivals won every attempt; nothing happened",
        )
        .detail("other commands changed the same thing at the same time")
        .retry_after(RUNNING_RETRY),
        DispatchError::InProgress => {
            Problem::new("in-progress", 409, "The same command is still running")
                .detail("a request with this key is being worked on")
                .retry_after(RUNNING_RETRY)
        }
        DispatchError::KeyReused => {
            Problem::new("key-reused", 422, "The key was used for another request")
                .detail("another request was made under this key before")
        }
        DispatchError::Overloaded => Problem::overloaded().detail("a queue is full"),
        DispatchError::Unavailable { source } => {
            tracing::warn!(error = &*source, "a store did not answer");
            Problem::store_unavailable().detail("the command may have happened")
        }
        DispatchError::Corrupt { source } => {
            tracing::error!(error = &*source, "what is stored cannot be understood");
            Problem::store_unavailable().detail("what is stored cannot be understood")
        }
        other => {
            tracing::error!(error = %describe(&other), "a command ended in an unknown way");
            Problem::store_unavailable().detail("the command may have happened")
        }
    }
}

fn describe(error: &DispatchError<Refusal>) -> String {
    format!("{error:?}")
}

fn demanded(expected: Precondition) -> Value {
    match expected {
        Precondition::Exact(version) => json!(version.get()),
        Precondition::Exists => json!("*"),
    }
}

fn of_post(error: PostError) -> Problem {
    let problem = match error {
        PostError::PostNotFound => post_not_found(),
        PostError::PostDeleted => post_deleted(),
        PostError::CommentNotFound => comment_not_found(),
        PostError::NotTheAuthor => {
            Problem::new("not-the-author", 403, "That is the author's to do")
        }
        PostError::AlreadyExists => {
            Problem::new("already-exists", 409, "The id is in use, or was").field("id")
        }
    };
    problem.detail(error.to_string())
}

fn post_not_found() -> Problem {
    Problem::new("post-not-found", 404, "There is no such post")
}

fn comment_not_found() -> Problem {
    Problem::new("comment-not-found", 404, "There is no such comment")
}

fn post_deleted() -> Problem {
    Problem::new("post-deleted", 410, "The post was deleted")
}

/// The problem that a query ended in.
pub(crate) fn of_query(error: QueryError) -> Problem {
    let detail = error.to_string();
    match error {
        QueryError::NotFound(Missing::Post) => post_not_found().detail(detail),
        QueryError::NotFound(Missing::Comment) => comment_not_found().detail(detail),
        QueryError::NotFound(Missing::Author) => {
            Problem::new("author-not-found", 404, "There is no such author").detail(detail)
        }
        QueryError::Gone => post_deleted().detail(detail),
        QueryError::Behind { token, reached } => Problem::behind()
            .detail("the answer would not reflect the token yet")
            .expected(token.to_string())
            .actual(format!("{}-{reached}", token.partition)),
        QueryError::UnknownPartition(_) => Problem::invalid_value("Consistency-Token", detail),
        QueryError::InvalidCursor => Problem::invalid_parameter("cursor", detail),
        QueryError::Overloaded => Problem::overloaded().detail(detail),
        QueryError::Store { source } => {
            tracing::warn!(error = &*source, "the read model's store did not answer");
            Problem::store_unavailable().detail("the read model did not answer")
        }
        other => {
            tracing::error!(error = %other, "a query ended in an unknown way");
            Problem::store_unavailable().detail("the read model did not answer")
        }
    }
}
