use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Reads configuration from flags and the environment, and collects every
/// mistake before reporting any.
///
/// The flag of `PREFIX_SOME_KEY` is `--some-key`, that of a key without the
/// prefix its whole name: `--mongodb-uri`. A flag goes before the environment;
/// an empty value counts as absent. Values are never part of a problem.
///
/// # Example
///
/// ```
/// use http_kit::Settings;
///
/// let args = ["--listen=127.0.0.1:0", "--batch", "x"].map(String::from);
/// let mut settings = Settings::new("SOCIAL", |_key| None, args);
/// let listen: Option<std::net::SocketAddr> = settings.read("SOCIAL_LISTEN", None);
/// let batch: Option<u32> = settings.read("SOCIAL_BATCH", Some(100));
/// assert!(listen.is_some() && batch.is_none());
/// let error = settings.finish().unwrap_err();
/// assert_eq!(error.problems()[0].to_string(), "SOCIAL_BATCH: not a valid value");
/// ```
pub struct Settings<L> {
    prefix: String,
    lookup: L,
    flags: BTreeMap<String, Flag>,
    problems: Vec<ConfigProblem>,
}

struct Flag {
    value: String,
    used: bool,
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key or the flag at fault.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// All mistakes in the configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<ConfigProblem>);

impl<L: Fn(&str) -> Option<String>> Settings<L> {
    /// Takes the arguments apart, without the name of the program.
    pub fn new(prefix: &str, lookup: L, args: impl IntoIterator<Item = String>) -> Self {
        let prefix = format!("{prefix}_");
        let mut settings = Self {
            prefix,
            lookup,
            flags: BTreeMap::new(),
            problems: Vec::new(),
        };
        let mut args = args.into_iter().enumerate();
        while let Some((index, arg)) = args.next() {
            let Some(flag) = arg.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
                // It may be a secret that lost its flag: only its place is told.
                settings.problem(&format!("argument {}", index + 1), "unexpected argument");
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), args.next().map(|(_, value)| value)),
            };
            let label = format!("--{name}");
            let Some(value) = value else {
                settings.problem(&label, "needs a value");
                continue;
            };
            if settings
                .flags
                .insert(name, Flag { value, used: false })
                .is_some()
            {
                settings.problem(&label, "given twice");
            }
        }
        settings
    }

    /// A value, or the default where none is set.
    ///
    /// `None` means that a problem was noted: missing without a default, or
    /// not parsed.
    pub fn read<T: FromStr>(&mut self, key: &str, default: Option<T>) -> Option<T> {
        match self.optional(key)? {
            Some(value) => Some(value),
            None => {
                if default.is_none() {
                    self.problem(key, "missing");
                }
                default
            }
        }
    }

    /// A value that may be missing.
    ///
    /// The outer `None` means that a problem was noted, the inner one that
    /// nothing is set.
    pub fn optional<T: FromStr>(&mut self, key: &str) -> Option<Option<T>> {
        let Some(text) = self.text(key) else {
            return Some(None);
        };
        match text.parse() {
            Ok(value) => Some(Some(value)),
            // The parser's message might repeat the value.
            Err(_) => {
                self.problem(key, "not a valid value");
                None
            }
        }
    }

    /// Notes a mistake that only the caller can see.
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(ConfigProblem {
            key: key.to_owned(),
            message: message.into(),
        });
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// All problems noted, and every flag that was never asked for.
    pub fn finish(mut self) -> Result<(), ConfigError> {
        for (name, flag) in std::mem::take(&mut self.flags) {
            if !flag.used {
                self.problem(&format!("--{name}"), "unknown flag");
            }
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(self.problems))
        }
    }

    /// Ends the reading, and gives what was made of it: `None` only where a problem was noted.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn finish_with<T>(self, read: Option<T>) -> Result<T, ConfigError> {
        self.finish()?;
        read.ok_or_else(|| {
            ConfigError(vec![ConfigProblem {
                key: "configuration".to_owned(),
                message: "incomplete".to_owned(),
            }])
        })
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let name = key.strip_prefix(&self.prefix).unwrap_or(key);
        let name = name.to_ascii_lowercase().replace('_', "-");
        let text = match self.flags.get_mut(&name) {
            Some(flag) => {
                flag.used = true;
                Some(flag.value.clone())
            }
            None => (self.lookup)(key),
        };
        text.filter(|text| !text.is_empty())
    }
}

impl ConfigError {
    /// The mistakes, in the order of their discovery.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.0
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings<const N: usize>(
        environment: &'static [(&'static str, &'static str)],
        args: [&str; N],
    ) -> Settings<impl Fn(&str) -> Option<String>> {
        let lookup = |key: &str| {
            let found = environment.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::new("SOCIAL", lookup, args.map(String::from))
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        let environment = &[
            ("SOCIAL_RELAY_BATCH", "1"),
            ("SOCIAL_DATA", "env"),
            ("MONGODB_URI", "m"),
        ];
        let mut settings = settings(environment, ["--relay-batch", "2", "--mongodb-uri=a=b"]);
        assert_eq!(settings.read("SOCIAL_RELAY_BATCH", None), Some(2));
        assert_eq!(settings.read::<String>("SOCIAL_DATA", None).unwrap(), "env");
        assert_eq!(settings.read::<String>("MONGODB_URI", None).unwrap(), "a=b");
        assert_eq!(settings.read("SOCIAL_OTHER", Some(7)), Some(7));
        assert_eq!(settings.optional::<String>("SOCIAL_NONE"), Some(None));
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn all_problems_come_at_once_and_without_values() {
        let environment = &[("SOCIAL_LISTEN", "hunter2"), ("SOCIAL_EMPTY", "")];
        let mut settings = settings(
            environment,
            [
                "hunter2",
                "--what=hunter2",
                "--data",
                "x",
                "--data",
                "y",
                "--last",
            ],
        );
        assert_eq!(settings.read::<u16>("SOCIAL_LISTEN", Some(1)), None);
        assert_eq!(settings.read::<String>("SOCIAL_EMPTY", None), None);
        assert_eq!(settings.read::<String>("SOCIAL_DATA", None).unwrap(), "y");
        let error = settings.finish().unwrap_err();
        assert_eq!(
            error.to_string(),
            "argument 1: unexpected argument\n--data: given twice\n--last: needs a value\n\
             SOCIAL_LISTEN: not a valid value\nSOCIAL_EMPTY: missing\n--what: unknown flag"
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
