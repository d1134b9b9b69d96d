//! One process's way to the versions, to replay them: transactions in sessions.

use std::time::Duration;

use cqrs_core::testing::sim::{Node, NodeId, Unanswered, Wire};
use cqrs_core::{
    BothPlaces, BuildVersions, ChangeVersions, CompareVersions, Compared, MemoryChange,
    MemoryGates, MemoryPromotion, MemoryReplayLock, MemorySnapshot, MemoryVersion, ModelState,
    ModelVersions, Position, PromoteVersions, PromotionTransaction, ReplayLock, Standing,
    VersionChange, VersionGates, VersionSnapshot, Writing,
};
use futures_util::FutureExt;

use super::sessions::Session;
use super::{ModelClient, Models, Table};
use crate::engines::{LIMIT, at_once};
use crate::rows::Rows;
use crate::world::PARTITIONS;

/// How much longer than it is to be held a transaction may stand still before the server ends it, as in `cqrs-postgres`.
const IDLE: Duration = Duration::from_secs(5);

/// One process's way to the versions.
pub(crate) struct VersionsClient<S: Table = Rows> {
    wire: Wire,
    models: Models<S>,
    /// Whether promotions are forced: as the engine's checks are told, and nobody else.
    forced: bool,
}

impl<S: Table> VersionsClient<S> {
    pub(crate) fn new(node: &Node, at: NodeId, models: &Models<S>, forced: bool) -> Self {
        Self {
            wire: node.wire(at),
            models: models.clone(),
            forced,
        }
    }

    fn session<T: Send + 'static>(&self) -> Session<T> {
        self.models.0.sessions.open(&self.wire)
    }

    async fn ask<R: Send + 'static>(
        &self,
        what: &'static str,
        run: impl FnOnce(&Models<S>) -> R + Send + 'static,
    ) -> Result<R, Unanswered> {
        let models = self.models.clone();
        self.wire.call(what, LIMIT, move || run(&models)).await
    }
}

/// What the server says to something that it refuses.
fn refused<R, E>(answer: Result<R, E>) -> Result<R, Unanswered> {
    answer.map_err(|_| Unanswered)
}

impl<S: Table> ModelVersions for VersionsClient<S> {
    type Version = MemoryVersion;
    type Error = Unanswered;

    async fn versions(&self) -> Result<Vec<MemoryVersion>, Unanswered> {
        let run = |models: &Models<S>| at_once(models.0.versions.versions());
        self.ask("versions", run).await.and_then(refused)
    }

    async fn begun(&self) -> Result<Vec<MemoryVersion>, Unanswered> {
        let run = |models: &Models<S>| at_once(models.0.versions.begun());
        self.ask("begun versions", run).await.and_then(refused)
    }

    async fn previous(&self) -> Result<Option<MemoryVersion>, Unanswered> {
        let run = |models: &Models<S>| at_once(models.0.versions.previous());
        self.ask("previous version", run).await.and_then(refused)
    }
}

impl<S: Table> BuildVersions for VersionsClient<S> {
    type Projection = ModelClient<S>;

    fn layout(&self) -> u32 {
        1
    }

    async fn begin(&self, partitions: u16) -> Result<MemoryVersion, Unanswered> {
        let run = move |models: &Models<S>| {
            let begun = at_once(models.0.versions.begin(partitions));
            // Its commit is waited for until it is on disk, and with it all before it.
            models.flush();
            begun
        };
        self.ask("begin version", run).await.and_then(refused)
    }

    fn projection(&self, version: &MemoryVersion, writing: Writing) -> ModelClient<S> {
        ModelClient::writing(self.wire.clone(), &self.models, version.number, writing)
    }
}

/// The right to replay.
pub(crate) struct Right<S: Table>(Session<MemoryReplayLock<S>>);

impl<S: Table> ReplayLock for Right<S> {
    type Error = Unanswered;

    async fn check(&self) -> Result<(), Unanswered> {
        let held = self.0.call("check lock", |lock| Some(Ok(lock.is_some())));
        held.await?.then_some(()).ok_or(Unanswered)
    }
}

/// A change of one version.
pub(crate) struct Change<S: Table> {
    session: Session<MemoryChange<S>>,
    models: Models<S>,
    number: u32,
}

impl<S: Table> ChangeVersions for VersionsClient<S> {
    type Change = Change<S>;
    type Lock = Right<S>;

    async fn lock(&self) -> Result<Option<Right<S>>, Unanswered> {
        let session = self.session();
        let models = self.models.clone();
        let taken = session.call("lock", move |kept| {
            *kept = at_once(models.0.versions.lock()).ok().flatten();
            Some(Ok(kept.is_some()))
        });
        Ok(taken.await?.then_some(Right(session)))
    }

    async fn change(&self, version: &MemoryVersion) -> Result<(Change<S>, ModelState), Unanswered> {
        let (session, version) = (self.session(), *version);
        let models = self.models.clone();
        let begun = session.call("change version", move |kept| {
            let begun = models.0.versions.change(&version).now_or_never()?;
            Some(refused(begun).map(|(change, found)| {
                *kept = Some(change);
                found
            }))
        });
        let found = begun.await?;
        let (models, number) = (self.models.clone(), version.number);
        let change = Change {
            session,
            models,
            number,
        };
        Ok((change, found))
    }
}

impl<S: Table> Change<S> {
    fn state(models: &Models<S>, number: u32) -> Option<ModelState> {
        let all = at_once(models.0.versions.versions()).unwrap_or_default();
        let found = all.into_iter().find(|version| version.number == number);
        found.map(|version| version.state)
    }
}

impl<S: Table> VersionChange for Change<S> {
    type Version = MemoryVersion;
    type Error = Unanswered;

    async fn make_ready(self) -> Result<MemoryVersion, Unanswered> {
        let (models, number) = (self.models.clone(), self.number);
        let run = move |kept: &mut Option<MemoryChange<S>>| {
            let Some(change) = kept.take() else {
                return Some(Err(Unanswered));
            };
            if Self::state(&models, number) == Some(ModelState::Retired) {
                models.breaks("P10", format!("model {number} was cancelled, and is fed"));
            }
            let ready = at_once(change.make_ready());
            models.flush();
            Some(refused(ready))
        };
        self.session.call("make ready", run).await
    }

    async fn retire(self) -> Result<(), Unanswered> {
        let (models, number) = (self.models.clone(), self.number);
        let run = move |kept: &mut Option<MemoryChange<S>>| {
            let Some(change) = kept.take() else {
                return Some(Err(Unanswered));
            };
            if Self::state(&models, number) == Some(ModelState::Live) {
                models.breaks("P10", format!("model {number} is live, and retired"));
                return Some(Err(Unanswered));
            }
            // Nobody holds the checkpoints of what is not live.
            let retired = change.retire().now_or_never();
            models.flush();
            Some(retired.map_or(Err(Unanswered), refused))
        };
        self.session.call("retire", run).await
    }
}

/// A promotion.
pub(crate) struct Promoting<S: Table> {
    session: Session<MemoryPromotion<S>>,
    models: Models<S>,
    forced: bool,
}

impl<S: Table> PromoteVersions for VersionsClient<S> {
    type Promotion = Promoting<S>;

    async fn begin_promotion(
        &self,
        version: &MemoryVersion,
        hold: Duration,
    ) -> Result<(Promoting<S>, ModelState), Unanswered> {
        let (session, version) = (self.session(), *version);
        session.end_where_idle(hold * 2 + IDLE);
        let models = self.models.clone();
        let begun = session.call("begin promotion", move |kept| {
            let versions = &models.0.versions;
            let begun = versions.begin_promotion(&version, hold).now_or_never()?;
            Some(refused(begun).map(|(promotion, found)| {
                *kept = Some(promotion);
                found
            }))
        });
        let found = begun.await?;
        let promoting = Promoting {
            session,
            models: self.models.clone(),
            forced: self.forced,
        };
        Ok((promoting, found))
    }
}

impl<S: Table> PromotionTransaction for Promoting<S> {
    type Version = MemoryVersion;
    type Error = Unanswered;

    async fn hold(&mut self) -> Result<Vec<Position>, Unanswered> {
        let run = |kept: &mut Option<MemoryPromotion<S>>| match kept {
            Some(promotion) => promotion.hold().now_or_never().map(refused),
            None => Some(Err(Unanswered)),
        };
        self.session.call("hold live", run).await
    }

    async fn standing(&mut self) -> Result<Standing, Unanswered> {
        let run = |kept: &mut Option<MemoryPromotion<S>>| match kept {
            Some(promotion) => promotion.standing().now_or_never().map(refused),
            None => Some(Err(Unanswered)),
        };
        self.session.call("standing", run).await
    }

    async fn commit(self) -> Result<MemoryVersion, Unanswered> {
        let (models, forced) = (self.models.clone(), self.forced);
        let run = move |kept: &mut Option<MemoryPromotion<S>>| {
            let Some(mut promotion) = kept.take() else {
                return Some(Err(Unanswered));
            };
            models.check_promotion(&mut promotion, forced);
            let live = at_once(promotion.commit());
            models.flush();
            Some(refused(live))
        };
        self.session.call("promote", run).await
    }
}

impl<S: Table> Models<S> {
    /// P10, at the moment at which the pointer moves.
    fn check_promotion(&self, promotion: &mut MemoryPromotion<S>, forced: bool) {
        let (to, from) = promotion.numbers();
        let before = self.0.versions.places(from);
        let standing = at_once(promotion.standing()).unwrap_or_default();
        let now = &standing.at;
        if now.len() != usize::from(PARTITIONS) || now.iter().zip(&before).any(|(n, b)| n < b) {
            let text = format!("model {to} is at {now:?}, and live after {from} at {before:?}");
            self.breaks("P10", text);
        }
        if !standing.parked.is_empty() && !forced {
            let parked = &standing.parked;
            let text =
                format!("model {to} is live, and has parked what {from} has not: {parked:?}");
            self.breaks("P10", text);
        }
    }
}

/// What a session of a comparison keeps.
enum Comparing<S: Table> {
    Closed(MemoryGates<S>),
    Copied(MemorySnapshot<S>),
}

/// Both versions, standing still.
pub(crate) struct Gates<S: Table>(Session<Comparing<S>>);

/// Both versions as they were.
pub(crate) struct Snapshot<S: Table>(Session<Comparing<S>>);

impl<S: Table> CompareVersions for VersionsClient<S> {
    type Gates = Gates<S>;

    async fn close_gates(
        &self,
        live: &MemoryVersion,
        other: &MemoryVersion,
        hold: Duration,
    ) -> Result<Gates<S>, Unanswered> {
        let (session, live, other) = (self.session(), *live, *other);
        session.end_where_idle(hold + IDLE);
        let models = self.models.clone();
        let closed = session.call("close gates", move |kept| {
            let versions = &models.0.versions;
            let closed = versions.close_gates(&live, &other, hold).now_or_never()?;
            Some(refused(closed).map(|gates| *kept = Some(Comparing::Closed(gates))))
        });
        closed.await?;
        Ok(Gates(session))
    }
}

impl<S: Table> VersionGates for Gates<S> {
    type Error = Unanswered;
    type Snapshot = Snapshot<S>;

    async fn places(&mut self) -> Result<BothPlaces, Unanswered> {
        let run = |kept: &mut Option<Comparing<S>>| match kept {
            Some(Comparing::Closed(gates)) => Some(refused(at_once(gates.places()))),
            _ => Some(Err(Unanswered)),
        };
        self.0.call("gated places", run).await
    }

    async fn open(self) -> Result<Snapshot<S>, Unanswered> {
        let run = |kept: &mut Option<Comparing<S>>| match kept.take() {
            Some(Comparing::Closed(gates)) => {
                let copied = refused(at_once(gates.open()));
                Some(copied.map(|copied| *kept = Some(Comparing::Copied(copied))))
            }
            _ => Some(Err(Unanswered)),
        };
        self.0.call("open gates", run).await?;
        Ok(Snapshot(self.0))
    }
}

impl<S: Table> VersionSnapshot for Snapshot<S> {
    type Error = Unanswered;

    async fn places(&mut self) -> Result<BothPlaces, Unanswered> {
        let run = |kept: &mut Option<Comparing<S>>| match kept {
            Some(Comparing::Copied(copied)) => Some(refused(at_once(copied.places()))),
            _ => Some(Err(Unanswered)),
        };
        self.0.call("copied places", run).await
    }

    async fn compare(&mut self, nth: usize) -> Result<Option<Compared>, Unanswered> {
        let run = move |kept: &mut Option<Comparing<S>>| match kept {
            Some(Comparing::Copied(copied)) => Some(refused(at_once(copied.compare(nth)))),
            _ => Some(Err(Unanswered)),
        };
        self.0.call("compare", run).await
    }
}
