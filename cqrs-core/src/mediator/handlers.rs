//! Many handlers as one.

/// Makes a struct the handler of every message that its fields handle.
///
/// Write the struct's own generics, with their bounds, in brackets after
/// `impl`. Where a `where` clause is needed, it stands in brackets too. A
/// message listed twice does not compile; neither does one that its field does not handle.
///
/// # Example
///
/// ```
/// # use cqrs_core::{Command, DispatchResult, Envelope, Handler, Message, Query};
/// # struct Open; struct Close; struct IsOpen; struct Count;
/// # macro_rules! message { ($($m:ident $kind:ident),*) => {$(
/// #     impl Message for $m { const NAME: &'static str = stringify!($m); type Reply = (); type Error = (); }
/// #     impl $kind for $m {}
/// # )*} }
/// # message!(Open Command, Close Command, IsOpen Query, Count Query);
/// # struct Doors;
/// # impl Handler<Open> for Doors { async fn handle(&self, _: Open, _: &Envelope) -> DispatchResult<Open> { Ok(()) } }
/// # impl Handler<Close> for Doors { async fn handle(&self, _: Close, _: &Envelope) -> DispatchResult<Close> { Ok(()) } }
/// # impl Handler<IsOpen> for Doors { async fn handle(&self, _: IsOpen, _: &Envelope) -> DispatchResult<IsOpen> { Ok(()) } }
/// struct House<V> {
///     doors: Doors,
///     visitors: V,
/// }
///
/// cqrs_core::handlers! {
///     impl[V: Handler<Count>] House<V> {
///         doors: [Open, Close, IsOpen],
///         visitors: [Count],
///     }
/// }
///
/// fn handles_all<H: Handler<Open> + Handler<Close> + Handler<IsOpen> + Handler<Count>>() {}
/// # fn main() { handles_all::<House<Visitors>>(); }
/// # struct Visitors;
/// # impl Handler<Count> for Visitors { async fn handle(&self, _: Count, _: &Envelope) -> DispatchResult<Count> { Ok(()) } }
/// ```
#[macro_export]
macro_rules! handlers {
    // The generics are repeated for each message, which macros can only do one list at a time.
    (@field $generics:tt $handlers:ty, $bounds:tt, $field:ident: []) => {};
    (@field [$($generics:tt)*] $handlers:ty, [$($bounds:tt)*], $field:ident: [$message:ty $(, $more:ty)* $(,)?]) => {
        impl<$($generics)*> $crate::Handler<$message> for $handlers
        where
            $($bounds)*
        {
            fn handle(
                &self,
                message: $message,
                envelope: &$crate::Envelope,
            ) -> impl ::std::future::Future<Output = $crate::DispatchResult<$message>>
                   + ::std::marker::Send {
                $crate::Handler::handle(&self.$field, message, envelope)
            }
        }

        $crate::handlers!(@field [$($generics)*] $handlers, [$($bounds)*], $field: [$($more),*]);
    };
    (@fields $generics:tt $handlers:ty, $bounds:tt, { $(,)? }) => {};
    (@fields $generics:tt $handlers:ty, $bounds:tt, { $field:ident: $messages:tt $(, $($rest:tt)*)? }) => {
        $crate::handlers!(@field $generics $handlers, $bounds, $field: $messages);
        $crate::handlers!(@fields $generics $handlers, $bounds, { $($($rest)*)? });
    };
    (impl [$($generics:tt)*] $handlers:ty where [$($bounds:tt)*] { $($fields:tt)* }) => {
        $crate::handlers!(@fields [$($generics)*] $handlers, [$($bounds)*], { $($fields)* });
    };
    (impl [$($generics:tt)*] $handlers:ty { $($fields:tt)* }) => {
        $crate::handlers!(@fields [$($generics)*] $handlers, [], { $($fields)* });
    };
    (impl $handlers:ty { $($fields:tt)* }) => {
        $crate::handlers!(@fields [] $handlers, [], { $($fields)* });
    };
}
