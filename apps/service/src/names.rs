//! What one installation's parts are called in the engines: the same for every service of it.

use http_kit::Settings;

/// The topic of the events, unless `SOCIAL_EVENTS_TOPIC` says another.
const EVENTS_TOPIC: &str = "social.events";
/// What the schemas of the read model begin with, unless `SOCIAL_SCHEMA_PREFIX` says otherwise.
const SCHEMA_PREFIX: &str = "rm";
/// The database of the log, unless `MONGODB_URI` names another.
const DATABASE: &str = "social";
/// Log partitions of a new store, unless `SOCIAL_PARTITIONS` says otherwise.
const PARTITIONS: u16 = 4;

/// The topic that carries the log's events: `SOCIAL_EVENTS_TOPIC`. `None` where a problem was noted.
pub fn events_topic<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<String> {
    settings.read("SOCIAL_EVENTS_TOPIC", Some(EVENTS_TOPIC.to_owned()))
}

/// What the schemas of the read model begin with: `SOCIAL_SCHEMA_PREFIX`. `None` where a problem was noted.
pub fn schema_prefix<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<String> {
    settings.read("SOCIAL_SCHEMA_PREFIX", Some(SCHEMA_PREFIX.to_owned()))
}

/// How many log partitions a store has: `SOCIAL_PARTITIONS`, 1 to 1,024. Fixed when it is made, and checked against
/// the store afterwards. `None` where a problem was noted.
pub fn partitions<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<u16> {
    const KEY: &str = "SOCIAL_PARTITIONS";
    let partitions = settings.read(KEY, Some(PARTITIONS))?;
    if (1..=1_024).contains(&partitions) {
        return Some(partitions);
    }
    settings.problem(KEY, "must be 1 to 1024");
    None
}

/// The database that a `mongodb://` URI names, else `social`.
#[must_use]
pub fn log_database(uri: &str) -> &str {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let before_options = after_scheme.split('?').next().unwrap_or_default();
    match before_options.split_once('/') {
        Some((_, database)) if !database.is_empty() => database,
        _ => DATABASE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_the_one_that_the_uri_names() {
        for (uri, database) in [
            ("mongodb://h:1", "social"),
            ("mongodb://h:1/?directConnection=true", "social"),
            ("mongodb://u:p@h:1,i:2/other?replicaSet=rs0", "other"),
            ("mongodb+srv://h/other", "other"),
        ] {
            assert_eq!(log_database(uri), database, "{uri}");
        }
    }

    #[test]
    fn a_number_of_partitions_has_bounds() {
        for (text, read) in [
            ("1", Some(1)),
            ("1024", Some(1_024)),
            ("0", None),
            ("1025", None),
        ] {
            let mut settings = Settings::new("SOCIAL", |_: &str| Some(text.to_owned()), []);
            assert_eq!(partitions(&mut settings), read, "{text}");
            assert_eq!(settings.finish().is_ok(), read.is_some());
        }
    }
}
