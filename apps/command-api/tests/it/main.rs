//! The real binary on real engines, over sockets and topics.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

/// Makes tests of functions that take a [`Stage`](stage::Stage): one with each engine for the ledger.
macro_rules! on_each_ledger {
    ($($name:ident),+ $(,)?) => {
        mod on_postgres {
            $(
                #[test]
                #[ignore = "needs MONGODB_URI and POSTGRES_URL"]
                fn $name() {
                    super::$name(crate::stage::Stage::on_postgres());
                }
            )+
        }

        mod on_mssql {
            $(
                #[test]
                #[ignore = "needs MONGODB_URI and MSSQL_URL"]
                fn $name() {
                    super::$name(crate::stage::Stage::on_mssql());
                }
            )+
        }
    };
}

mod absent;
mod commands;
mod ledger;
mod lost;
mod messages;
mod process;
mod proxy;
mod sharing;
mod stage;
