//! The log as lines of JSON, for a distributed installation to begin with.

use std::io::{BufWriter, Write};
use std::path::Path;

use cqrs_core::{Partition, Position};
use cqrs_sqlite::SqliteLogFile;
use social_service::transfer::{self, Header};

use crate::offline::store_file;

/// How many events are read at a time.
const SLICE: usize = 1_000;

/// Writes the store in `data`, as far as it goes now, to stdout. Whoever serves it goes on.
pub(crate) fn export(data: &Path) -> anyhow::Result<()> {
    let log = SqliteLogFile::open(store_file(data))?;
    write(&log, &mut BufWriter::new(std::io::stdout().lock()))
}

fn write(log: &SqliteLogFile, out: &mut impl Write) -> anyhow::Result<()> {
    // Commits are never changed, so that these positions are a moment of the log.
    let heads = log.heads()?;
    let header = Header::new(log.store_id(), log.namespace(), heads.clone());
    writeln!(out, "{}", header.to_line()?)?;
    for (partition, head) in Partition::all(log.partitions()).zip(heads) {
        let mut after = Position::START;
        while after < head {
            let slice = log.read_partition(partition, after, SLICE)?;
            anyhow::ensure!(!slice.is_empty(), "the log ends before {partition}-{head}");
            for commit in slice.iter().take_while(|commit| commit.at.position <= head) {
                writeln!(out, "{}", transfer::commit_line(commit)?)?;
                after = commit.at.position;
            }
        }
    }
    out.flush()?;
    Ok(())
}
