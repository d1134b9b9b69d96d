//! Deliberate bugs, for a simulation to catch: a checker that catches none proves nothing.
//!
//! Where the production code could go wrong, it asks [`mutant`] whether it shall. Without the feature `mutants` the answer
//! is a constant, and no code remains.

/// Whether the deliberate bug `name` is switched on in this thread.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn mutant(name: &str) -> bool {
    let _ = name;
    false
}

#[cfg(feature = "mutants")]
mod switched {
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Whether the deliberate bug `name` is switched on in this thread.
    #[must_use]
    pub fn mutant(name: &str) -> bool {
        ACTIVE.with(|active| active.get() == Some(name))
    }

    /// Runs `run` with the deliberate bug `name` switched on in this thread.
    pub fn with_mutant<R>(name: Option<&'static str>, run: impl FnOnce() -> R) -> R {
        struct Restore(Option<&'static str>);
        impl Drop for Restore {
            fn drop(&mut self) {
                ACTIVE.with(|active| active.set(self.0));
            }
        }
        let _restore = Restore(ACTIVE.with(|active| active.replace(name)));
        run()
    }
}

#[cfg(feature = "mutants")]
pub use switched::{mutant, with_mutant};
