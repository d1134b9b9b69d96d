//! Tasks, and which of them are ready.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::node::NodeId;

pub(super) type TaskId = usize;

/// One of a process's futures.
pub(super) struct Task {
    pub(super) node: NodeId,
    pub(super) future: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(super) waking: Arc<Waking>,
}

impl Task {
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.waking))
    }
}

/// Who was woken, in the order of the wakes.
#[derive(Default)]
pub(super) struct Ready(Mutex<Vec<TaskId>>);

impl Ready {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<TaskId>> {
        // Nothing panics under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one task: puts it among the ready ones, once until it is polled.
pub(super) struct Waking {
    task: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Waking {
    pub(super) fn new(task: TaskId, ready: &Arc<Ready>) -> Arc<Self> {
        let waking = Arc::new(Self {
            task,
            queued: AtomicBool::new(false),
            ready: Arc::clone(ready),
        });
        waking.queue();
        waking
    }

    /// The task is about to be polled: a wake from now on counts again.
    pub(super) fn taken(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    fn queue(&self) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().push(self.task);
        }
    }
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.queue();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue();
    }
}
