//! Names of one test's own, so that no test meets another's data.

use uuid::Uuid;

/// What a test's databases and topics are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) database: String,
    pub(crate) events: String,
    pub(crate) commands: String,
    pub(crate) replies: String,
    /// No topic of ours: what is measured beside us.
    pub(crate) bare: String,
}

impl Names {
    pub(crate) fn unique() -> Self {
        let own = format!("e2e_{:016x}", getrandom::u64().unwrap());
        Self {
            events: format!("{own}.events"),
            commands: format!("{own}.commands"),
            replies: format!("{own}.replies"),
            bare: format!("{own}.bare"),
            database: own,
        }
    }
}

/// A UUID made from a number, the same in every run.
pub(crate) fn uuid(number: u128) -> String {
    Uuid::from_u128(number | 0x4000_8000_0000_0000_0000).to_string()
}

/// The URL of the same server with another database.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
    let server = address.split('/').next().unwrap();
    match options {
        "" => format!("{scheme}://{server}/{database}"),
        options => format!("{scheme}://{server}/{database}?{options}"),
    }
}

#[test]
fn only_the_database_of_a_url_is_changed() {
    for (url, changed) in [
        ("mongodb://h:1", "mongodb://h:1/own"),
        ("mongodb://h:1/?a=b", "mongodb://h:1/own?a=b"),
        ("postgres://u:p@h:1/other", "postgres://u:p@h:1/own"),
    ] {
        assert_eq!(with_database(url, "own"), changed);
    }
}
