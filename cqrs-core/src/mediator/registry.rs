//! The run-time face: registration.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::handler::Handler;
use crate::mediator::dispatcher::{Dispatcher, Entry};
use crate::mediator::{Stack, Wrap};
use crate::message::{Command, Message, Query};

/// Collects handlers while the program starts, and refuses a set with gaps or doubles.
///
/// Behaviours are composed with each handler as it is registered, and erased together with it once: five of them
/// cost no more lookups than none.
///
/// # Example
///
/// ```
/// # use cqrs_core::{Command, DispatchResult, Envelope, Handler, Message};
/// use cqrs_core::{Registry, Tracing};
/// # struct Ring; struct Knock; struct Bell;
/// # impl Message for Ring { const NAME: &'static str = "Ring"; type Reply = (); type Error = (); }
/// # impl Command for Ring {}
/// # impl Message for Knock { const NAME: &'static str = "Knock"; type Reply = (); type Error = (); }
/// # impl Command for Knock {}
/// # impl Handler<Ring> for Bell { async fn handle(&self, _: Ring, _: &Envelope) -> DispatchResult<Ring> { Ok(()) } }
///
/// let refused = Registry::new()
///     .with(Tracing)
///     .command::<Ring, _>(Bell)
///     .requires::<Ring>()
///     .requires::<Knock>()
///     .build();
/// assert_eq!(refused.unwrap_err().to_string(), "no handler for `Knock`");
/// ```
#[must_use = "nothing is registered before it is built"]
pub struct Registry<B = ()> {
    behaviours: B,
    handlers: BTreeMap<TypeId, Entry>,
    required: BTreeMap<&'static str, TypeId>,
    duplicate: BTreeSet<&'static str>,
}

impl Registry {
    /// Nothing registered, nothing required, nothing around.
    pub fn new() -> Self {
        Self {
            behaviours: (),
            handlers: BTreeMap::new(),
            required: BTreeMap::new(),
            duplicate: BTreeSet::new(),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Registry<B> {
    /// Puts `behaviour` around every handler registered from here on, and around the behaviours so far.
    ///
    /// Handlers registered before keep what they have: register queries first, then
    /// add what fits commands only.
    pub fn with<O>(self, behaviour: O) -> Registry<Stack<O, B>> {
        Registry {
            behaviours: Stack::new(behaviour, self.behaviours),
            handlers: self.handlers,
            required: self.required,
            duplicate: self.duplicate,
        }
    }

    /// Registers the handler of the command `C`.
    pub fn command<C: Command, H: Handler<C>>(self, handler: H) -> Self
    where
        B: Wrap<Wrapped<H>: Handler<C> + 'static>,
    {
        self.register::<C, H>(handler)
    }

    /// Registers the handler of the query `Q`.
    pub fn query<Q: Query, H: Handler<Q>>(self, handler: H) -> Self
    where
        B: Wrap<Wrapped<H>: Handler<Q> + 'static>,
    {
        self.register::<Q, H>(handler)
    }

    /// Demands that somebody handles `M`.
    pub fn requires<M: Message>(mut self) -> Self {
        self.required.insert(M::NAME, TypeId::of::<M>());
        self
    }

    /// Checks that every message required has a handler and none has two.
    ///
    /// # Errors
    ///
    /// [`RegistrationErrors`] names all that is wrong at once.
    pub fn build(self) -> Result<Dispatcher, RegistrationErrors> {
        let missing: Vec<_> = self
            .required
            .into_iter()
            .filter(|(_, message)| !self.handlers.contains_key(message))
            .map(|(name, _)| name)
            .collect();
        let duplicate: Vec<_> = self.duplicate.into_iter().collect();
        if missing.is_empty() && duplicate.is_empty() {
            Ok(Dispatcher::new(self.handlers.into_values()))
        } else {
            Err(RegistrationErrors { missing, duplicate })
        }
    }

    fn register<M: Message, H>(mut self, handler: H) -> Self
    where
        B: Wrap<Wrapped<H>: Handler<M> + 'static>,
    {
        let entry = Entry::new::<M, _>(self.behaviours.wrap(handler));
        if self.handlers.insert(TypeId::of::<M>(), entry).is_some() {
            self.duplicate.insert(M::NAME);
        }
        self
    }
}

impl<B> fmt::Debug for Registry<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("handlers", &self.handlers.len())
            .field("required", &self.required.keys())
            .field("duplicate", &self.duplicate)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with a [`Registry`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct RegistrationErrors {
    /// Messages that are required and have no handler.
    pub missing: Vec<&'static str>,
    /// Messages that have more than one handler.
    pub duplicate: Vec<&'static str>,
}

impl fmt::Display for RegistrationErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("no handler for", &self.missing),
            ("more than one handler for", &self.duplicate),
        ];
        let mut separator = "";
        for (what, names) in kinds {
            if let Some((first, rest)) = names.split_first() {
                write!(f, "{separator}{what} `{first}`")?;
                rest.iter().try_for_each(|name| write!(f, ", `{name}`"))?;
                separator = "; ";
            }
        }
        Ok(())
    }
}
