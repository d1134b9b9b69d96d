use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_kit::{BodyLimits, Problem, Request, Response, Router, ServerOptions, read_body, text};
use hyper::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

#[derive(Clone, Copy)]
enum Route {
    Hello,
    Length,
    Refuse,
    Gate,
    Panic,
}

/// What tests share with the handlers.
pub(crate) struct Shared {
    /// What the handlers did, in order.
    pub(crate) events: Mutex<Vec<&'static str>>,
    /// A permit for each request that reached the gate.
    pub(crate) entered: Semaphore,
    /// A permit lets one request through the gate.
    pub(crate) gate: Semaphore,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(options: ServerOptions, limits: BodyLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            events: Mutex::default(),
            entered: Semaphore::new(0),
            gate: Semaphore::new(0),
        });
        let router = Router::new()
            .route(Method::GET, "/hello", Route::Hello)
            .route(Method::POST, "/length", Route::Length)
            .route(Method::POST, "/refuse", Route::Refuse)
            .route(Method::GET, "/gate", Route::Gate)
            .route(Method::GET, "/panic", Route::Panic);
        let router = Arc::new(router);
        let (stop, stopped) = oneshot::channel();
        let service = {
            let shared = Arc::clone(&shared);
            move |request| handle(Arc::clone(&router), Arc::clone(&shared), limits, request)
        };
        let task = tokio::spawn(http_kit::serve(listener, service, options, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            shared,
            stop,
            task,
        }
    }

    pub(crate) async fn default() -> Self {
        Self::start(ServerOptions::default(), BodyLimits::default()).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a new connection and reads to its end.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut client).await
    }
}

/// Reads until FIN; a reset fails the test.
pub(crate) async fn read_to_end(client: &mut TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Asserts that `answer` is one whole problem, and gives its body.
pub(crate) fn problem(answer: &str, status: u16, slug: &str) -> serde_json::Value {
    problem_of_type(answer, status, &format!("/problems/{slug}"))
}

/// The same of any type.
pub(crate) fn problem_of_type(answer: &str, status: u16, r#type: &str) -> serde_json::Value {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/problem+json"),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["type"], &body["status"]),
        (&r#type.into(), &status.into())
    );
    assert!(body["title"].is_string());
    body
}

async fn handle(
    router: Arc<Router<Route>>,
    shared: Arc<Shared>,
    limits: BodyLimits,
    request: Request,
) -> Response {
    let route = match router
        .resolve(request.method(), request.uri().path())
        .found()
    {
        Ok(matched) => *matched.route,
        Err(response) => return response,
    };
    let plain = |body: String| text(StatusCode::OK, "text/plain", body);
    match route {
        Route::Hello => {
            shared.events.lock().unwrap().push("hello");
            plain("hello".to_owned())
        }
        Route::Length => match read_body(request.into_body(), limits).await {
            Ok(body) => plain(body.len().to_string()),
            Err(problem) => problem.into_response(),
        },
        Route::Refuse => Problem::unsupported_media_type().into_response(),
        Route::Gate => {
            shared.events.lock().unwrap().push("gate entered");
            shared.entered.add_permits(1);
            shared.gate.acquire().await.unwrap().forget();
            shared.events.lock().unwrap().push("gate left");
            plain("through".to_owned())
        }
        Route::Panic => panic!("as the test asked"),
    }
}
