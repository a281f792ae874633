//! A connection that remembers how the server began: rustls says that a server's TLS is too old, not which it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets up to the version in a ServerHello: five of the record, four of the message, two of the version (RFC 5246 7.4.1.3).
const HEAD: usize = 11;

/// A stream, and the first octets that came through it.
#[derive(Debug)]
pub(super) struct Overheard<S> {
    stream: S,
    head: [u8; HEAD],
    heard: usize,
}

impl<S> Overheard<S> {
    pub(super) fn new(stream: S) -> Overheard<S> {
        Overheard { stream, head: [0; HEAD], heard: 0 }
    }

    /// The version of TLS that the server chose, where it is one that rustls does not speak.
    pub(super) fn old_version(&self) -> Option<&'static str> {
        match self.head {
            [22, _, _, _, _, 2, _, _, _, 3, minor] if self.heard == HEAD => match minor {
                0 => Some("SSL 3.0"),
                1 => Some("TLS 1.0"),
                2 => Some("TLS 1.1"),
                _ => None,
            },
            _ => None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let this = &mut *self;
        let places = this.head.iter_mut().skip(this.heard);
        for (place, octet) in places.zip(buffer.filled().iter().skip(before)) {
            *place = *octet;
            this.heard += 1;
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
