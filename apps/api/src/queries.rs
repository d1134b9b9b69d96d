//! The queries: parameters in, views out, waiting for a token in between.

use std::time::Duration;

use cqrs_core::{LogPosition, Progress};
use http_kit::{Params, Problem, Query, Response};
use hyper::header::{ETAG, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use social_domain::{ActorId, CommentId, Handle, PostId};
use social_read_model::{
    AuthorKey, Missing, PageRequest, PostFilter, QueryError, SocialQueries, Sort, Tokens,
};
use tokio::time::{Instant, timeout_at};

use crate::answers::visible;
use crate::commands::id;
use crate::looking::Looking;
use crate::problems;
use crate::routes::QueryRoute;

/// How soon a query that waits asks again where nothing tells of progress, or what was told is not enough …
const POLL_FIRST: Duration = Duration::from_millis(2);
/// … and later less often.
const POLL_LONGEST: Duration = Duration::from_millis(20);

/// What answers the queries.
#[derive(Debug, Clone)]
pub struct QueryEdge<Q> {
    queries: Q,
    wake: Wake,
}

/// What tells a query that waits for a commit when to ask again.
#[derive(Debug, Clone)]
enum Wake {
    Nothing,
    Progress(Progress),
    Looking(Looking),
}

impl<Q: SocialQueries> QueryEdge<Q> {
    /// Answers from `queries`; `progress` of the projection wakes those that wait for a commit. Without it, they poll.
    pub fn new(queries: Q, progress: Option<Progress>) -> Self {
        let wake = progress.map_or(Wake::Nothing, Wake::Progress);
        Self { queries, wake }
    }

    /// Answers from `queries` of a read model that somebody else feeds; `looking` wakes those that wait for a commit.
    pub fn beside(queries: Q, looking: Looking) -> Self {
        let wake = Wake::Looking(looking);
        Self { queries, wake }
    }

    /// Answers one query.
    pub(crate) async fn answer(
        &self,
        route: QueryRoute,
        params: &Params<'_>,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let demand = Demand::of(headers)?;
        let (queries, tokens) = (&self.queries, &demand.tokens);
        match route {
            QueryRoute::Post => {
                Query::parse(query, &[])?;
                let post = id(PostId::parse(params.get("id")), "id")?.as_uuid();
                let view = self.when_reached(&demand, || queries.post(post, tokens));
                let view = view.await?;
                respond(headers, &view, Some(view.version))
            }
            QueryRoute::Posts => {
                let query = Query::parse(query, POSTS_PARAMETERS)?;
                let (filter, page) = (filter(&query)?, page(&query)?);
                let ask = || queries.posts(&filter, &page, tokens);
                let view = self.when_reached(&demand, ask).await?;
                respond(headers, &view, None)
            }
            QueryRoute::Comments => {
                let page = page(&Query::parse(query, PAGE_PARAMETERS)?)?;
                let post = id(PostId::parse(params.get("id")), "id")?.as_uuid();
                let ask = || queries.comments(post, &page, tokens);
                let view = self.when_reached(&demand, ask).await?;
                respond(headers, &view, None)
            }
            QueryRoute::Comment => {
                Query::parse(query, &[])?;
                let post = id(PostId::parse(params.get("id")), "id")?.as_uuid();
                let comment = id(CommentId::parse(params.get("cid")), "cid")?.as_uuid();
                let ask = || queries.comment(post, comment, tokens);
                let view = self.when_reached(&demand, ask).await?;
                respond(headers, &view, None)
            }
            QueryRoute::Likes => {
                let page = page(&Query::parse(query, PAGE_PARAMETERS)?)?;
                let post = id(PostId::parse(params.get("id")), "id")?.as_uuid();
                let ask = || queries.likes(post, &page, tokens);
                let view = self.when_reached(&demand, ask).await?;
                respond(headers, &view, None)
            }
            QueryRoute::Author => {
                Query::parse(query, &[])?;
                let key = author_key(params.get("actor"))?;
                let ask = || queries.author(&key, tokens);
                let view = self.when_reached(&demand, ask).await?;
                respond(headers, &view, None)
            }
        }
    }

    /// Asks until the answer reflects every token, or the client has waited long enough.
    async fn when_reached<T, F>(
        &self,
        demand: &Demand,
        ask: impl Fn() -> F + Send,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, QueryError>> + Send,
    {
        let deadline = Instant::now() + demand.wait;
        self.foresee(demand, deadline).await;
        let mut pause = Duration::ZERO;
        loop {
            match ask().await {
                Ok(view) => return Ok(view),
                Err(QueryError::Behind { token, .. }) if Instant::now() < deadline => {
                    // At the deadline it is asked once more: that answer stands.
                    let progress = self.progress_to(token, pause);
                    let _ = timeout_at(deadline, progress).await;
                    pause = (pause * 3 / 2).clamp(POLL_FIRST, POLL_LONGEST);
                }
                Err(error) => return Err(problems::of_query(error)),
            }
        }
    }

    /// Waits, where somebody asks for all who wait, until that one has seen every token: else each would ask in vain first.
    async fn foresee(&self, demand: &Demand, deadline: Instant) {
        let Wake::Looking(looking) = &self.wake else {
            return;
        };
        for token in demand.tokens.positions() {
            if demand.wait.is_zero() || looking.has(*token) {
                continue;
            }
            if timeout_at(deadline, looking.reached(*token)).await.is_err() {
                return;
            }
        }
    }

    /// Completes when `token` may be reached: when that is told, else after `pause`.
    async fn progress_to(&self, token: LogPosition, pause: Duration) {
        match &self.wake {
            // A commit that is parked counts as done there, but not for a query.
            Wake::Progress(progress) if progress.position(token.partition) < token.position => {
                progress.reached(token).await;
            }
            Wake::Looking(looking) if !looking.has(token) => looking.reached(token).await,
            // It may have come after the answer: the first time it is asked again at once.
            Wake::Progress(_) | Wake::Looking(_) => tokio::time::sleep(pause).await,
            Wake::Nothing => tokio::time::sleep(pause.max(POLL_FIRST)).await,
        }
    }
}

/// What a client wants an answer to reflect, and how long it will wait for that.
struct Demand {
    tokens: Tokens,
    wait: Duration,
}

impl Demand {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut tokens = Tokens::none();
        for line in headers.get_all("consistency-token") {
            let malformed = || {
                let reason = "must be positions such as 0-42, with commas between them";
                Problem::invalid_value("Consistency-Token", reason)
            };
            let line = line.to_str().map_err(|_| malformed())?;
            let more: Tokens = line.parse().map_err(|_| malformed())?;
            more.positions().iter().for_each(|at| tokens.push(*at));
        }
        let wait = http_kit::preferred_wait(headers);
        Ok(Self { tokens, wait })
    }
}

const PAGE_PARAMETERS: &[&str] = &["limit", "cursor"];
const POSTS_PARAMETERS: &[&str] = &[
    "author",
    "commented_by",
    "liked_by",
    "min_likes",
    "min_comments",
    "sort",
    "limit",
    "cursor",
];

fn page(query: &Query<'_>) -> Result<PageRequest, Problem> {
    let most = u64::from(PageRequest::MAX_LIMIT);
    let limit = query.number("limit", 1..=most)?;
    Ok(PageRequest {
        limit: limit
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(PageRequest::DEFAULT_LIMIT),
        cursor: query.get("cursor").map(str::to_owned),
    })
}

fn filter(query: &Query<'_>) -> Result<PostFilter, Problem> {
    let actor = |name: &'static str| {
        let parsed = query.get(name).map(ActorId::parse).transpose();
        parsed
            .map(|actor| actor.map(Into::into))
            .map_err(|error| Problem::invalid_parameter(name, error.to_string()))
    };
    // Counts beyond this are met by nothing, and stores hold signed numbers.
    let count = |name: &'static str| query.number(name, 0..=u64::from(u32::MAX));
    let sort = query.get("sort").map(|name| {
        Sort::parse(name)
            .ok_or_else(|| Problem::invalid_parameter("sort", "must be `new` or `top`"))
    });
    Ok(PostFilter {
        author: actor("author")?,
        commented_by: actor("commented_by")?,
        liked_by: actor("liked_by")?,
        min_likes: count("min_likes")?,
        min_comments: count("min_comments")?,
        sort: sort.transpose()?.unwrap_or_default(),
    })
}

/// An actor, or `@` and a handle. What cannot be either is an author that does not exist.
fn author_key(text: &str) -> Result<AuthorKey, Problem> {
    let key = match text.strip_prefix('@') {
        Some(handle) => Handle::parse(handle)
            .ok()
            .filter(|parsed| parsed.as_str() == handle)
            .map(|handle| AuthorKey::Handle(handle.as_str().to_owned())),
        None => ActorId::parse(text)
            .ok()
            .map(|actor| AuthorKey::Actor(actor.into())),
    };
    match key {
        Some(key) => Ok(key),
        None if text.starts_with('@') => {
            Err(problems::of_query(QueryError::NotFound(Missing::Author)))
        }
        None => Err(Problem::malformed_id("actor").detail("must be an actor, or @ and a handle")),
    }
}

/// Answers `view` with a tag that changes with it, or 304 where the client has it.
fn respond(
    headers: &HeaderMap,
    view: &impl Serialize,
    version: Option<u64>,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(view).map_err(|error| {
        tracing::error!(%error, "a view could not be written");
        Problem::store_unavailable()
    })?;
    let etag = etag(&body, version);
    if http_kit::is_not_modified(headers, etag.to_str().unwrap_or_default()) {
        return Ok(http_kit::not_modified(etag));
    }
    let mut response = http_kit::json_bytes(StatusCode::OK, body.into());
    response.headers_mut().insert(ETAG, etag);
    Ok(response)
}

fn etag(body: &[u8], version: Option<u64>) -> HeaderValue {
    use std::fmt::Write as _;
    let digest = Sha256::digest(body);
    let mut tag = String::from("\"");
    if let Some(version) = version {
        let _ = write!(tag, "{version}-");
    }
    for byte in &digest[..12] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    visible(&tag)
}
