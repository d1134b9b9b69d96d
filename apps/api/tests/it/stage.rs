//! A server on stores in memory that do as they are told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, Commit, ExecutorOptions, ExpectedVersion,
    LogPosition, MemoryStore, Partition, Position, ReadError, ReadLog, RecordedCommit, StreamName,
    TailLog, Version,
};
use http_kit::{Metrics, Readiness, ServerOptions};
use prometheus_client::registry::Registry;
use serde_json::Value;
use social_api::{Api, App, Authentication, CommandEdge, QueryEdge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::queries::Failing;

/// A log in memory whose appends wait at a gate.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) store: MemoryStore,
    pub(crate) open: Arc<watch::Sender<bool>>,
    /// A permit for each append that came to the gate.
    pub(crate) arrived: Arc<Semaphore>,
    /// Whether a rival wins every time.
    pub(crate) rival: Arc<AtomicBool>,
}

impl AppendToLog for Gated {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        self.arrived.add_permits(1);
        let mut open = self.open.subscribe();
        let lost = self.rival.load(Ordering::Relaxed);
        let conflict = AppendError::Conflict {
            stream: commit.stream.clone(),
            expected: commit.expected,
            actual: Version::new(99),
        };
        // The call takes its place now, the answer comes through the gate.
        let appended = (!lost).then(|| self.store.append(commit));
        async move {
            open.wait_for(|open| *open).await.unwrap();
            match appended {
                Some(appended) => appended.await,
                None => Err(conflict),
            }
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        self.store.confirm(stream, expected)
    }
}

impl ReadLog for Gated {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.store.read_stream(stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let read = self.store.read_partition(partition, after, max_events);
        read.await
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        self.store.find_commit(command).await
    }
}

impl TailLog for Gated {
    fn partitions(&self) -> u16 {
        self.store.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.store.head(partition).await
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.store.wait_past(partition, after).await
    }
}

/// A running edge.
pub(crate) struct Stage {
    pub(crate) log: Gated,
    address: SocketAddr,
}

impl Stage {
    /// With so many commands under way on one stream; queries fail as `failing` says.
    pub(crate) async fn start(stream_queue: usize, failing: Failing) -> Self {
        let log = Gated {
            store: MemoryStore::new(1),
            open: Arc::new(watch::Sender::new(true)),
            arrived: Arc::new(Semaphore::new(0)),
            rival: Arc::default(),
        };
        let options = ExecutorOptions {
            stream_queue,
            ..ExecutorOptions::default()
        };
        let app = App::new(log.clone(), log.store.clone(), options);
        let commands = CommandEdge {
            mediator: Arc::new(social_api::mediator(app, log.store.clone())),
            authentication: Authentication::Off,
            namespace: Uuid::nil(),
        };
        let api = Arc::new(Api::new(
            Some(commands.into()),
            Some(QueryEdge::new(failing, None).into()),
            Readiness::new(),
            Arc::new(Metrics::new(Registry::default())),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = move |request| {
            let api = Arc::clone(&api);
            async move { api.answer(request).await }
        };
        let options = ServerOptions::default();
        tokio::spawn(http_kit::serve(
            listener,
            answer,
            options,
            std::future::pending(),
        ));
        Self { log, address }
    }

    /// Sends a request by `actor` on a connection of its own.
    pub(crate) fn send(
        &self,
        actor: &str,
        (method, path): (&str, &str),
        headers: &str,
        body: &str,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nX-Actor: {actor}\r\n\
             Content-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let address = self.address;
        async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            Answer(answer)
        }
    }

    /// Waits until `appends` more appends are at the gate.
    pub(crate) async fn arrived(&self, appends: u32) {
        let arrived = self.log.arrived.acquire_many(appends).await;
        arrived.unwrap().forget();
    }
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct Answer(String);

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert!(self.is(status), "{}", self.0);
        self
    }

    /// Checks that it is a problem that says when to ask again.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, slug: &str) -> Value {
        let answer = self.expect(status);
        assert!(answer.has("content-type: application/problem+json"));
        assert!(answer.has("retry-after: "), "{}", answer.0);
        let problem = answer.value();
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        problem
    }

    pub(crate) fn is(&self, status: u16) -> bool {
        self.0.starts_with(&format!("HTTP/1.1 {status} "))
    }

    pub(crate) fn has(&self, header: &str) -> bool {
        self.0.contains(&format!("\r\n{header}"))
    }

    #[track_caller]
    pub(crate) fn value(&self) -> Value {
        let (_, body) = self.0.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}
