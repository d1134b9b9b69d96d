//! What the process is asked to do.

use std::path::PathBuf;

use cqrs_core::StreamName;

/// The usage, with every key.
pub(crate) const HELP: &str = "\
replay: rebuilds, verifies, promotes and rolls back the read model; publishes again; imports

usage:
  replay rebuild [--no-promote] [--force]  make the next version beside the live one, compare both, promote it
  replay promote VERSION [--force]         make a rebuilt version, or an earlier one, the live one
  replay rollback [--force]                make the version live again that was so before
  replay verify [VERSION]                  compare the live version, row by row, with VERSION or one rebuilt for this
  replay cancel                            end what was begun and never promoted; also a rebuild that is running
  replay retire VERSION                    end a version that is not live: it is fed no more, its tables are dropped
  replay status                            what versions there are, where they stand, what is parked
  replay parked list                       the parked streams of every version that is fed, and why
  replay parked retry [STREAM]             apply what is parked, in order
  replay parked drop STREAM --reason TEXT  give a stream's waiting events up, in every version that is fed
  replay republish --topic TOPIC           publish the whole log to another topic than the services' own
  replay import FILE|-                     fill an empty store with what `social export` wrote
  replay --help | --version

All may run beside full traffic, and may be interrupted: run the same again to go on. Of rebuild, promote,
rollback and verify one runs at a time. `import` is for an installation whose services do not run yet.

exit status: 0 done; 1 failed, or the versions differ; 2 a mistake in the call or the settings;
3 interrupted; 4 another replay is running

flags, and the environment variables of the same meaning:
  --mongodb-uri URI        MONGODB_URI           the log; its path names the database (social)
  --postgres-url URL       POSTGRES_URL          the read model: all but republish and import
  --kafka-brokers LIST     KAFKA_BROKERS         host:port,…, or a kafka:// URL with TLS and login: republish
  --events-topic NAME      SOCIAL_EVENTS_TOPIC   the services' own topic (social.events)
  --partitions N           SOCIAL_PARTITIONS     partitions of the log (4)
  --schema-prefix NAME     SOCIAL_SCHEMA_PREFIX  what the read model's schemas begin with (rm)
  RUST_LOG chooses what is logged to stderr (info).
";

/// One way to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    Rebuild { promote: bool, force: bool },
    Promote { version: u32, force: bool },
    Rollback { force: bool },
    Verify { version: Option<u32> },
    Cancel,
    Retire { version: u32 },
    Status,
    ListParked,
    RetryParked { stream: Option<StreamName> },
    DropParked { stream: StreamName, reason: String },
    Republish { topic: String },
    Import { from: Option<PathBuf> },
    Help,
    Version,
}

/// A call that cannot be understood, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misused(pub(crate) String);

/// The arguments, by what they are.
#[derive(Default)]
struct Words {
    /// What is no flag, in order.
    plain: Vec<String>,
    no_promote: bool,
    force: bool,
    topic: Option<String>,
    reason: Option<String>,
    /// The settings.
    rest: Vec<String>,
}

impl Words {
    fn sort(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut words = Self::default();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                words.plain.push(argument);
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            match name {
                "no-promote" if value.is_none() => words.no_promote = true,
                "force" if value.is_none() => words.force = true,
                "topic" => words.topic = value.or_else(|| arguments.next()),
                "reason" => words.reason = value.or_else(|| arguments.next()),
                _ if value.is_some() => words.rest.push(argument),
                _ => {
                    words.rest.push(argument);
                    words.rest.extend(arguments.next());
                }
            }
        }
        words
    }
}

/// Takes the task off the arguments; gives the settings that are left.
pub(crate) fn task(
    arguments: impl Iterator<Item = String>,
) -> Result<(Task, Vec<String>), Misused> {
    let mut arguments = arguments.peekable();
    match arguments.peek().map(String::as_str) {
        Some("--help" | "-h" | "help") => return Ok((Task::Help, Vec::new())),
        Some("--version" | "-V") => return Ok((Task::Version, Vec::new())),
        _ => {}
    }
    let words = Words::sort(arguments);
    let (force, promote) = (words.force, !words.no_promote);
    let plain: Vec<&str> = words.plain.iter().map(String::as_str).collect();
    let task = match plain[..] {
        ["rebuild"] => Task::Rebuild { promote, force },
        ["promote", version] => Task::Promote {
            version: number(version)?,
            force,
        },
        ["rollback"] => Task::Rollback { force },
        ["verify"] => Task::Verify { version: None },
        ["verify", version] => Task::Verify {
            version: Some(number(version)?),
        },
        ["cancel"] => Task::Cancel,
        ["retire", version] => Task::Retire {
            version: number(version)?,
        },
        ["status"] => Task::Status,
        ["parked"] | ["parked", "list"] => Task::ListParked,
        ["parked", "retry"] => Task::RetryParked { stream: None },
        ["parked", "retry", name] => Task::RetryParked {
            stream: Some(stream(name)?),
        },
        ["parked", "drop", name] => Task::DropParked {
            stream: stream(name)?,
            reason: given(&words.reason, "parked drop: needs --reason TEXT")?,
        },
        ["republish"] => Task::Republish {
            topic: given(&words.topic, "republish: needs --topic TOPIC")?,
        },
        ["import", "-"] => Task::Import { from: None },
        ["import", file] => Task::Import {
            from: Some(file.into()),
        },
        [] => return Err(Misused("what is to be done?".to_owned())),
        [first, ..] => return Err(Misused(format!("`{first}`: not a task, or not so"))),
    };
    let fits = match task {
        Task::Rebuild { .. } => true,
        Task::Promote { .. } | Task::Rollback { .. } => promote,
        _ => promote && !force,
    };
    let others = match task {
        Task::DropParked { .. } => words.topic.is_none(),
        Task::Republish { .. } => words.reason.is_none(),
        _ => words.topic.is_none() && words.reason.is_none(),
    };
    if fits && others {
        Ok((task, words.rest))
    } else {
        Err(Misused(format!("`{}`: a flag too many", plain[0])))
    }
}

fn number(text: &str) -> Result<u32, Misused> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Misused(format!("`{text}` is no version: 1, 2, 3 …")))
}

fn stream(text: &str) -> Result<StreamName, Misused> {
    StreamName::parse(text).map_err(|error| Misused(error.to_string()))
}

fn given(value: &Option<String>, otherwise: &str) -> Result<String, Misused> {
    let value = value.clone().filter(|value| !value.trim().is_empty());
    value.ok_or_else(|| Misused(otherwise.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Task, Vec<String>), Misused> {
        task(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_task_is_understood() {
        let post = StreamName::parse("post-1").unwrap();
        for (line, wanted) in [
            (
                "rebuild",
                Task::Rebuild {
                    promote: true,
                    force: false,
                },
            ),
            (
                "rebuild --no-promote --force",
                Task::Rebuild {
                    promote: false,
                    force: true,
                },
            ),
            (
                "promote 3 --force",
                Task::Promote {
                    version: 3,
                    force: true,
                },
            ),
            ("rollback", Task::Rollback { force: false }),
            ("verify", Task::Verify { version: None }),
            ("verify 2", Task::Verify { version: Some(2) }),
            ("cancel", Task::Cancel),
            ("retire 1", Task::Retire { version: 1 }),
            ("status", Task::Status),
            ("parked", Task::ListParked),
            ("parked list", Task::ListParked),
            ("parked retry", Task::RetryParked { stream: None }),
            (
                "parked retry post-1",
                Task::RetryParked {
                    stream: Some(post.clone()),
                },
            ),
            (
                "parked drop post-1 --reason=spam",
                Task::DropParked {
                    stream: post,
                    reason: "spam".to_owned(),
                },
            ),
            (
                "republish --topic other",
                Task::Republish {
                    topic: "other".to_owned(),
                },
            ),
            ("import -", Task::Import { from: None }),
            (
                "import a.jsonl",
                Task::Import {
                    from: Some("a.jsonl".into()),
                },
            ),
            ("--help", Task::Help),
            ("--version", Task::Version),
        ] {
            assert_eq!(read(line), Ok((wanted, vec![])), "{line}");
        }
    }

    #[test]
    fn settings_are_left_for_later_wherever_they_stand() {
        let (task, rest) = read("--partitions 2 rebuild --schema-prefix=x --force").unwrap();
        let wanted = Task::Rebuild {
            promote: true,
            force: true,
        };
        assert_eq!(task, wanted);
        assert_eq!(rest, ["--partitions", "2", "--schema-prefix=x"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "",
            "rebuilt",
            "rebuild now",
            "promote",
            "promote x",
            "promote 0",
            "retire",
            "parked drop post-1",
            "parked drop post-1 --reason=",
            "parked retry nothing",
            "republish",
            "status --force",
            "rollback --no-promote",
            "status --topic x",
            "import",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_usage_and_the_example_name_every_key() {
        let example = include_str!("../.env.example");
        for key in [
            "MONGODB_URI",
            "POSTGRES_URL",
            "KAFKA_BROKERS",
            "SOCIAL_EVENTS_TOPIC",
            "SOCIAL_PARTITIONS",
            "SOCIAL_SCHEMA_PREFIX",
        ] {
            let told = HELP.contains(key) && example.contains(&format!("{key}="));
            assert!(told, "{key}");
        }
    }
}
