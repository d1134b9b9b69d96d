//! What the process is asked to do.

use std::path::PathBuf;

/// The usage, with every key.
pub(crate) const HELP: &str = "\
social: posts, comments, likes and authors, in one process on one file

usage:
  social [flags]                serve HTTP until SIGTERM or SIGINT
  social rebuild [flags]        empty the read model and make it again from the log
  social backup FILE [flags]    copy the store to FILE, also while it is served
  social export [flags]         write the log to stdout, one JSON line a commit, also while it is served; for `replay import`
  social --help | --version

flags, and the environment variables of the same meaning:
  --listen ADDR          SOCIAL_LISTEN          where to listen (127.0.0.1:8080; port 0: a free one)
  --data DIR             SOCIAL_DATA            the directory of the store (./social-data)
  --auth off|jwt         SOCIAL_AUTH            who is asking: the header X-Actor, or a bearer token (off)
  --jwt-key TEXT         SOCIAL_JWT_KEY         HS256 secret, at least 32 bytes
  --jwt-public-key PEM   SOCIAL_JWT_PUBLIC_KEY  public key: EdDSA, RS256 or ES256
  --jwt-issuer TEXT      SOCIAL_JWT_ISSUER      the issuer that tokens must have
  --jwt-audience TEXT    SOCIAL_JWT_AUDIENCE    the audience that tokens must have
  RUST_LOG chooses what is logged to stderr (info).
";

/// One way to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Serve,
    Rebuild,
    Backup { to: PathBuf },
    Export,
    Help,
    Version,
    Misused(&'static str),
}

/// Takes the task off the arguments; gives the flags that are left.
pub(crate) fn task(arguments: impl Iterator<Item = String>) -> (Task, Vec<String>) {
    let mut arguments = arguments.peekable();
    let task = match arguments.peek().map(String::as_str) {
        Some("--help" | "-h" | "help") => Task::Help,
        Some("--version" | "-V") => Task::Version,
        Some("rebuild") => Task::Rebuild,
        Some("export") => Task::Export,
        Some("backup") => {
            arguments.next();
            match arguments.peek() {
                Some(to) if !to.starts_with("--") => Task::Backup { to: to.into() },
                _ => Task::Misused("backup: needs the file to copy to"),
            }
        }
        _ => return (Task::Serve, arguments.collect()),
    };
    (task, arguments.skip(1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_stands_before_the_flags() {
        let read = |line: &str| task(line.split_whitespace().map(str::to_owned));
        assert_eq!(read(""), (Task::Serve, vec![]));
        assert_eq!(read("--data x").0, Task::Serve);
        assert_eq!(read("rebuild --data x").1, ["--data", "x"]);
        let exported = (Task::Export, vec!["--data=x".to_owned()]);
        assert_eq!(read("export --data=x"), exported);
        let to = PathBuf::from("b.db");
        let expected = vec!["--data=x".to_owned()];
        assert_eq!(
            read("backup b.db --data=x"),
            (Task::Backup { to }, expected)
        );
        assert!(matches!(read("backup --data=x").0, Task::Misused(_)));
        assert!(matches!(read("backup").0, Task::Misused(_)));
        assert_eq!(read("--help").0, Task::Help);
    }

    #[test]
    fn the_usage_and_the_example_name_every_key() {
        let example = include_str!("../.env.example");
        for key in [
            "SOCIAL_LISTEN",
            "SOCIAL_DATA",
            "SOCIAL_AUTH",
            "SOCIAL_JWT_KEY",
            "SOCIAL_JWT_PUBLIC_KEY",
            "SOCIAL_JWT_ISSUER",
            "SOCIAL_JWT_AUDIENCE",
        ] {
            assert!(HELP.contains(key) && example.contains(key), "{key}");
        }
    }
}
