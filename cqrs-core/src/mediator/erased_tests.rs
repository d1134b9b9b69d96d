//! Run by Miri or valgrind too (`.ci/run`), which see what these cannot: a look at what is no longer there.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use super::*;
use crate::behaviour::fixture::envelope;

/// How many futures were made, how many dropped, and how many messages dropped.
#[derive(Clone, Default)]
struct Books(Arc<[AtomicUsize; 3]>);

impl Books {
    fn read(&self) -> [usize; 3] {
        [0, 1, 2].map(|index| self.0[index].load(Ordering::Relaxed))
    }

    fn count(&self, index: usize) {
        self.0[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// What happens at a poll, or at the drop.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Wait,
    End,
    Panic,
}

/// A message that says what its future is to do.
struct Do {
    books: Books,
    polls: &'static [Then],
    drop: Then,
}

impl Message for Do {
    const NAME: &'static str = "Do";
    type Reply = usize;
    type Error = ();
}

impl Drop for Do {
    fn drop(&mut self) {
        self.books.count(2);
    }
}

/// Does as it is told, with so many bytes and so much alignment beside it. Answers where it is.
struct Doing<P> {
    told: Do,
    at: usize,
    _pad: P,
}

impl<P: Unpin> Future for Doing<P> {
    type Output = DispatchResult<Do>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<DispatchResult<Do>> {
        let place = (&raw const *self).addr();
        assert_eq!(place % align_of::<Self>(), 0);
        self.at += 1;
        match self.told.polls[self.at - 1] {
            Then::Wait => Poll::Pending,
            Then::End => Poll::Ready(Ok(place)),
            Then::Panic => panic!("as told"),
        }
    }
}

impl<P> Drop for Doing<P> {
    fn drop(&mut self) {
        self.told.books.count(1);
        assert!(self.told.drop != Then::Panic, "as told");
    }
}

/// Answers with a future of a size and an alignment.
struct With<P>(P);

impl<P: Copy + Unpin + Send + Sync> Handler<Do> for With<P> {
    fn handle(&self, told: Do, _: &Envelope) -> impl Future<Output = DispatchResult<Do>> + Send {
        assert!(!told.polls.is_empty(), "no future");
        told.books.count(0);
        Doing {
            told,
            at: 0,
            _pad: self.0,
        }
    }
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned;

/// One that is small, one that fits, one that is boxed for its size, one that is boxed for its alignment.
fn each_way(run: impl Fn(&dyn Erased<Do>)) {
    let (small, fits) = (With(()), With([0_u8; SMALL]));
    let (large, aligned) = (With([0_u8; IN_PLACE]), With(Aligned));
    for handler in [&small as &dyn Erased<Do>, &fits, &large, &aligned] {
        run(handler);
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn panics<R>(run: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

/// Sends a message to each kind of handler, polls so often that it has only waited so far, then runs the rest.
fn told(polls: &'static [Then], drop: Then, rest: impl Fn(Pin<Box<Sent<'_, Do>>>, &Books)) {
    each_way(|handler| {
        let (envelope, books) = (envelope(), Books::default());
        let told = Do {
            books: books.clone(),
            polls,
            drop,
        };
        let mut sent = Box::pin(Sent::new(handler, told, &envelope));
        assert_eq!(books.read(), [0, 0, 0]);
        for _ in 1..polls.len() {
            assert!(poll(sent.as_mut()).is_pending());
            assert_eq!(books.read(), [1, 0, 0]);
        }
        rest(sent, &books);
    });
}

use Then::{End, Panic, Wait};

#[test]
fn what_is_never_polled_calls_nobody_and_drops_its_message_once() {
    told(&[End], End, |sent, books| {
        drop(sent);
        assert_eq!(books.read(), [0, 0, 1]);
    });
}

#[test]
fn a_future_is_dropped_once_when_it_ends_and_before_its_owner() {
    for polls in [&[End][..], &[Wait, End], &[Wait, Wait, Wait, End]] {
        told(polls, End, |mut sent, books| {
            assert!(poll(sent.as_mut()).is_ready());
            assert_eq!(books.read(), [1, 1, 1]);
            drop(sent);
            assert_eq!(books.read(), [1, 1, 1]);
        });
    }
}

#[test]
fn a_future_that_waits_is_dropped_once_with_its_owner() {
    for polls in [&[Wait, End][..], &[Wait, Wait, End]] {
        told(polls, End, |sent, books| {
            drop(sent);
            assert_eq!(books.read(), [1, 1, 1]);
        });
    }
}

#[test]
fn a_future_that_panics_is_dropped_once() {
    for polls in [&[Panic][..], &[Wait, Panic]] {
        told(polls, End, |mut sent, books| {
            assert!(panics(|| poll(sent.as_mut())));
            drop(sent);
            assert_eq!(books.read(), [1, 1, 1]);
        });
    }
}

#[test]
fn a_future_whose_drop_panics_is_not_dropped_again() {
    for polls in [&[End][..], &[Wait, End]] {
        told(polls, Panic, |mut sent, books| {
            assert!(panics(|| poll(sent.as_mut())));
            assert_eq!(books.read(), [1, 1, 1], "what is in it is dropped too");
            drop(sent);
            assert_eq!(books.read(), [1, 1, 1]);
        });
    }
    told(&[Wait, End], Panic, |sent, books| {
        assert!(panics(|| drop(sent)));
        assert_eq!(books.read(), [1, 1, 1]);
    });
}

#[test]
fn a_panic_before_there_is_a_future_leaves_none() {
    told(&[], End, |mut sent, books| {
        assert!(panics(|| poll(sent.as_mut())));
        assert_eq!(books.read(), [0, 0, 1]);
        assert!(panics(|| poll(sent.as_mut())), "there is nothing to poll");
        drop(sent);
        assert_eq!(books.read(), [0, 0, 1]);
    });
}

#[test]
fn after_its_end_it_panics_and_drops_nothing() {
    told(&[Wait, End], End, |mut sent, books| {
        assert!(poll(sent.as_mut()).is_ready());
        assert!(panics(|| poll(sent.as_mut())));
        drop(sent);
        assert_eq!(books.read(), [1, 1, 1]);
    });
}

#[test]
fn it_may_move_until_its_first_poll() {
    let (envelope, books) = (envelope(), Books::default());
    let told = Do {
        books: books.clone(),
        polls: &[Wait, End],
        drop: End,
    };
    let moved = vec![Sent::new(&With(()), told, &envelope)];
    let mut sent = pin!(moved.into_iter().next().expect("one"));
    assert!(poll(sent.as_mut()).is_pending());
    assert!(poll(sent.as_mut()).is_ready());
    assert_eq!(books.read(), [1, 1, 1]);
}

/// Whether a future with this in it is kept in place.
fn is_in_place<P: Copy + Unpin + Send + Sync>(pad: P) -> bool {
    let (envelope, handler) = (envelope(), With(pad));
    let told = Do {
        books: Books::default(),
        polls: &[End],
        drop: End,
    };
    let mut sent = pin!(Sent::new(&handler, told, &envelope));
    let begin = (&raw const *sent).addr();
    let Poll::Ready(Ok(place)) = poll(sent.as_mut()) else {
        unreachable!("it waits for nothing");
    };
    (begin..begin + size_of_val(&*sent)).contains(&place)
}

#[test]
fn what_fits_is_in_place_and_what_does_not_is_boxed() {
    #[derive(Clone, Copy)]
    #[repr(align(16))]
    struct Sixteen;
    const FREE: usize = IN_PLACE - size_of::<Doing<()>>();
    assert!(is_in_place(()));
    assert!(is_in_place(Sixteen));
    assert!(is_in_place([0_u8; FREE]));
    assert!(!is_in_place([0_u8; FREE + 1]));
    assert!(!is_in_place(Aligned));
}

/// A message without size, whose futures are what is tested.
struct Nothing;

impl Message for Nothing {
    const NAME: &'static str = "Nothing";
    type Reply = usize;
    type Error = ();
}

/// Waits once.
async fn once() {
    let mut waited = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Holds references into its own future, and to itself and the envelope, from one poll to the next.
struct Borrows(Cell<u8>, [usize; 3]);

// The cell is there to be no `Sync`, but handlers are: nobody touches it.
struct Shared(AtomicUsize);

impl Handler<Nothing> for Shared {
    async fn handle(&self, _: Nothing, envelope: &Envelope) -> DispatchResult<Nothing> {
        let mut own = Borrows(Cell::new(1), [1, 2, 3]);
        let last = &mut own.1[2];
        once().await;
        *last += envelope.actor.as_str().len();
        once().await;
        *last += self.0.load(Ordering::Relaxed);
        own.0.set(0);
        Ok(own.1.iter().sum::<usize>() + usize::from(own.0.get()))
    }
}

#[test]
fn a_future_stays_where_it_is_and_borrows_what_it_was_given() {
    let (envelope, handler) = (envelope(), Shared(AtomicUsize::new(10)));
    let mut sent = Box::pin(Sent::new(&handler, Nothing, &envelope));
    assert!(poll(sent.as_mut()).is_pending());
    assert!(poll(sent.as_mut()).is_pending());
    let answer = poll(sent.as_mut());
    assert!(matches!(answer, Poll::Ready(Ok(answer)) if answer == 6 + 3 + 10));
}

#[test]
fn a_future_without_size_is_kept_like_any_other() {
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Empty;
    impl Future for Empty {
        type Output = DispatchResult<Nothing>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<DispatchResult<Nothing>> {
            match POLLS.fetch_add(1, Ordering::Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(0)),
            }
        }
    }
    impl Drop for Empty {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    struct Handles;
    impl Handler<Nothing> for Handles {
        #[allow(clippy::manual_async_fn, reason = "the future is of no size")]
        fn handle(
            &self,
            _: Nothing,
            _: &Envelope,
        ) -> impl Future<Output = DispatchResult<Nothing>> + Send {
            Empty
        }
    }
    let envelope = envelope();
    let mut sent = pin!(Sent::new(&Handles, Nothing, &envelope));
    assert!(poll(sent.as_mut()).is_pending());
    assert!(poll(sent.as_mut()).is_ready());
    assert_eq!(DROPS.load(Ordering::Relaxed), 1);
}

#[test]
fn a_handler_is_found_by_its_message_and_by_no_other() {
    let any = AnyHandler::new::<Nothing, _>(Shared(AtomicUsize::new(0)));
    assert_eq!(any.message(), TypeId::of::<Nothing>());
    assert!(any.get::<Nothing>().is_some());
    assert!(any.get::<Do>().is_none());
}

#[test]
fn it_is_send() {
    fn send<T: Send>() {}
    send::<Sent<'_, Do>>();
    send::<AnyHandler>();
}

/// Does not compile where it is `Unpin`, for it is not clear then which of both is meant.
#[test]
fn it_is_not_unpin() {
    trait Either<A> {
        fn is_there() {}
    }
    impl<T: ?Sized> Either<()> for T {}
    impl<T: ?Sized + Unpin> Either<u8> for T {}
    <Sent<'static, Do> as Either<_>>::is_there();
}
