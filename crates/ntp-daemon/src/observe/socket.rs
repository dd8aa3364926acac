//! The observation socket: a Unix stream socket that tells its state to whoever connects.
//!
//! One connection gets 8 octets of big-endian length and one JSON document, then the end. What
//! never happens here: reading from a client (a byte sent to us stays unread), waiting for a slow
//! one (500 ms each, at most 8 at a time), or removing a file that is not a socket.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::state::ObservableState;

/// Greatest document in octets, for writers and readers.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// Clients that are served at a time; further ones wait in the kernel's queue.
const MAX_CLIENTS: usize = 8;

/// Time that one client gets to read the document.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(500);

/// Time that a daemon gets to hand out the document.
pub const READ_LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, so that a lack of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Makes the document for one client.
pub type Snapshot = Arc<dyn Fn() -> ObservableState + Send + Sync>;

/// The running socket. Dropping it stops the task and removes the file.
#[derive(Debug)]
pub struct ObservationSocket {
    task: JoinHandle<()>,
    _file: SocketFile,
}

impl ObservationSocket {
    /// Binds `path` with the file mode `permissions` and serves `snapshot` to each client.
    ///
    /// # Errors
    /// If `path` is a file that is not a socket, or the socket cannot be bound; the text names the
    /// path.
    pub fn bind(path: &Path, permissions: u32, snapshot: Snapshot) -> io::Result<Self> {
        let (listener, file) = listen(path, permissions).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("observation socket {}: {error}", path.display()),
            )
        })?;
        Ok(Self {
            task: tokio::spawn(serve(listener, snapshot)),
            _file: file,
        })
    }
}

impl Drop for ObservationSocket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The file of a bound socket, removed on drop unless another process has put its own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the observation socket");
        }
    }
}

fn listen(path: &Path, permissions: u32) -> io::Result<(UnixListener, SocketFile)> {
    remove_old_socket(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux gives the file the mode of the unbound socket, so that there is no moment with a wider
    // one. Where that is not possible the mode set below has to do.
    let _ = fchmod(socket.as_fd(), Mode::from_bits_truncate(permissions));
    socket
        .bind(&SockAddr::unix(path)?)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                io::ErrorKind::NotFound,
                "there is no such folder; make it or set another observation-path",
            ),
            _ => error,
        })?;
    let found = std::fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (found.dev(), found.ino()),
    };
    // Not what a symbolic link leads to, should there be one in its place by now.
    let mode = Mode::from_bits_truncate(permissions);
    fchmodat(AT_FDCWD, path, mode, FchmodatFlags::NoFollowSymlink)?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

fn remove_old_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket is in the way; remove it or set another observation-path",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn serve(listener: UnixListener, snapshot: Snapshot) {
    let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "observation socket: accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let snapshot = Arc::clone(&snapshot);
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(CLIENT_TIMEOUT, answer(stream, snapshot())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "observation socket: client lost"),
                Err(_) => tracing::debug!("observation socket: client too slow"),
            }
        });
    }
}

async fn answer(mut stream: UnixStream, state: ObservableState) -> io::Result<()> {
    write_state(&mut stream, &state).await?;
    stream.shutdown().await
}

/// Writes one document with its length before it.
///
/// # Errors
/// If the document would be longer than [`MAX_DOCUMENT`], or the stream fails.
async fn write_state(
    stream: &mut (impl AsyncWrite + Unpin),
    state: &ObservableState,
) -> io::Result<()> {
    let json = serde_json::to_vec(state)?;
    if json.len() > MAX_DOCUMENT {
        return Err(io::Error::other("the state is longer than 1 MiB"));
    }
    let mut message = Vec::with_capacity(8 + json.len());
    message.extend_from_slice(&(json.len() as u64).to_be_bytes());
    message.extend_from_slice(&json);
    stream.write_all(&message).await
}

/// Reads the document of the daemon that listens at `path`, within [`READ_LIMIT`].
///
/// # Errors
/// As [`read_state`]; if nobody listens there; or if the daemon takes too long.
pub async fn fetch(path: &Path) -> io::Result<ObservableState> {
    let read = async { read_state(&mut UnixStream::connect(path).await?).await };
    tokio::time::timeout(READ_LIMIT, read)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads one document as [`ObservationSocket`] writes it.
///
/// # Errors
/// If the stream fails or ends early, the length is over [`MAX_DOCUMENT`], or the JSON is not a
/// state document.
pub async fn read_state(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<ObservableState> {
    let length = stream.read_u64().await?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_DOCUMENT)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("announces {length} octets, more than 1 MiB"),
            )
        })?;
    let mut json = vec![0; length];
    stream.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
