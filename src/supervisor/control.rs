//! The socket that `holdfastctl` talks to. Each connection is served by a task of its own with a time limit,
//! so a slow or silent client costs the supervisor nothing but one of a few places.

use crate::link::control::{Answer, MAX_REQUEST, Request};
use crate::link::frame::encode;
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Clients served at once; more wait in the kernel's queue. People and their scripts are few.
const CLIENTS: usize = 16;

/// For a client to say what it wants, and to take its answer.
const CLIENT_LIMIT: Duration = Duration::from_secs(5);

/// After a failed accept (no more file descriptors): do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request and where its answer goes.
pub type Asked = (Request, oneshot::Sender<Answer>);

/// The listening socket. Dropping it removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl ControlSocket {
    /// Listens at `path`, mode 0600. The caller holds the pid lock, so a socket that is there is a dead one's.
    pub fn open(path: &Path, requests: mpsc::Sender<Asked>) -> io::Result<ControlSocket> {
        match std::fs::symlink_metadata(path) {
            Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => {
                let what =
                    "what is there is no socket, and is not removed: remove it and start the daemon again";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Err(_) => {}
        }
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        Ok(ControlSocket { path: path.to_owned(), task: tokio::spawn(accept(listener?, requests)) })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        std::fs::remove_file(&self.path).ok();
    }
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let requests = requests.clone();
                tokio::spawn(async move {
                    serve(client, requests).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("the control socket cannot take a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The socket's mode keeps others out already; whoever changed that, or passed the socket on, does not make them root.
/// Who runs a daemon without being root may ask it.
fn may_ask(client: &UnixStream) -> Result<(), String> {
    let uid = client.peer_cred().map_err(|error| format!("nobody knows who asks: {error}"))?.uid();
    if uid == 0 || uid == geteuid().as_raw() {
        return Ok(());
    }
    tracing::warn!("user {uid} asks at the control socket, and is not served: only root is");
    Err(format!("only root may ask, not user {uid}"))
}

/// One conversation. Whatever goes wrong is the client's loss only.
async fn serve(mut client: UnixStream, requests: mpsc::Sender<Asked>) {
    let request = async {
        let request = read_request(&mut client).await?;
        may_ask(&client)?; // what is unread when the socket is closed would take the answer along
        Ok(request)
    };
    let answer = match timeout(CLIENT_LIMIT, request).await {
        Ok(Ok(request)) => {
            let (reply, answer) = oneshot::channel();
            if requests.send((request, reply)).await.is_err() {
                return;
            }
            // The supervisor answers every request within its own limits, or ends. A client that hangs up drops its
            // place: what was not begun yet is not begun for it.
            tokio::select! {
                answer = answer => {
                    answer.unwrap_or_else(|_| Answer::Refused("the daemon is stopping".to_owned()))
                }
                () = hung_up(&client) => return,
            }
        }
        Ok(Err(reason)) => Answer::Refused(reason),
        Err(_) => Answer::Refused("no request came".to_owned()),
    };
    let frame = encode(&answer).or_else(|error| encode(&Answer::Refused(error.to_string())));
    if let Ok(frame) = frame {
        timeout(CLIENT_LIMIT, client.write_all(&frame)).await.ok();
    }
}

/// Ends when the client has closed its socket; one that only ended its own sending still waits for its answer.
async fn hung_up(client: &UnixStream) {
    let mut unasked = [0; 64];
    while client.readable().await.is_ok() {
        match client.try_read(&mut unasked) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    let closed = client.ready(Interest::WRITABLE).await.is_ok_and(|ready| ready.is_write_closed());
    if !closed {
        std::future::pending::<()>().await;
    }
}

async fn read_request(client: &mut UnixStream) -> Result<Request, String> {
    let length = client.read_u32().await.map_err(|error| error.to_string())? as usize;
    if length > MAX_REQUEST {
        return Err(format!("a request of {length} octets is over the limit of {MAX_REQUEST}"));
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| format!("no request that this version knows: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_socket_is_named_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, path) = (folder.path().join("target"), folder.path().join("holdfast.sock"));
        std::fs::write(&target, "precious").expect("written");
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        let (to, _requests) = mpsc::channel(1);
        let error = ControlSocket::open(&path, to.clone()).expect_err("a link").to_string();
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("it stays"), "precious");
        std::fs::remove_file(&path).expect("removed");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a dead one's"));
        ControlSocket::open(&path, to).expect("a socket of a dead daemon is replaced");
    }
}
