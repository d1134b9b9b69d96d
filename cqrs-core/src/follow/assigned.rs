//! Follows the partitions of a consumer, which come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::future::{Either, Shared, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;

use super::drive::{drive, or_shutdown};
use super::{Follower, RunnerError, Until};
use crate::bus::{Assigned, Assignment};
use crate::position::Partition;

/// Follows the partitions that `group` assigns.
pub(crate) async fn drive_assigned<F, A, S>(
    follower: &F,
    group: &A,
    shutdown: Shared<S>,
) -> Result<(), RunnerError>
where
    F: Follower,
    A: Assigned,
    S: Future<Output = ()> + Send,
{
    let mut assignment = Assignment::default();
    // A partition is here from its start until its drive has ended, so that none is driven twice at once.
    let mut running = BTreeMap::<Partition, (u64, Option<oneshot::Sender<()>>)>::new();
    let mut given_up = BTreeSet::<(Partition, u64)>::new();
    let mut first_error = None;
    let mut drives = FuturesUnordered::new();
    loop {
        for (partition, (term, stop)) in &mut running {
            if assignment.partitions.get(partition) != Some(term) {
                // Dropping the sender is the signal.
                *stop = None;
            }
        }
        for (&partition, &term) in &assignment.partitions {
            if running.contains_key(&partition) || given_up.contains(&(partition, term)) {
                continue;
            }
            let (stop, stopped) = oneshot::channel();
            running.insert(partition, (term, Some(stop)));
            let ends = select(shutdown.clone(), stopped).map(drop).shared();
            drives.push(async move {
                let ended = drive(follower, partition, ends, Until::Shutdown).await;
                (partition, ended)
            });
        }
        if drives.is_empty()
            && let Some(error) = first_error
        {
            return Err(error);
        }
        let ended = async {
            match drives.next().await {
                Some(ended) => ended,
                None => std::future::pending().await,
            }
        };
        let changed = pin!(group.changed(assignment.number));
        match or_shutdown(&shutdown, select(pin!(ended), changed)).await {
            None => break,
            Some(Either::Left(((partition, ended), _))) => {
                let term = running.remove(&partition).map(|(term, _)| term);
                if let Err(error) = ended {
                    given_up.extend(term.map(|term| (partition, term)));
                    first_error.get_or_insert(error);
                }
            }
            Some(Either::Right((changed, _))) => assignment = changed,
        }
    }
    while let Some((_, ended)) = drives.next().await {
        if let Err(error) = ended {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}
