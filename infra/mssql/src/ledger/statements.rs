//! The batches, put together from the parts that they share.

use std::sync::Arc;

use crate::name::SchemaName;

const PARTS: &[(&str, &str)] = &[
    ("{begin}", include_str!("sql/part/begin.sql")),
    ("{catch}", include_str!("sql/part/catch.sql")),
    ("{landed}", include_str!("sql/part/landed.sql")),
    ("{next}", include_str!("sql/part/next.sql")),
    ("{effect}", include_str!("sql/part/effect.sql")),
    ("{close}", include_str!("sql/part/close.sql")),
    // Used by those before.
    ("{vacate}", include_str!("sql/part/vacate.sql")),
    ("{stands}", include_str!("sql/part/stands.sql")),
    ("{row}", include_str!("sql/part/row.sql")),
];

/// For one schema.
pub(super) struct Statements {
    pub(super) claim: Arc<str>,
    pub(super) take_over: Arc<str>,
    pub(super) renew: Arc<str>,
    pub(super) answer: Arc<str>,
    pub(super) let_go: Arc<str>,
    pub(super) intend: Arc<str>,
    pub(super) drop_intent: Arc<str>,
    pub(super) expired: Arc<str>,
    pub(super) holder: Arc<str>,
    pub(super) finish: Arc<str>,
    pub(super) fold: Arc<str>,
    pub(super) folded: Arc<str>,
}

impl Statements {
    pub(super) fn of(schema: &SchemaName) -> Self {
        let batch = |text: &str| batch(text, schema);
        Self {
            claim: batch(include_str!("sql/claim.sql")),
            take_over: batch(include_str!("sql/take_over.sql")),
            renew: batch(include_str!("sql/renew.sql")),
            answer: batch(include_str!("sql/answer.sql")),
            let_go: batch(include_str!("sql/let_go.sql")),
            intend: batch(include_str!("sql/intend.sql")),
            drop_intent: batch(include_str!("sql/drop_intent.sql")),
            expired: batch(include_str!("sql/expired.sql")),
            holder: batch(include_str!("sql/holder.sql")),
            finish: batch(include_str!("sql/finish.sql")),
            fold: batch(include_str!("sql/fold.sql")),
            folded: batch(include_str!("sql/folded.sql")),
        }
    }
}

fn batch(text: &str, schema: &SchemaName) -> Arc<str> {
    let mut sql = bare(text);
    for (name, part) in PARTS {
        sql = sql.replace(name, &bare(part));
    }
    schema.fill(&sql).into()
}

/// Without what is for readers: it is sent with every call.
fn bare(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Arc<str>> {
        let s = Statements::of(&SchemaName::parse("ledger").unwrap());
        vec![
            s.claim,
            s.take_over,
            s.renew,
            s.answer,
            s.let_go,
            s.intend,
            s.drop_intent,
            s.expired,
            s.holder,
            s.finish,
            s.fold,
            s.folded,
        ]
    }

    #[test]
    fn every_part_is_filled_in() {
        for sql in all() {
            assert!(!sql.contains(['{', '}']), "{sql}");
            assert!(!sql.contains("--"), "{sql}");
        }
    }

    #[test]
    fn they_keep_to_what_the_servers_have_in_common() {
        for sql in all() {
            let upper = sql.to_uppercase();
            for word in [
                "MERGE ", "WITH (", "WAITFOR", "HOLDLOCK", "UPDLOCK", "READPAST",
            ] {
                assert!(!upper.contains(word), "{word} in {sql}");
            }
        }
    }
}
