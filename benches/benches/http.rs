//! How many durable commands, and how many queries by id, per second over HTTP: `social` beside a bare hyper server.
//!
//! `cargo bench -p benches --bench http [-- POST|GET]`
//!
//! 64 connections over loopback, each awaiting its answer before the next
//! request; one iteration is one request by each. `social` is the release binary, built first, with its read
//! model; after every measured run a `GET` of the last post must answer within a second. The bare
//! server reads the same requests and answers the very bytes that `social` answered once: it parses
//! no JSON, decides nothing and stores nothing. Client and server share the machine in both.
//!
//! Queries are for the posts that were written last, in turn, each by another connection than wrote it.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const CONNECTIONS: u64 = 64;
/// `social` closes connections that are idle for twice as long.
const IDLE: Duration = Duration::from_secs(5);

fn main() {
    if let Some(answer) = std::env::var_os(ANSWER) {
        let answer = std::fs::read(answer).expect("an answer");
        Runtime::new().expect("a runtime").block_on(bare(&answer));
        return;
    }
    http(&mut Criterion::default().configure_from_args());
    Criterion::default().configure_from_args().final_summary();
}

/// Names the file with the answer to a process that is to be the bare server.
const ANSWER: &str = "BENCH_HTTP_ANSWER";

fn http(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let social = Server::social();
    let mut clients = runtime.block_on(Client::connect(social.address));
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let asked = |name: &str| only.as_ref().is_none_or(|only| name.contains(only));
    let mut group = c.benchmark_group("http");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(CONNECTIONS));
    if asked(POST) {
        beside_bare(&mut group, &runtime, POST, &social, &mut clients);
    }
    if asked(GET) {
        // By all at once: a connection that is idle for long is closed.
        run(&runtime, POST, &mut clients, 1);
        runtime.block_on(learn(&mut clients));
        beside_bare(&mut group, &runtime, GET, &social, &mut clients);
    }
    group.finish();
}

const POST: &str = "POST /v1/posts";
const GET: &str = "GET /v1/posts/{id}";

/// What `clients` ask of `social`, beside the same asked of a bare server, which gives an answer that `social` gave.
fn beside_bare(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    what: &'static str,
    social: &Server,
    clients: &mut Vec<Client>,
) {
    runtime.block_on(clients[0].ask(what));
    let bare = Server::bare(&clients[0].answer);
    let mut others = runtime.block_on(Client::connect(bare.address));
    for other in &mut others {
        other.posts = Arc::clone(&clients[0].posts);
    }
    let check = |clients: &mut Vec<Client>| {
        let current = what != POST || runtime.block_on(is_current(clients));
        assert!(current, "the read model is current within a second");
    };
    group.bench_function(what, |bench| {
        bench.iter_custom(|rounds| {
            let elapsed = run(runtime, what, clients, rounds);
            check(clients);
            elapsed
        });
    });
    let name = match what {
        POST => "bare hyper".to_owned(),
        _ => format!("bare hyper, {what}"),
    };
    group.bench_function(name, |bench| {
        bench.iter_custom(|rounds| run(runtime, what, &mut others, rounds));
    });
    if std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        return;
    }

    const IN_TURN: usize = 21;
    const ROUNDS: u64 = 80;
    let mut rates = Vec::new();
    for _ in 0..IN_TURN {
        let rate = |elapsed: Duration| (CONNECTIONS * ROUNDS) as f64 / elapsed.as_secs_f64();
        let own = rate(run(runtime, what, clients, ROUNDS));
        check(clients);
        rates.push([own, rate(run(runtime, what, &mut others, ROUNDS))]);
    }
    let median = |of: fn(&[f64; 2]) -> f64| {
        let mut values: Vec<_> = rates.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("Medians of {IN_TURN} rounds in turn, requests per second; ratio round by round.\n");
    let posts = clients.iter().map(Client::position).max().unwrap_or(0);
    println!("| {what} | bare hyper | ratio | memory of social after {posts} posts |");
    println!("|---|---|---|---|");
    println!(
        "| {:.0} | {:.0} | {:.2} | {} |\n",
        median(|rates| rates[0]),
        median(|rates| rates[1]),
        median(|rates| rates[0] / rates[1]),
        social.resident()
    );
}

/// Has every client know the post that each of them wrote last, and begin with another's.
async fn learn(clients: &mut [Client]) {
    let location = |client: &Client| client.header("location").to_owned();
    let posts: Arc<[String]> = clients.iter().map(location).collect();
    assert!(is_current(clients).await, "the read model is current");
    for (number, client) in clients.iter_mut().enumerate() {
        client.posts = Arc::clone(&posts);
        client.next = number + 1;
    }
}

/// `rounds` requests on each connection.
fn run(runtime: &Runtime, what: &'static str, clients: &mut Vec<Client>, rounds: u64) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = std::mem::take(clients)
        .into_iter()
        .map(|mut client| {
            runtime.spawn(async move {
                for _ in 0..rounds {
                    client.ask(what).await;
                }
                client
            })
        })
        .collect();
    for task in tasks {
        clients.push(runtime.block_on(task).expect("done"));
    }
    start.elapsed()
}

/// Whether the post that was acknowledged last can be read within a second.
async fn is_current(clients: &mut [Client]) -> bool {
    let Some(client) = clients.iter_mut().max_by_key(|client| client.position()) else {
        return false;
    };
    let (location, token) = (
        client.header("location"),
        client.header("consistency-token"),
    );
    let request = format!(
        "GET {location} HTTP/1.1\r\nHost: bench\r\nX-Actor: ada\r\nConsistency-Token: {token}\r\n\
         Prefer: wait=1\r\n\r\n"
    );
    client.exchange(request.as_bytes()).await == 200
}

/// One connection, and the answer that came last.
struct Client {
    address: SocketAddr,
    stream: TcpStream,
    /// When it was last asked something.
    used: Instant,
    answer: Vec<u8>,
    /// What it can ask for, and which of them is next.
    posts: Arc<[String]>,
    next: usize,
}

impl Client {
    async fn connect(address: SocketAddr) -> Vec<Self> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(Self {
                address,
                stream: connection(address).await,
                used: Instant::now(),
                answer: Vec::new(),
                posts: Arc::new([]),
                next: 0,
            });
        }
        clients
    }

    async fn ask(&mut self, what: &str) {
        match what {
            POST => self.post().await,
            _ => self.get().await,
        }
    }

    async fn get(&mut self) {
        let post = &self.posts[self.next % self.posts.len()];
        self.next += 1;
        let request = format!("GET {post} HTTP/1.1\r\nHost: bench\r\nX-Actor: ada\r\n\r\n");
        let status = self.exchange(request.as_bytes()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&self.answer));
    }

    async fn post(&mut self) {
        const BODY: &str = concat!(
            r#"{"message":"It was the best of times, it was the worst of times, it was the age of "#,
            r#"wisdom, it was the age of foolishness, it was the epoch of belief"}"#
        );
        let request = format!(
            "POST /v1/posts HTTP/1.1\r\nHost: bench\r\nX-Actor: ada\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        let status = self.exchange(request.as_bytes()).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&self.answer));
    }

    /// Sends `request`, reads the answer whole; gives its status.
    async fn exchange(&mut self, request: &[u8]) -> u16 {
        if self.used.elapsed() > IDLE {
            self.stream = connection(self.address).await;
        }
        self.used = Instant::now();
        self.stream.write_all(request).await.expect("sent");
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await;
            assert_ne!(read.expect("an answer"), 0, "the connection was closed");
            if let Some(head) = head_len(&self.answer) {
                let length: usize = self.header("content-length").parse().unwrap_or(0);
                if self.answer.len() >= head + length {
                    break;
                }
            }
        }
        let status = self.answer.get(9..12).unwrap_or_default();
        String::from_utf8_lossy(status).parse().unwrap_or(0)
    }

    /// A header of the last answer, by its name in lower case.
    fn header(&self, name: &str) -> &str {
        let head = &self.answer[..head_len(&self.answer).unwrap_or(0)];
        let lines = std::str::from_utf8(head).unwrap_or_default().lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    fn position(&self) -> u64 {
        let token = self.header("consistency-token");
        let position = token.split_once('-').map(|(_, position)| position);
        position.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

async fn connection(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("set");
    stream
}

fn head_len(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// A server that reads every request whole and answers what `answer` answered.
async fn bare(answer: &[u8]) {
    let head = head_len(answer).expect("an answer");
    let text = String::from_utf8_lossy(&answer[..head]).into_owned();
    let status = answer.get(9..12).unwrap_or_default();
    let mut template = Response::builder().status(status);
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        // These hyper writes itself.
        if !["content-length", "date"].contains(&name.to_ascii_lowercase().as_str()) {
            template = template.header(name, value);
        }
    }
    let body = Bytes::copy_from_slice(&answer[head..]);
    let template = template.body(Full::new(body)).expect("an answer");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    println!("listening on http://{address}");
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("set");
        let template = template.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = template.clone();
            async move {
                request.into_body().collect().await.expect("a body");
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// A server in a process of its own; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    _data: TempDir,
}

impl Server {
    /// The release binary, on a store of its own.
    fn social() -> Self {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "-q", "-p", "social"])
            .status()
            .expect("cargo");
        assert!(built.success(), "social does not build");
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut command = Command::new(binary());
        command
            .env("SOCIAL_DATA", data.path())
            .env("SOCIAL_LISTEN", "127.0.0.1:0")
            .env("SOCIAL_AUTH", "off")
            .env("RUST_LOG", "warn");
        Self::start(command, data)
    }

    /// This very program, as the bare server.
    fn bare(answer: &[u8]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let file = data.path().join("answer");
        std::fs::write(&file, answer).expect("written");
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.env(ANSWER, file);
        Self::start(command, data)
    }

    fn start(mut command: Command, data: TempDir) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        Self {
            child,
            address: address.unwrap_or_else(|| panic!("not ready: {line:?}")),
            _data: data,
        }
    }

    /// Its memory, where the system tells.
    fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap_or("unknown").trim().to_owned()
    }
}

/// `release/social`, seen from `release/deps/http-…`.
fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let release = own.ancestors().nth(2).expect("the build's folder");
    release.join("social")
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
