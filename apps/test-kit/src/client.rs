//! A small HTTP/1.1 client over one kept connection, so that the tests see the bytes themselves.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A request under construction.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A request without headers or body.
#[must_use]
pub fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// A `GET`.
#[must_use]
pub fn get(path: &str) -> Request {
    request("GET", path)
}

/// A write by `actor`, with a JSON body; `Null` is none.
#[must_use]
pub fn write(actor: &str, method: &str, path: &str, body: &Value) -> Request {
    request(method, path).by(actor).json(body)
}

impl Request {
    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// By an actor.
    #[must_use]
    pub fn by(self, actor: &str) -> Self {
        self.header("X-Actor", actor)
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// With a body of JSON; `Null` is none.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        match body {
            Value::Null => self,
            body => self.raw_json(body.to_string().as_bytes()),
        }
    }

    /// With a body that says it is JSON.
    #[must_use]
    pub fn raw_json(self, body: &[u8]) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; panics where it is none.
    #[must_use]
    #[track_caller]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Checks the status.
    ///
    /// # Panics
    ///
    /// With the whole answer where it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{:?} {}",
            self.headers,
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    /// Checks that it is a problem, whole and consistent, of this status and slug.
    ///
    /// # Panics
    ///
    /// Where it is none, or another.
    #[track_caller]
    pub fn expect_problem(self, status: u16, slug: &str) -> Value {
        let answer = self.expect(status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem = answer.value();
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        problem
    }

    /// The consistency token; panics where there is none.
    #[must_use]
    #[track_caller]
    pub fn token(&self) -> String {
        self.header("consistency-token")
            .expect("a consistency token")
            .to_owned()
    }

    /// The id in the answer's body; panics where there is none.
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> String {
        self.value()["id"].as_str().expect("an id").to_owned()
    }
}

/// One connection; opened again when the server closed it.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Whom it asks.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects when it is used.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// Sends once.
    ///
    /// # Panics
    ///
    /// Where no answer comes.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Answer {
        self.try_send(request)
            .unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.path))
    }

    /// Sends once.
    ///
    /// # Errors
    ///
    /// No answer came; whether the request arrived is open.
    pub fn try_send(&mut self, request: &Request) -> io::Result<Answer> {
        self.exchange(&request.bytes(self.address), request.method == "HEAD")
    }

    /// Sends bytes as they are; with `head_only`, an answer without its body is awaited.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    pub fn exchange(&mut self, bytes: &[u8], head_only: bool) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(40)))?;
                BufReader::new(stream)
            }
        };
        connection.get_mut().write_all(bytes)?;
        let answer = read_answer(&mut connection, head_only)?;
        let close = answer
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !close {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn read_answer(connection: &mut BufReader<TcpStream>, head_only: bool) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let status = read_line(connection)?
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| broken("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(connection)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("no header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse::<usize>().ok());
    let empty = head_only || status == 204 || status == 304;
    let mut body = vec![0; if empty { 0 } else { length.unwrap_or(0) }];
    connection.read_exact(&mut body)?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn read_line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
