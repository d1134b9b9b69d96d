//! Opening a database: what it holds, making a new store in it, and the indexes that everything rests on.

use std::time::Duration;

use cqrs_core::PARTITION_HASH;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::options::{
    ClientOptions, DatabaseOptions, IndexOptions, ReadConcern, ReadPreference, SelectionCriteria,
    WriteConcern,
};
use mongodb::{Client, Collection, Database, IndexModel};
use uuid::Uuid;

use crate::answers;
use crate::driver::{Failed, call};
use crate::error::{OpenError, StoreFailure};
use crate::options::MongoOptions;
use crate::record;

/// Raised when the documents change in a way that older code cannot read.
const LAYOUT_VERSION: u64 = 1;

pub(crate) const STORE: &str = "store";
/// True in the store document while it is being filled by an import.
pub(crate) const IMPORTING: &str = "importing";
/// The unique indexes of every log collection, besides `_id`.
const INDEXES: [(&str, &[&str]); 2] = [("slot", &["s", "v"]), ("command", &["c"])];

/// A database that is ours.
pub(crate) struct Opened {
    pub(crate) client: Client,
    pub(crate) database: Database,
    pub(crate) store_id: Uuid,
    pub(crate) namespace: Uuid,
    /// The strongest read concern that the server has for one document.
    pub(crate) strict: ReadConcern,
}

/// What a database is opened for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// To be used.
    Use,
    /// To be filled, as the store of this id and namespace.
    Import { store_id: Uuid, namespace: Uuid },
}

pub(crate) fn log_name(partition: u16) -> String {
    format!("log_{partition}")
}

pub(crate) async fn open(options: &MongoOptions, purpose: Purpose) -> Result<Opened, OpenError> {
    options.check()?;
    let client = connect(options).await?;
    let database = client.database_with_options(&options.database, concerns(options));
    let (store_id, namespace) = identity(&database, options, purpose).await?;
    for partition in 0..options.partitions {
        index(&database, partition, options).await?;
    }
    let strict = strictest(&database, options).await?;
    Ok(Opened {
        client,
        database,
        store_id,
        namespace,
        strict,
    })
}

async fn connect(options: &MongoOptions) -> Result<Client, OpenError> {
    let bad = |_| OpenError::Option {
        name: "uri",
        range: "a MongoDB connection string",
    };
    let mut client = ClientOptions::parse(&options.uri).await.map_err(bad)?;
    client.app_name = Some("cqrs-mongo".to_owned());
    client.max_pool_size = Some(options.pool);
    client.min_pool_size = Some(options.pool.min(u32::from(options.partitions)));
    client.max_connecting = Some(8);
    client.server_selection_timeout = Some(options.select_timeout);
    client.connect_timeout = Some(options.select_timeout.max(Duration::from_secs(1)));
    client.retry_writes = Some(true);
    Client::with_options(client).map_err(bad)
}

/// Majority and journaled, whatever the URI says.
fn concerns(options: &MongoOptions) -> DatabaseOptions {
    let mut write = WriteConcern::majority();
    write.journal = Some(true);
    write.w_timeout = Some(options.call_timeout);
    DatabaseOptions::builder()
        .read_concern(ReadConcern::majority())
        .write_concern(write)
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .build()
}

fn failed(options: &MongoOptions) -> impl Fn(Failed) -> OpenError {
    let database = options.database.clone();
    move |failed| OpenError::Store {
        database: database.clone(),
        source: StoreFailure::from(failed).into(),
    }
}

/// Reads the store document; makes one in an empty database. Of several who do so at once, one wins.
async fn identity(
    database: &Database,
    options: &MongoOptions,
    purpose: Purpose,
) -> Result<(Uuid, Uuid), OpenError> {
    let store: Collection<RawDocumentBuf> = database.collection(STORE);
    let find = || {
        let store = store.clone();
        async move { store.find_one(doc! { "_id": STORE }).await }
    };
    let found = call(options.call_timeout, find()).await;
    if let Some(found) = found.map_err(failed(options))? {
        return check(&found, options, purpose);
    }
    refuse_foreign(database, options).await?;
    let new = new_store(options, purpose)?;
    let insert = store.clone();
    let inserted = async move { insert.insert_one(new).await };
    match call(options.call_timeout, inserted).await {
        Err(Failed::Driver(error)) if answers::is_duplicate(&error) => {}
        inserted => drop(inserted.map_err(failed(options))?),
    }
    let found = call(options.call_timeout, find()).await;
    match found.map_err(failed(options))? {
        Some(found) => check(&found, options, purpose),
        None => Err(OpenError::Damaged {
            reason: "it was written, but is not there".to_owned(),
        }),
    }
}

/// Commits without a store document are somebody's log: a new namespace would make its commands new again.
async fn refuse_foreign(database: &Database, options: &MongoOptions) -> Result<(), OpenError> {
    for partition in 0..options.partitions {
        let name = log_name(partition);
        let log: Collection<RawDocumentBuf> = database.collection(&name);
        let any = async move { log.find_one(doc! {}).await };
        if call(options.call_timeout, any)
            .await
            .map_err(failed(options))?
            .is_some()
        {
            return Err(OpenError::Foreign {
                database: options.database.clone(),
                collection: name,
            });
        }
    }
    Ok(())
}

fn new_store(options: &MongoOptions, purpose: Purpose) -> Result<RawDocumentBuf, OpenError> {
    let unmade = |source: cqrs_core::BoxError| OpenError::Store {
        database: options.database.clone(),
        source,
    };
    let store = match purpose {
        Purpose::Use => {
            let random = || random_uuid().map_err(|error| unmade(error.into()));
            describe(options, random()?, random()?)
        }
        Purpose::Import {
            store_id,
            namespace,
        } => {
            let mut store = describe(options, store_id, namespace);
            store.insert(IMPORTING, true);
            store
        }
    };
    RawDocumentBuf::try_from(store).map_err(|error| unmade(error.into()))
}

/// The store document.
pub(crate) fn describe(options: &MongoOptions, store_id: Uuid, namespace: Uuid) -> Document {
    let uuid = |uuid: Uuid| {
        Bson::Binary(Binary {
            subtype: BinarySubtype::Uuid,
            bytes: uuid.as_bytes().to_vec(),
        })
    };
    doc! {
        "_id": STORE,
        "layout": record::int(LAYOUT_VERSION),
        "store_id": uuid(store_id),
        "namespace": uuid(namespace),
        "partitions": i64::from(options.partitions),
        "partition_hash": PARTITION_HASH,
    }
}

fn random_uuid() -> Result<Uuid, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

fn check(
    store: &RawDocument,
    options: &MongoOptions,
    purpose: Purpose,
) -> Result<(Uuid, Uuid), OpenError> {
    let damaged = |reason: &str| OpenError::Damaged {
        reason: reason.to_owned(),
    };
    let layout = record::nat(store, "layout").map_err(damaged)?;
    if layout != LAYOUT_VERSION {
        return Err(OpenError::UnknownVersion {
            found: layout,
            known: LAYOUT_VERSION,
        });
    }
    let partitions = record::nat(store, "partitions").map_err(damaged)?;
    if partitions != u64::from(options.partitions) {
        return Err(OpenError::Partitions {
            found: partitions,
            asked: options.partitions,
        });
    }
    let hash = store.get_str("partition_hash");
    let hash = hash.map_err(|_| damaged("it names no hash"))?;
    if hash != PARTITION_HASH {
        return Err(OpenError::PartitionHash {
            found: hash.to_owned(),
            known: PARTITION_HASH,
        });
    }
    let id = |key| record::uuid(store, key).map_err(damaged);
    let found = (id("store_id")?, id("namespace")?);
    let importing = store.get_bool(IMPORTING).is_ok_and(|importing| importing);
    let database = || options.database.clone();
    match purpose {
        Purpose::Use if importing => Err(OpenError::Importing {
            database: database(),
        }),
        Purpose::Use => Ok(found),
        Purpose::Import {
            store_id,
            namespace,
        } if importing && found == (store_id, namespace) => Ok(found),
        Purpose::Import { .. } => Err(OpenError::Taken {
            database: database(),
        }),
    }
}

/// Makes the unique indexes of a log collection, then looks whether they are there.
async fn index(
    database: &Database,
    partition: u16,
    options: &MongoOptions,
) -> Result<(), OpenError> {
    let name = log_name(partition);
    let log: Collection<RawDocumentBuf> = database.collection(&name);
    let making = log.clone();
    let made = call(options.call_timeout, async move {
        let models = INDEXES.iter().map(|(name, keys)| {
            let named = IndexOptions::builder()
                .name((*name).to_owned())
                .unique(true)
                .build();
            IndexModel::builder().keys(key(keys)).options(named).build()
        });
        making.create_indexes(models).await
    });
    let refused = match made.await {
        Ok(_) => None,
        Err(Failed::Driver(refused)) if answers::is_refusal(&refused) => Some(refused),
        Err(other) => return Err(failed(options)(other)),
    };
    let listed = call(options.call_timeout, list_indexes(log)).await;
    let listed = listed.map_err(failed(options))?;
    for (index, keys) in INDEXES {
        let wanted = key(keys);
        let is_wanted = |model: &IndexModel| {
            let options = model.options.as_ref();
            let unique = options.is_some_and(|options| options.unique == Some(true));
            // One that leaves documents out refuses less than it must.
            let whole = options.is_none_or(|options| {
                options.partial_filter_expression.is_none() && options.sparse != Some(true)
            });
            unique && whole && same_key(&model.keys, &wanted)
        };
        if !listed.iter().any(is_wanted) {
            return Err(OpenError::Index {
                collection: name,
                index,
                source: refused.map(Into::into),
            });
        }
    }
    Ok(())
}

fn key(fields: &[&str]) -> Document {
    fields
        .iter()
        .map(|field| ((*field).to_owned(), Bson::Int32(1)))
        .collect()
}

/// Servers give numbers back as they like: 1 may be an integer or a float.
fn same_key(found: &Document, wanted: &Document) -> bool {
    let ascending = |value: &Bson| {
        matches!(value, Bson::Int32(1) | Bson::Int64(1))
            || value
                .as_f64()
                .is_some_and(|number| (number - 1.0).abs() < f64::EPSILON)
    };
    found.keys().eq(wanted.keys()) && found.values().all(ascending)
}

async fn list_indexes(log: Collection<RawDocumentBuf>) -> Result<Vec<IndexModel>, Error> {
    let mut cursor = log.list_indexes().await?;
    let mut models = Vec::new();
    while cursor.advance().await? {
        models.push(cursor.deserialize_current()?);
    }
    Ok(models)
}

/// Linearizable where the server has it, else majority.
async fn strictest(database: &Database, options: &MongoOptions) -> Result<ReadConcern, OpenError> {
    let store: Collection<RawDocumentBuf> = database.collection(STORE);
    let limit = options.call_timeout;
    let read = async move {
        store
            .find_one(doc! { "_id": STORE })
            .read_concern(ReadConcern::linearizable())
            .max_time(limit)
            .await
    };
    match call(limit, read).await {
        Ok(_) => Ok(ReadConcern::linearizable()),
        Err(Failed::Driver(refused)) if answers::is_refusal(&refused) => {
            tracing::info!("the server has no linearizable reads; heads are confirmed by majority");
            Ok(ReadConcern::majority())
        }
        Err(other) => Err(failed(options)(other)),
    }
}
