//! What a service manager does with the pool's program: it holds the socket, starts the program with
//! it, and tells it things.
//!
//! The program is the same executable as the test. So a test, or the `main` of a benchmark, must call
//! [`run_if_managed`] at its beginning; [`Manager::new`] says how the child gets there.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use nts_pool_ke::program;
use nts_service::exit::ExitCode;
use tempfile::TempDir;

use crate::deadline::eventually;

/// The variable that tells the child its configuration.
const CONFIG: &str = "TESTKIT_POOL_PROGRAM";

/// The name of the socket to which the program says how it is.
const NOTIFY: &str = "notify";

/// Runs the program if this is a child; false if it is none.
pub fn run_if_managed() -> bool {
    let Some(path) = std::env::var_os(CONFIG) else {
        return false;
    };
    assert_eq!(program::run(Path::new(&path)), ExitCode::Success);
    true
}

/// See the module.
pub struct Manager {
    socket: TcpListener,
    config: PathBuf,
    arguments: Vec<String>,
    /// Where the program says how it is (sd_notify(3)).
    notify: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    /// For the program with this configuration, which says `listen = "systemd"`. The child gets these
    /// arguments: in a test, the name of the one in which it begins.
    ///
    /// # Panics
    /// If there is no socket.
    pub fn new(config: PathBuf, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let notify = UnixDatagram::bind(directory.path().join(NOTIFY)).expect("a socket");
        notify.set_nonblocking(true).expect("a socket");
        Self {
            socket: TcpListener::bind("127.0.0.1:0").expect("a socket"),
            config,
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            notify,
            directory,
        }
    }

    /// Where users connect to.
    ///
    /// # Panics
    /// Never.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    /// What the program says next.
    pub async fn told(&self) -> String {
        eventually("a word of the program", || self.told_already()).await
    }

    /// What the program has said next, if it has said anything. It waits, with all that it does, for
    /// somebody who listens: the system keeps only a few words.
    pub fn told_already(&self) -> Option<String> {
        let mut buffer = [0; 512];
        let length = self.notify.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The program, with the socket as descriptor 3 (sd_listen_fds(3)).
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self) -> Program {
        let socket = OwnedFd::from(self.socket.try_clone().expect("a descriptor"));
        let script = "exec 3<&0 </dev/null && LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().expect("a path"))
            .args(&self.arguments)
            .env(CONFIG, &self.config)
            .env("NOTIFY_SOCKET", self.directory.path().join(NOTIFY))
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        Program(child)
    }
}

/// The running program; it ends with the test at the latest.
pub struct Program(Child);

impl Program {
    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn tell(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("a process");
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// Never for a child.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child")
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        eventually("the end of the program", || self.ended()).await
    }

    /// How many files it has open.
    ///
    /// # Panics
    /// If it is gone.
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.0.id()));
        files.expect("a child that lives").count()
    }

    /// The memory that it has in use, in octets.
    ///
    /// # Panics
    /// If it is gone.
    pub fn resident(&self) -> u64 {
        resident(self.0.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time, user and system, that a process has spent.
pub(crate) fn cpu(process: u32) -> Duration {
    let id = i32::try_from(process).expect("a process id");
    let clock = clock_getcpuclockid(Pid::from_raw(id)).expect("a child that lives");
    clock_gettime(clock).expect("a child that lives").into()
}

/// The memory that a process has in use, in octets.
pub(crate) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("a child that lives");
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok());
    kibibytes.expect("a number") * 1024
}
