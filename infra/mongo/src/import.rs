//! Filling a new store with the commits of another one.

use cqrs_core::BoxError;
use mongodb::bson::{RawDocumentBuf, doc};
use uuid::Uuid;

use crate::driver::call;
use crate::error::{OpenError, StoreFailure};
use crate::open::{self, Purpose};
use crate::options::MongoOptions;
use crate::store::MongoStore;

/// A store that takes another one's place, with its id and namespace, and is not whole yet.
///
/// Until [`finish`](Self::finish) everybody else is refused it ([`OpenError::Importing`]). One that was interrupted is
/// gone on with by [`begin`](Self::begin).
#[derive(Debug)]
pub struct MongoImport {
    store: MongoStore,
    options: MongoOptions,
    store_id: Uuid,
    namespace: Uuid,
}

impl MongoImport {
    /// Makes a store with this id and namespace in an empty database, or goes on with one that is being filled.
    ///
    /// # Errors
    ///
    /// [`OpenError::Taken`]: there is a store already, or another one is being filled. Else as [`MongoStore::open`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a store that is being filled; beginning again goes on with it.
    pub async fn begin(
        options: MongoOptions,
        store_id: Uuid,
        namespace: Uuid,
    ) -> Result<Self, OpenError> {
        let purpose = Purpose::Import {
            store_id,
            namespace,
        };
        Ok(Self {
            store: MongoStore::open_for(options.clone(), purpose).await?,
            options,
            store_id,
            namespace,
        })
    }

    /// The store, to be appended to. Nobody else does.
    #[must_use]
    pub fn store(&self) -> &MongoStore {
        &self.store
    }

    /// Opens the store to everybody. Append nothing after it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Store`]: unknown outcome; [`begin`](Self::begin) tells.
    pub async fn finish(self) -> Result<(), OpenError> {
        let failed = |source: BoxError| OpenError::Store {
            database: self.options.database.clone(),
            source,
        };
        let whole = open::describe(&self.options, self.store_id, self.namespace);
        let whole = RawDocumentBuf::try_from(whole).map_err(|error| failed(error.into()))?;
        let store = self.store.collection(open::STORE);
        let replace = async move {
            let filter = doc! { "_id": open::STORE, open::IMPORTING: true };
            store.find_one_and_replace(filter, whole).await
        };
        let replaced = call(self.options.call_timeout, replace).await;
        let replaced = replaced.map_err(|error| failed(StoreFailure::from(error).into()))?;
        self.store.close().await;
        match replaced {
            Some(_) => Ok(()),
            None => Err(OpenError::Damaged {
                reason: "it was removed while it was filled".to_owned(),
            }),
        }
    }
}
