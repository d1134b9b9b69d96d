//! The others, doing the same: mediator, mediator-rs and tower.
//!
//! What they do not do: tower finds no handler by type (the caller holds the service), and its requests carry no
//! envelope; mediator has no behaviours for requests without its interceptors; mediator-rs has one error and one context for all.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::{Contender, calls};
use benches::sum::{Add, now};
use cqrs_core::RecordedCommit;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use mediator::{AsyncMediator, DefaultAsyncMediator, async_trait};
use mediator_rs::{Extensions, PipelineBehavior, PipelineNext};
use tokio::runtime::Runtime;
use tower::util::BoxService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

pub(crate) fn dispatch(group: &mut BenchmarkGroup<'_, WallTime>) {
    let add = || black_box(Add(1, 2));

    let mut bare = TowerAdder;
    group.bench_function(BenchmarkId::new("tower-static", 0), |b| {
        b.iter(|| call(&mut bare, add()))
    });
    let mut five = five_layers();
    group.bench_function(BenchmarkId::new("tower-static", 5), |b| {
        b.iter(|| call(&mut five, add()))
    });
    let mut boxed = BoxService::new(TowerAdder);
    group.bench_function(BenchmarkId::new("tower-boxed", 0), |b| {
        b.iter(|| call(&mut boxed, add()))
    });
    let mut one = BoxService::new(TowerPass(TowerAdder));
    group.bench_function(BenchmarkId::new("tower-boxed", 1), |b| {
        b.iter(|| call(&mut one, add()))
    });
    let mut five = BoxService::new(five_layers());
    group.bench_function(BenchmarkId::new("tower-boxed", 5), |b| {
        b.iter(|| call(&mut five, add()))
    });

    for behaviours in [0, 1, 5] {
        let mut rival = mediator_rs::Mediator::<(), Infallible>::new();
        for _ in 0..behaviours {
            rival.add_behavior(Arc::new(RivalPass));
        }
        rival.register::<RivalAdd, _>(RivalAdder);
        group.bench_function(BenchmarkId::new("mediator-rs", behaviours), |b| {
            b.iter(|| {
                let Add(left, right) = add();
                now(|| rival.dispatch(RivalAdd(left, right), &())).expect("a sum")
            });
        });
    }

    let mut rival = built(|| {
        DefaultAsyncMediator::builder()
            .add_handler_fn(|RivalAdd(a, b): RivalAdd| ready(a.wrapping_add(b)))
            .build()
    });
    group.bench_function(BenchmarkId::new("mediator", 0), |b| {
        b.iter(|| {
            let Add(left, right) = add();
            now(|| rival.send(RivalAdd(left, right))).expect("a sum")
        });
    });
}

/// What a boxed tower service takes, for the rounds in turn.
pub(crate) fn in_turn() -> Vec<Contender<'static>> {
    let add = || black_box(Add(1, 2));
    let mut bare = BoxService::new(TowerAdder);
    let mut one = BoxService::new(TowerPass(TowerAdder));
    let mut five = BoxService::new(five_layers());
    vec![
        ("tower-boxed", 0, calls(move || call(&mut bare, add()))),
        ("tower-boxed", 1, calls(move || call(&mut one, add()))),
        ("tower-boxed", 5, calls(move || call(&mut five, add()))),
    ]
}

/// mediator clones the event for each of its subscribers; it gets a pointer, which is the least.
pub(crate) fn publish(group: &mut BenchmarkGroup<'_, WallTime>, commit: &RecordedCommit) {
    for subscribers in [1, 8] {
        let mut rival = built(|| {
            let builder = (0..subscribers).fold(DefaultAsyncMediator::builder(), |builder, _| {
                builder.subscribe_fn(|RivalEvent(commit): RivalEvent| {
                    black_box(commit.version);
                    ready(())
                })
            });
            builder.build()
        });
        let event = RivalEvent(Arc::new(commit.clone()));
        group.bench_function(BenchmarkId::new("mediator", subscribers), |b| {
            b.iter(|| now(|| rival.publish(black_box(&event).clone())).expect("published"));
        });
    }
}

/// mediator's builder blocks on a runtime; nothing after it needs one.
fn built<T>(build: impl FnOnce() -> T) -> T {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async { build() })
}

struct RivalAdd(u64, u64);

impl mediator::Request<u64> for RivalAdd {}

impl mediator_rs::Request for RivalAdd {
    type Output = u64;
}

#[derive(Clone)]
struct RivalEvent(Arc<RecordedCommit>);

impl mediator::Event for RivalEvent {}

struct RivalAdder;

#[async_trait]
impl mediator_rs::Handler<RivalAdd, Infallible, ()> for RivalAdder {
    async fn handle(&self, RivalAdd(a, b): RivalAdd, (): &()) -> Result<u64, Infallible> {
        Ok(a.wrapping_add(b))
    }
}

struct RivalPass;

#[async_trait]
impl PipelineBehavior<(), Infallible> for RivalPass {
    async fn handle(
        &self,
        _: &Extensions,
        (): &(),
        next: PipelineNext<'_, Infallible>,
    ) -> Result<Box<dyn std::any::Any + Send + Sync>, Infallible> {
        next.run().await
    }
}

struct TowerAdder;

impl Service<Add> for TowerAdder {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, Add(a, b): Add) -> Self::Future {
        ready(Ok(a.wrapping_add(b)))
    }
}

struct TowerPass<S>(S);

impl<R, S: Service<R>> Service<R> for TowerPass<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

struct PassLayer;

impl<S> Layer<S> for PassLayer {
    type Service = TowerPass<S>;

    fn layer(&self, inner: S) -> TowerPass<S> {
        TowerPass(inner)
    }
}

fn five_layers()
-> impl Service<Add, Response = u64, Error = Infallible, Future: Send + 'static> + Send + 'static {
    ServiceBuilder::new()
        .layer(PassLayer)
        .layer(PassLayer)
        .layer(PassLayer)
        .layer(PassLayer)
        .layer(PassLayer)
        .service(TowerAdder)
}

fn call<S: Service<Add, Response = u64, Error = Infallible>>(service: &mut S, add: Add) -> u64 {
    let Ok(sum) = now(|| async {
        let ready = service.ready().await?;
        ready.call(add).await
    });
    sum
}
