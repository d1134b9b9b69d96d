//! From a path and a body, or from a message, to a command.

use http_kit::{Fields, Params, Problem};
use serde_json::Value;
use social_domain::{
    ActorId, AddComment, CommentId, CommentText, CreatePost, DeletePost, DisplayName, EditComment,
    EditPost, Handle, InvalidValue, LikeComment, LikePost, PostId, PostMessage, RegisterAuthor,
    RemoveComment, UnlikeComment, UnlikePost,
};
use uuid::Uuid;

use super::{AnyCommand, CommandKind};

#[derive(Debug)]
/// A command that came as a message, with the id that the client gave it.
pub(crate) struct Parsed {
    pub(crate) id: Uuid,
    pub(crate) command: AnyCommand,
}

/// Where the ids of a command stand: in its path, or among the members of `data`.
enum Ids<'p> {
    Path(&'p Params<'p>),
    Members,
}

/// Reads the command of a `kind` from the parameters of its path and the members of its body.
pub(crate) fn from_route(
    kind: CommandKind,
    params: &Params<'_>,
    body: &Value,
) -> Result<AnyCommand, Problem> {
    let mut fields = Fields::of(body)?;
    let command = read(kind, &Ids::Path(params), &mut fields)?;
    fields.finish()?;
    Ok(command)
}

/// Reads `{"type": …, "id": …, "data": {…}}`.
pub(crate) fn from_message(body: &Value) -> Result<Parsed, Problem> {
    let mut envelope = Fields::of(body)?;
    let message = message(&mut envelope)?;
    envelope.finish()?;
    Ok(message)
}

/// Reads the same with the member `actor`, as it comes by a topic.
pub(crate) fn from_record(body: &Value) -> Result<(ActorId, Parsed), Problem> {
    let mut envelope = Fields::of(body)?;
    let actor = ActorId::parse(envelope.required_str("actor")?)
        .map_err(|error| Problem::invalid_value("actor", error.to_string()))?;
    let message = message(&mut envelope)?;
    envelope.finish()?;
    Ok((actor, message))
}

fn message(envelope: &mut Fields<'_>) -> Result<Parsed, Problem> {
    let name = envelope.required_str("type")?;
    let kind = CommandKind::by_name(name)
        .ok_or_else(|| Problem::invalid_value("type", "there is no such command"))?;
    // Any id of the domain has the same form.
    let id = id(PostId::parse(envelope.required_str("id")?), "id")?.as_uuid();
    let mut data = envelope.object("data")?;
    let command = read(kind, &Ids::Members, &mut data)?;
    data.finish()?;
    Ok(Parsed { id, command })
}

fn read(kind: CommandKind, ids: &Ids<'_>, fields: &mut Fields<'_>) -> Result<AnyCommand, Problem> {
    Ok(match kind {
        CommandKind::CreatePost => CreatePost {
            post_id: chosen(fields, PostId::parse)?,
            message: text(fields, "message", PostMessage::parse)?,
        }
        .into(),
        CommandKind::EditPost => EditPost {
            post_id: ids.post(fields)?,
            message: text(fields, "message", PostMessage::parse)?,
        }
        .into(),
        CommandKind::DeletePost => DeletePost {
            post_id: ids.post(fields)?,
        }
        .into(),
        CommandKind::LikePost => LikePost {
            post_id: ids.post(fields)?,
        }
        .into(),
        CommandKind::UnlikePost => UnlikePost {
            post_id: ids.post(fields)?,
        }
        .into(),
        CommandKind::AddComment => AddComment {
            post_id: ids.post(fields)?,
            comment_id: chosen(fields, CommentId::parse)?,
            message: text(fields, "message", CommentText::parse)?,
        }
        .into(),
        CommandKind::EditComment => EditComment {
            post_id: ids.post(fields)?,
            comment_id: ids.comment(fields)?,
            message: text(fields, "message", CommentText::parse)?,
        }
        .into(),
        CommandKind::RemoveComment => RemoveComment {
            post_id: ids.post(fields)?,
            comment_id: ids.comment(fields)?,
        }
        .into(),
        CommandKind::LikeComment => LikeComment {
            post_id: ids.post(fields)?,
            comment_id: ids.comment(fields)?,
        }
        .into(),
        CommandKind::UnlikeComment => UnlikeComment {
            post_id: ids.post(fields)?,
            comment_id: ids.comment(fields)?,
        }
        .into(),
        CommandKind::RegisterAuthor => RegisterAuthor {
            handle: text(fields, "handle", Handle::parse)?,
            display_name: text(fields, "display_name", DisplayName::parse)?,
        }
        .into(),
    })
}

impl Ids<'_> {
    fn post(&self, fields: &mut Fields<'_>) -> Result<PostId, Problem> {
        match self {
            Self::Path(params) => id(PostId::parse(params.get("id")), "id"),
            Self::Members => {
                let text = fields.required_str("post_id")?;
                id(PostId::parse(text), fields.path_of("post_id"))
            }
        }
    }

    fn comment(&self, fields: &mut Fields<'_>) -> Result<CommentId, Problem> {
        match self {
            Self::Path(params) => id(CommentId::parse(params.get("cid")), "cid"),
            Self::Members => {
                let text = fields.required_str("comment_id")?;
                id(CommentId::parse(text), fields.path_of("comment_id"))
            }
        }
    }
}

/// An id that the client may choose.
fn chosen<T>(
    fields: &mut Fields<'_>,
    parse: fn(&str) -> Result<T, InvalidValue>,
) -> Result<Option<T>, Problem> {
    let text = fields.optional_str("id")?;
    text.map(|text| id(parse(text), fields.path_of("id")))
        .transpose()
}

fn text<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    parse: fn(&str) -> Result<T, InvalidValue>,
) -> Result<T, Problem> {
    let text = fields.required_str(name)?;
    parse(text).map_err(|error| Problem::invalid_value(fields.path_of(name), error.to_string()))
}

/// Says of a malformed id where it stands.
pub(crate) fn id<T>(
    parsed: Result<T, InvalidValue>,
    field: impl Into<std::borrow::Cow<'static, str>>,
) -> Result<T, Problem> {
    parsed.map_err(|error| Problem::malformed_id(field).detail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0198C5A0-7C1E-7D3A-9B64-2F0E8D6A1C57";

    fn message(kind: &str, data: Value) -> Result<Parsed, Problem> {
        from_message(&json!({"type": kind, "id": ID, "data": data}))
    }

    #[test]
    fn a_message_is_read_to_its_command() {
        let parsed = message("EditPost", json!({"post_id": ID, "message": " hi "})).unwrap();
        assert_eq!(parsed.id.to_string(), ID.to_lowercase());
        let AnyCommand::EditPost(edit) = parsed.command else {
            panic!("another command");
        };
        assert_eq!(edit.message.as_str(), "hi");
    }

    #[test]
    fn faults_name_their_member() {
        for (kind, data, slug, field) in [
            ("Nonsense", json!({}), "invalid-value", "type"),
            ("LikePost", json!({}), "invalid-value", "data.post_id"),
            (
                "LikePost",
                json!({"post_id": "x"}),
                "malformed-id",
                "data.post_id",
            ),
            (
                "LikePost",
                json!({"post_id": ID, "x": 1}),
                "invalid-value",
                "data.x",
            ),
            (
                "CreatePost",
                json!({"message": ""}),
                "invalid-value",
                "data.message",
            ),
            (
                "CreatePost",
                json!({"message": "a", "id": "1"}),
                "malformed-id",
                "data.id",
            ),
            (
                "CreatePost",
                json!({"message": "a", "id": null}),
                "invalid-value",
                "data.id",
            ),
            (
                "RegisterAuthor",
                json!({"handle": "a"}),
                "invalid-value",
                "data.handle",
            ),
        ] {
            let problem = message(kind, data).err().unwrap();
            assert_eq!((problem.slug(), problem.named_field()), (slug, Some(field)));
        }
        let no_id = json!({"type": "LikePost", "id": "x", "data": {}});
        let problem = from_message(&no_id).err().unwrap();
        assert_eq!(problem.slug(), "malformed-id");
    }

    #[test]
    fn the_meaning_of_a_request_is_hashed_not_its_bytes() {
        let hash = |data: Value, as_message| {
            let parsed = message("CreatePost", data).unwrap();
            parsed.command.request_hash(as_message, None)
        };
        let plain = json!({"message": "hi"});
        assert_eq!(
            hash(plain.clone(), false),
            hash(json!({"message": "hi "}), false)
        );
        assert_ne!(
            hash(plain.clone(), false),
            hash(json!({"message": "ho"}), false)
        );
        assert_ne!(hash(plain.clone(), false), hash(plain, true));
    }
}
