//! A registry of sources: a web server on loopback that publishes what it is told to.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nts_pool_ke::config::TokenSecret;
use nts_pool_ke::snapshot::PublicKey;
use nts_service::config::{Located, Place, Problems};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::file_pool::PoolFiles;
use crate::lab::POOL_NAME;

/// What pools derive tokens of sources from.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// By which the registry knows pools.
pub const REGISTRY_TOKEN: &str = "registry-token-89ab89ab89ab89ab";

/// [`SECRET`] as pools have it.
///
/// # Panics
/// If it cannot be written to a file and read again.
pub fn token_secret() -> TokenSecret {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    fs::write(&path, SECRET).expect("a file");
    TokenSecret::load(Located::new(path, Place::file("")), &Problems::new()).expect("a secret")
}

/// What it answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This file, with a tag that tells it from others.
    File(Vec<u8>),
    /// This status line, then the end.
    Status(&'static str),
    /// It closes the connection.
    Nothing,
}

/// See the module. It is gone when this is dropped.
pub struct Registry {
    /// Where it is.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

struct State {
    reply: Reply,
    /// The heads of all requests.
    requests: Vec<String>,
    /// How many of them were answered with "not modified".
    spared: usize,
}

impl Registry {
    /// One that publishes this file.
    ///
    /// # Panics
    /// If there is no socket.
    pub async fn start(file: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            reply: Reply::File(file.into()),
            requests: Vec::new(),
            spared: 0,
        }));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            _serving: serving,
        }
    }

    /// Where its list is.
    pub fn url(&self) -> String {
        format!("http://{}/pool.signed", self.address)
    }

    /// Makes these the files of a pool that follows the registry, whose lists are signed with this key;
    /// sources may be on loopback. `list.signed` is the copy on the disk.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn lead(&self, files: &PoolFiles, key: &PublicKey) {
        files.write("secret", SECRET);
        files.write("registry-token", REGISTRY_TOKEN);
        let text = fs::read_to_string(files.path("pool.toml")).expect("text");
        let before = text.split("token-secret-path").next().unwrap_or_default();
        let lines = before.lines().filter(|it| !it.contains("servers-path"));
        let lines: Vec<_> = lines.collect();
        files.write(
            "pool.toml",
            format!(
                "{}
token-secret-path = {:?}
[snapshot]
url = \"{}\"
public-key = \"{key}\"
pool = \"{POOL_NAME}\"
token-path = {:?}
cache-path = {:?}
interval-s = 1
[upstream]
deny-private-addresses = false
",
                lines.join("\n"),
                files.path("secret"),
                self.url(),
                files.path("registry-token"),
                files.path("list.signed"),
            ),
        );
    }

    /// Publishes this file from now on.
    pub fn publish(&self, file: impl Into<Vec<u8>>) {
        self.reply(Reply::File(file.into()));
    }

    /// Answers so from now on.
    pub fn reply(&self, reply: Reply) {
        lock(&self.state).reply = reply;
    }

    /// The head of its last request.
    ///
    /// # Panics
    /// If there was none.
    pub fn last_request(&self) -> String {
        lock(&self.state)
            .requests
            .last()
            .expect("a request")
            .clone()
    }

    /// How often it could say that nothing has changed.
    pub fn spared(&self) -> usize {
        lock(&self.state).spared
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // The other side may leave when it likes.
            let _ = answer(stream, &state).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let octets = reply_to(&head, &mut lock(state));
    stream.write_all(&octets).await?;
    stream.shutdown().await
}

fn reply_to(head: &str, state: &mut State) -> Vec<u8> {
    state.requests.push(head.to_owned());
    match &state.reply {
        Reply::Nothing => Vec::new(),
        Reply::Status(status) => {
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into()
        }
        Reply::File(file) => {
            let mut hasher = DefaultHasher::new();
            file.hash(&mut hasher);
            let tag = format!("\"{:x}\"", hasher.finish());
            let known = format!("if-none-match: {tag}");
            if head.lines().any(|line| line.eq_ignore_ascii_case(&known)) {
                state.spared += 1;
                return b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec();
            }
            let length = file.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n"
            );
            [head.as_bytes(), file].concat()
        }
    }
}
