//! What is kept, and what events do to it.

use std::collections::HashMap;

use cqrs_core::{BoxError, Codec, RecordedEvent};
use cqrs_postgres::{ApplyFailure, Column, PgReadModel, SqlType, Table, Writer};
use social_domain::PostEvent;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// The version of the tables.
pub(crate) const LAYOUT: u32 = 1;
/// The name under which its checkpoints are kept.
pub(crate) const NAME: &str = "activity";

/// What happened to authors' posts. A list of what was, not of what is: an unlike is an entry, too, and
/// a deletion takes none back.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    posts: Codec<PostEvent>,
}

static POST: Table = Table {
    name: "post",
    columns: &[
        Column::key("id", SqlType::Uuid),
        Column::value("author", SqlType::Text),
    ],
};

static ACTIVITY: Table = Table {
    name: "activity",
    columns: &[
        Column::key("partition", SqlType::Int4),
        Column::key("position", SqlType::Int8),
        Column::key("event", SqlType::Int4),
        Column::value("author", SqlType::Text),
        Column::value("kind", SqlType::Text),
        Column::value("post", SqlType::Uuid),
        Column::value("comment", SqlType::Uuid),
        Column::value("actor", SqlType::Text),
        Column::value("at", SqlType::Int8),
    ],
};

/// An entry, without whose post it is about.
struct Entry {
    kind: &'static str,
    comment: Option<Uuid>,
    actor: String,
}

/// The topic says what cannot be, after what it said before.
#[derive(Debug, thiserror::Error)]
#[error("there is no post `{0}` before this event")]
struct NoPost(Uuid);

impl Activity {
    fn decode(&self, event: &RecordedEvent<'_>) -> Result<(Uuid, PostEvent), BoxError> {
        let post = Uuid::try_parse(event.commit.stream.id())?;
        Ok((post, self.posts.decode(event.data)?))
    }
}

impl PgReadModel for Activity {
    fn name(&self) -> &str {
        NAME
    }

    fn layout(&self) -> u32 {
        LAYOUT
    }

    fn handles(&self, event_type: &str) -> bool {
        [
            "post-created",
            "post-liked",
            "post-unliked",
            "comment-added",
            "comment-removed",
        ]
        .contains(&event_type)
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&POST, &ACTIVITY]
    }

    fn create_tables(&self) -> &'static str {
        include_str!("schema/tables.sql")
    }

    fn create_indexes(&self) -> &'static str {
        include_str!("schema/indexes.sql")
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let mut happened = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let decoded = self.decode(event);
            happened.push(decoded.map_err(|source| ApplyFailure::at(index, source))?);
        }
        let posts: Vec<Uuid> = happened.iter().map(|(post, _)| *post).collect();
        let mut authors = authors(writer, &posts).await?;
        let (mut new, mut entries) = (writer.rows(&POST), writer.rows(&ACTIVITY));
        for (index, ((post, what), event)) in happened.into_iter().zip(events).enumerate() {
            let failed = |source: BoxError| ApplyFailure::at(index, source);
            if let PostEvent::PostCreated(created) = what {
                new.push(&[&post, &created.author]).map_err(failed)?;
                authors.insert(post, created.author);
            } else if let Some(entry) = entry(what, event) {
                let author = authors.get(&post);
                let author = author.ok_or_else(|| failed(NoPost(post).into()))?;
                let id = event.id;
                let row: [&(dyn ToSql + Sync); 9] = [
                    &i32::from(id.at.partition.index()),
                    &int8(id.at.position.get()).map_err(failed)?,
                    &i32::try_from(id.index).map_err(|source| failed(source.into()))?,
                    author,
                    &entry.kind,
                    &post,
                    &entry.comment,
                    &entry.actor,
                    &event.commit.header.time.as_millis(),
                ];
                entries.push(&row).map_err(failed)?;
            }
        }
        futures_util::try_join!(writer.insert(new), writer.insert(entries))?;
        Ok(())
    }
}

/// Whose those of `posts` are that were there before.
async fn authors(
    writer: &Writer<'_>,
    posts: &[Uuid],
) -> Result<HashMap<Uuid, String>, ApplyFailure> {
    let sql = "SELECT id, author FROM {schema}.post WHERE id = ANY($1)";
    let rows = writer.query(sql, &[&posts]).await?;
    let mut authors = HashMap::with_capacity(rows.len());
    for row in rows {
        authors.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(authors)
}

/// What an author is told of an event; `None` of those that are nothing to tell.
fn entry(what: PostEvent, event: &RecordedEvent<'_>) -> Option<Entry> {
    let (kind, comment, actor) = match what {
        PostEvent::PostLiked(liked) => ("liked", None, liked.actor),
        PostEvent::PostUnliked(unliked) => ("unliked", None, unliked.actor),
        PostEvent::CommentAdded(added) => ("commented", Some(added.comment_id), added.author),
        PostEvent::CommentRemoved(removed) => {
            let by = event.commit.header.actor.as_str().to_owned();
            ("comment-removed", Some(removed.comment_id), by)
        }
        _ => return None,
    };
    Some(Entry {
        kind,
        comment,
        actor,
    })
}

fn int8(number: u64) -> Result<i64, BoxError> {
    Ok(i64::try_from(number)?)
}
