//! What lies between a process and an engine: it can be cut, or fall silent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Open,
    /// Who connects is welcome, and nothing passes.
    Silent,
    /// Who connects is turned away.
    Down,
}

struct Line {
    mode: Mutex<Mode>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

/// Listens on a port of its own; goes with the tests' process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    line: Arc<Line>,
}

impl Proxy {
    pub(crate) fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Line {
            mode: Mutex::new(Mode::Open),
            changed: Condvar::new(),
            connections: Mutex::default(),
        });
        let own = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if *own.mode.lock().unwrap() == Mode::Down {
                    continue;
                }
                // A server that is away is for the client to find out.
                let Ok(server) = TcpStream::connect(&server) else {
                    continue;
                };
                own.join(client, server);
            }
        });
        Self { address, line }
    }

    pub(crate) fn open(&self) {
        self.turn(Mode::Open);
    }

    /// Nothing passes any more, in either direction.
    pub(crate) fn fall_silent(&self) {
        self.turn(Mode::Silent);
    }

    /// Ends all connections, and lets nobody in.
    pub(crate) fn go_down(&self) {
        self.turn(Mode::Down);
        for connection in self.line.connections.lock().unwrap().drain(..) {
            // It may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn turn(&self, mode: Mode) {
        *self.line.mode.lock().unwrap() = mode;
        self.line.changed.notify_all();
    }
}

impl Line {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let ends = [&client, &server].map(|end| end.try_clone().unwrap());
        self.connections.lock().unwrap().extend(ends);
        let other = (server.try_clone().unwrap(), client.try_clone().unwrap());
        for (from, to) in [(client, server), other] {
            let line = Arc::clone(self);
            thread::spawn(move || line.pass(from, to));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mode = self.mode.lock().unwrap();
            let silent = |mode: &mut Mode| *mode == Mode::Silent;
            drop(self.changed.wait_while(mode, silent).unwrap());
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        // So that the other direction ends, too.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
