//! What is done to the data while nobody serves it, or beside whoever does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use cqrs_core::{Partition, Progress, ProjectionRunner, TailLog};
use cqrs_sqlite::{SqliteOptions, SqliteProjection, SqliteStore};
use indicatif::{ProgressBar, ProgressStyle};
use social_api::TokioTimer;
use social_read_model::SocialReadModel;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// The file of the store in its directory.
pub(crate) fn store_file(data: &Path) -> PathBuf {
    data.join("social.db")
}

/// Opens the store; makes the directory and the file where there are none.
pub(crate) fn open(data: &Path) -> anyhow::Result<SqliteStore> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("could not make the directory `{}`", data.display()))?;
    let store = SqliteStore::open(store_file(data), SqliteOptions::default())?;
    Ok(store)
}

/// Empties the read model and makes it again from the log.
pub(crate) async fn rebuild(data: &Path) -> anyhow::Result<()> {
    let shutdown = http_kit::shutdown_signal()?;
    let store = open(data)?;
    let projection = SqliteProjection::open(store.clone(), SocialReadModel::new()).await?;
    projection.begin_rebuild().await?;
    let options = projection.rebuild_options();
    let runner = ProjectionRunner::new(store.clone(), projection.clone(), TokioTimer, options);
    let head = head(&store).await?;
    let bar = bar(head)?;
    let progress = runner.progress();
    let caught_up = runner.catch_up(shutdown);
    let mut caught_up = std::pin::pin!(caught_up);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut caught_up => {
                done?;
                break;
            }
            _ = tick.tick() => show(&bar, &progress),
        }
    }
    projection.finish_rebuild().await?;
    show(&bar, &progress);
    bar.finish();
    let (done, parked) = (position(&progress), progress.parked_count());
    store.close().await;
    anyhow::ensure!(
        done >= head,
        "stopped at commit {done} of {head}; serving goes on from there"
    );
    println!(
        "rebuilt: {} events, {parked} streams parked",
        progress.counts().events
    );
    Ok(())
}

/// Copies the store as of one moment to the new file `to`.
pub(crate) fn backup(data: &Path, to: &Path) -> anyhow::Result<()> {
    cqrs_sqlite::backup_file(&store_file(data), to)?;
    println!("copied to {}", to.display());
    Ok(())
}

async fn head(store: &SqliteStore) -> anyhow::Result<u64> {
    let mut commits = 0;
    for partition in Partition::all(store.partitions()) {
        commits += store.head(partition).await?.get();
    }
    Ok(commits)
}

fn position(progress: &Progress) -> u64 {
    Partition::all(progress.partitions())
        .map(|partition| progress.position(partition).get())
        .sum()
}

/// Measured in commits, whose number is known beforehand; the events per second stand beside it.
fn bar(commits: u64) -> anyhow::Result<ProgressBar> {
    let template = "{bar:40} {percent:>3}% {pos}/{len} commits, {msg}, {eta} left";
    Ok(ProgressBar::new(commits).with_style(ProgressStyle::with_template(template)?))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let seconds = bar.elapsed().as_secs_f64().max(0.001);
    // A rate for people: what the conversion loses does not show.
    #[allow(clippy::cast_precision_loss)]
    let rate = progress.counts().events as f64 / seconds;
    bar.set_message(format!("{rate:.0} events/s"));
    bar.set_position(position(progress));
}
