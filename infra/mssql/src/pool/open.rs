//! From an address to a connection whose tables are there.

use std::io;
use std::net;
use std::sync::Arc;

use tiberius::error::{Error, IoErrorKind};
use tiberius::{Client, Config};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncWriteCompatExt;

use super::connection::Driver;
use super::database;
use super::tables::Tables;
use crate::error::ConnectError;
use crate::options::MssqlOptions;

pub(super) async fn open(
    options: &MssqlOptions,
    driver: &Config,
    tables: &Tables,
) -> Result<(Driver, net::TcpStream), ConnectError> {
    let (mut client, socket) = match enter(options, driver).await? {
        Ok(entered) => entered,
        Err(error) if database::is_missing(&error) => {
            let refused = database::make(options, error).await?;
            let entered = enter(options, driver).await?;
            entered.map_err(|error| match database::is_missing(&error) {
                true => ConnectError::Database {
                    name: options.database().to_owned(),
                    source: Arc::new(refused.unwrap_or(error)),
                },
                false => failed(error),
            })?
        }
        Err(error) => return Err(failed(error)),
    };
    tables.make(options, &mut client).await?;
    Ok((client, socket))
}

/// A connection for what may take longer than a call.
pub(super) async fn open_patient(
    options: &MssqlOptions,
    mut driver: Config,
) -> Result<Driver, ConnectError> {
    driver.command_timeout(Some(options.make_timeout));
    let (client, _) = enter(options, &driver).await?.map_err(failed)?;
    Ok(client)
}

/// In the inner result, what the driver said of the login.
async fn enter(
    options: &MssqlOptions,
    driver: &Config,
) -> Result<tiberius::Result<(Driver, net::TcpStream)>, ConnectError> {
    let connected = connect(options, driver.clone()).await?;
    // A gateway names the server that it stands for; that one has to answer itself.
    if let Err(Error::Routing { host, port }) = &connected {
        let mut driver = driver.clone();
        driver.host(host);
        driver.port(*port);
        return connect(options, driver).await;
    }
    Ok(connected)
}

fn failed(error: Error) -> ConnectError {
    match error {
        Error::Io {
            kind: IoErrorKind::TimedOut,
            ..
        } => ConnectError::Slow,
        error => ConnectError::Login(Arc::new(error)),
    }
}

async fn connect(
    options: &MssqlOptions,
    driver: Config,
) -> Result<tiberius::Result<(Driver, net::TcpStream)>, ConnectError> {
    let unreachable = |error: io::Error| ConnectError::Unreachable(Arc::new(error));
    let stream = timeout(
        options.connect_timeout,
        TcpStream::connect(driver.get_addr()),
    );
    let stream = stream.await.map_err(|_| ConnectError::Slow)?;
    let stream = stream.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let stream = stream.into_std().map_err(unreachable)?;
    let socket = stream.try_clone().map_err(unreachable)?;
    let stream = TcpStream::from_std(stream).map_err(unreachable)?;
    let client = Client::connect(driver, stream.compat_write()).await;
    Ok(client.map(|client| (client, socket)))
}
