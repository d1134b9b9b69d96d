use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::bare;

/// Longest time for which a closed connection is still read.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes that are discarded in that time.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// A connection whose close does not destroy the last answer.
///
/// A socket closed with bytes unread makes the kernel send a reset, and at a
/// reset the client's kernel throws away what the client has not yet read: the
/// 413 that tells why the upload was refused. So the shutdown sends FIN, then
/// reads and discards until the client closes, for at most a second and 16 MiB.
///
/// # Reference
///
/// RFC 9112, section 9.6, "Tear-down".
pub(crate) struct Lingering {
    stream: TcpStream,
    closing: Closing,
    /// What is written in place of a bare refusal, from the byte on that is next.
    refusal: Option<(Vec<u8>, usize)>,
}

enum Closing {
    Not,
    Discarding {
        deadline: Pin<Box<Sleep>>,
        left: usize,
    },
    Done,
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            closing: Closing::Not,
            refusal: None,
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self {
            stream, refusal, ..
        } = &mut *self;
        let mut stream = Pin::new(stream);
        if refusal.is_none() {
            *refusal = bare::with_body(bytes).map(|refusal| (refusal, 0));
        }
        let Some((answer, next)) = refusal else {
            return stream.poll_write(context, bytes);
        };
        while *next < answer.len() {
            match ready!(stream.as_mut().poll_write(context, &answer[*next..]))? {
                0 => return Poll::Ready(Ok(0)),
                written => *next += written,
            }
        }
        *refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A bare refusal is a head alone.
        if let [head] = slices {
            return self.poll_write(context, head);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            stream, closing, ..
        } = &mut *self;
        if matches!(closing, Closing::Not) {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            *closing = Closing::Discarding {
                deadline: Box::pin(tokio::time::sleep(LINGER)),
                left: MAX_DISCARDED,
            };
        }
        if let Closing::Discarding { deadline, left } = closing {
            if deadline.as_mut().poll(context).is_pending() {
                ready!(poll_discard(stream, context, left));
            }
            *closing = Closing::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads until the end, an error, or `left` bytes.
fn poll_discard(stream: &mut TcpStream, context: &mut Context<'_>, left: &mut usize) -> Poll<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); 8 * 1024];
    loop {
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer));
        let count = buffer.filled().len();
        *left = left.saturating_sub(count);
        // An error here is the client's reset: it is gone.
        if read.is_err() || count == 0 || *left == 0 {
            return Poll::Ready(());
        }
    }
}
