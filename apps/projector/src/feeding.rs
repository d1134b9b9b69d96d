//! Feeds every version that is to be fed: begins with new ones, ends with retired ones.
//!
//! Each version has checkpoints and a consumer group of its own, so that several projectors share the partitions of each,
//! and a version that is behind holds no other back. A projector whose code knows another layout than the live one
//! feeds the versions of the layout that it knows, so that these can be promoted.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{BusSource, ProjectionRunner, RunnerOptions};
use cqrs_kafka::{ClientError, KafkaConfig, KafkaConsumer, KafkaProbe};
use cqrs_postgres::{ModelError, ModelVersion, PgModels, PgProjection};
use http_kit::{Health, Readiness};
use social_api::TokioTimer;
use social_read_model::SocialReadModel;
use social_service::Stopping;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::feeds::{Feed, Feeds, Seen};
use crate::log::LateLog;

/// How often it is looked which versions there are.
const LOOK: Duration = Duration::from_millis(500);
/// How long the brokers may take to let a consumer go.
const GOODBYE: Duration = Duration::from_secs(10);
/// Every so many looks, how the engines and the versions do.
const SURVEY: u32 = 4;

/// What feeds the versions.
#[derive(Debug)]
pub(crate) struct Feeding {
    pub(crate) models: PgModels,
    pub(crate) model: Arc<SocialReadModel>,
    pub(crate) partitions: u16,
    pub(crate) kafka: KafkaConfig,
    /// Asks how the brokers do.
    pub(crate) probe: KafkaProbe,
    pub(crate) topic: String,
    /// What the names of the consumer groups begin with.
    pub(crate) group: String,
    pub(crate) log: LateLog,
    pub(crate) feeds: Feeds,
    pub(crate) readiness: Readiness,
}

/// A version that is being fed. Dropping the sender is the signal to stop.
#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<Infallible>,
    task: JoinHandle<()>,
}

/// Makes the first version where there is none.
///
/// # Errors
///
/// [`ModelError`]; with [`ModelError::Layout`] there may be other versions to feed.
pub(crate) async fn open(
    models: &PgModels,
    model: &SocialReadModel,
    partitions: u16,
) -> Result<(), ModelError> {
    models.open(model, partitions).await.map(drop)
}

impl Running {
    async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "feeding a version did not end by itself");
        }
    }
}

impl Feeding {
    /// Feeds until `stopping`, then lets what is running end.
    ///
    /// # Errors
    ///
    /// None.
    pub(crate) async fn run(self, stopping: Stopping) -> Result<(), Infallible> {
        let mut running = BTreeMap::new();
        let mut trouble = None;
        let mut round = 0u32;
        loop {
            let opened = open(&self.models, &self.model, self.partitions).await;
            self.tell(opened.as_ref().err(), &mut trouble);
            // Where no answer came, what is running goes on and waits by itself.
            if let Ok(fed) = self.models.fed(&*self.model).await {
                self.adjust(&mut running, fed).await;
            }
            if round.is_multiple_of(SURVEY) {
                self.survey().await;
            }
            round = round.wrapping_add(1);
            tokio::select! {
                () = stopping.clone() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.adjust(&mut running, Vec::new()).await;
        Ok(())
    }

    /// Makes `running` what is to be `fed`.
    async fn adjust(&self, running: &mut BTreeMap<u32, Running>, fed: Vec<ModelVersion>) {
        let is_fed = |version: u32| fed.iter().any(|fed| fed.version == version);
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(running)
            .into_iter()
            .partition(|(version, _)| is_fed(*version));
        *running = stay;
        let ends = gone.into_iter().map(|(version, gone)| async move {
            gone.stop().await;
            self.feeds.remove(version);
            tracing::info!(version, "no longer fed");
        });
        futures_util::future::join_all(ends).await;
        for version in fed {
            if running.contains_key(&version.version) {
                continue;
            }
            let number = version.version;
            match self.start(version) {
                Ok(started) => drop(running.insert(number, started)),
                Err(error) => {
                    tracing::error!(version = number, error = &error as &dyn Error, "not fed");
                    self.readiness.set("kafka", Health::Down);
                }
            }
        }
    }

    fn start(&self, version: ModelVersion) -> Result<Running, ClientError> {
        let (number, schema) = (version.version, version.schema.clone());
        let group = format!("{}-{schema}", self.group);
        let (kafka, topic) = (self.kafka.clone(), self.topic.clone());
        let consumer = KafkaConsumer::join(kafka, topic, self.partitions, group)?;
        let model = Arc::clone(&self.model);
        let projection = PgProjection::new(self.models.clone(), version, model);
        let source = BusSource::new(consumer.clone(), self.partitions, TokioTimer)
            .with_log(self.log.clone());
        let options = RunnerOptions::default();
        let runner = ProjectionRunner::new(source, projection.clone(), TokioTimer, options);
        self.feeds.add(
            number,
            Feed {
                progress: runner.progress(),
                projection,
                seen: Seen::default(),
            },
        );
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let task = tokio::spawn(async move {
            let ends = async { drop(stopped.await) };
            if let Err(error) = runner.run_assigned(&consumer, ends).await {
                let error = &error as &dyn Error;
                tracing::error!(version = number, error, "a version is not fed any more");
            }
            // With the brokers away it goes on by itself, and ends with the process.
            let closed = tokio::time::timeout(GOODBYE, consumer.close()).await;
            if closed.is_err() {
                tracing::warn!(version = number, "the group was not left in time");
            }
        });
        tracing::info!(version = number, %schema, "feeding");
        Ok(Running { stop, task })
    }

    /// Tells the checks what is wrong with the live version, and the log where it is something else than before.
    fn tell(&self, wrong: Option<&ModelError>, before: &mut Option<String>) {
        let (postgres, known) = match wrong {
            None => (Health::Ok, Health::Ok),
            Some(ModelError::Store(_)) => (Health::Down, Health::Ok),
            Some(_) => (Health::Ok, Health::Down),
        };
        self.readiness.set("postgres", postgres);
        self.readiness.set("read_model", known);
        let now = wrong.map(ToString::to_string);
        if now != *before {
            match wrong {
                Some(error) => tracing::warn!(error = error as &dyn Error, "the read model"),
                None => tracing::info!("the read model is there"),
            }
            *before = now;
        }
    }

    /// How far the versions are, and whether the brokers answer.
    async fn survey(&self) {
        if let Err(error) = self.feeds.look(self.log.store.get()).await {
            tracing::debug!(error = &error as &dyn Error, "no look at the checkpoints");
        }
        let health = match self.probe.ask().await {
            Ok(()) => Health::Ok,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "the brokers are away");
                Health::Down
            }
        };
        self.readiness.set("kafka", health);
    }
}
