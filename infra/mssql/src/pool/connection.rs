//! One connection, and what is asked over it.

use std::borrow::Cow;
use std::io;
use std::net;
use std::sync::Arc;

use bytes::Bytes;
use tiberius::{Client, Query, Row};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::compat::Compat;

pub(super) type Driver = Client<Compat<TcpStream>>;

/// A batch and its parameters, `@P1` first.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    sql: Arc<str>,
    params: Vec<Param>,
}

#[derive(Debug, Clone)]
pub(crate) enum Param {
    Bytes(Bytes),
    Long(i64),
    Int(i32),
}

pub(super) struct Connection {
    driver: Driver,
    /// The same socket once more, to look at it while the driver has it.
    socket: net::TcpStream,
    /// Of all that were opened, from 1.
    pub(super) number: u64,
    pub(super) born: Instant,
    pub(super) used: Instant,
}

impl Call {
    pub(crate) fn new(sql: Arc<str>) -> Self {
        let params = Vec::new();
        Self { sql, params }
    }

    pub(crate) fn with(mut self, param: impl Into<Param>) -> Self {
        self.params.push(param.into());
        self
    }
}

impl Connection {
    pub(super) fn new(driver: Driver, socket: net::TcpStream, number: u64) -> Self {
        let now = Instant::now();
        Self {
            driver,
            socket,
            number,
            born: now,
            used: now,
        }
    }

    /// Whether nothing came since the last answer: neither an end nor anything nobody asked for.
    pub(super) fn is_open(&self) -> bool {
        let peeked = self.socket.peek(&mut [0]);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// All of the answer, set by set.
    pub(super) async fn make(&mut self, call: &Call) -> tiberius::Result<Vec<Vec<Row>>> {
        let mut query = Query::new(&*call.sql);
        for param in &call.params {
            match param {
                Param::Bytes(bytes) => query.bind(Cow::Borrowed(&bytes[..])),
                Param::Long(number) => query.bind(*number),
                Param::Int(number) => query.bind(*number),
            }
        }
        query.query(&mut self.driver).await?.into_results().await
    }
}

impl From<Bytes> for Param {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Param {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&[u8]> for Param {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Long(number)
    }
}

impl From<i32> for Param {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}
