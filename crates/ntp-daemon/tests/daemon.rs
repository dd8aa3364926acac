//! The real program: exit codes, signals, and what it leaves behind.

#![allow(clippy::unwrap_used, reason = "a test")]

#[expect(dead_code, reason = "files are enough here")]
#[path = "../src/fixtures.rs"]
mod fixtures;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use fixtures::Pki;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// The daemon, without the right to set the clock: no test may move the clock of its machine.
fn command(config: &Path) -> Command {
    give_up_the_clock();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ntp-daemon"));
    command
        .arg("-c")
        .arg(config)
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET");
    command
}

/// Takes the right to set the clock away from whatever this thread starts from now on. Fails if
/// that is not possible, so that nothing is started then.
fn give_up_the_clock() {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Bounding] {
        // Only root may take it out of the bounding set, and others do not get it by that.
        let _ = caps::drop(None, set, Capability::CAP_SYS_TIME);
        let held = caps::has_cap(None, set, Capability::CAP_SYS_TIME).unwrap();
        let harmless = matches!(set, CapSet::Bounding) && !geteuid().is_root();
        assert!(!held || harmless, "{set:?} still has CAP_SYS_TIME");
    }
}

/// A program that ends by itself.
fn run(config: &Path, arguments: &[&str]) -> Output {
    command(config).args(arguments).output().unwrap()
}

fn write(pki: &Pki, text: &str) -> std::path::PathBuf {
    let path = pki.path("ntp.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A UDP and a TCP port that nobody uses at the moment.
fn free_ports() -> (u16, u16) {
    let ntp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ke = TcpListener::bind("127.0.0.1:0").unwrap();
    (
        ntp.local_addr().unwrap().port(),
        ke.local_addr().unwrap().port(),
    )
}

/// A program that runs until it is told to stop; killed if a test fails before that.
struct Daemon {
    child: Child,
    log: BufReader<ChildStdout>,
}

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to a line that holds `text`.
    fn wait_for(&mut self, text: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.log.read_line(&mut line).unwrap(),
                0,
                "the log ended before {text:?}"
            );
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Sends `signal` and waits for the end: exit code and how long it took.
    fn stop(mut self, signal: Signal) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal(signal);
        let status = self.child.wait().unwrap();
        (status.code(), start.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_wrong_configuration_ends_with_78_and_all_problems() {
    let pki = Pki::new();
    let path = write(&pki, "[[server]]\nlisten = '127.0.0.1:0'\n[keysets]\n");
    let output = run(&path, &[]);
    assert_eq!(output.status.code(), Some(78));
    let shown = path.display();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: {shown}:2: server[1].listen = '127.0.0.1:0': port 0 means any port, so nobody \
             would find it; write the port to listen on, like 4460 for NTS-KE or 123 for NTP\n\
             error: {shown}:3: keysets: unknown key; did you mean `keyset`?\n"
        )
    );
    assert!(output.stdout.is_empty());
    let output = run(&pki.path("missing.toml"), &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("there is no file")
    );
}

#[test]
fn without_the_right_to_steer_the_clock_it_ends_with_70_and_the_cure() {
    let pki = Pki::new();
    let path = write(
        &pki,
        "[[source]]\nmode = 'server'\naddress = '127.0.0.1:9'\n",
    );
    let output = run(&path, &[]);
    assert_eq!(output.status.code(), Some(70));
    let log = String::from_utf8(output.stdout).unwrap();
    for part in [
        "the capability CAP_SYS_TIME is missing",
        "AmbientCapabilities=CAP_SYS_TIME",
        "-x (--no-clock-control)",
        "control-clock = false",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("new source"), "nothing was started: {log}");
}

#[test]
fn arguments() {
    let pki = Pki::new();
    let path = write(&pki, "");
    for (arguments, code, shown) in [
        (
            ["-V"],
            0,
            format!("ntp-daemon {}\n", env!("CARGO_PKG_VERSION")),
        ),
        (
            ["-v"],
            0,
            format!("ntp-daemon {}\n", env!("CARGO_PKG_VERSION")),
        ),
        (["--frobnicate"], 1, String::new()),
        (["--log-level=loud"], 1, String::new()),
    ] {
        let output = run(&path, &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
    }
    let help = run(&path, &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--no-clock-control")
    );
}

/// A configuration with everything that has to be cleaned up.
fn full(pki: &Pki, ntp: u16, ke: u16) -> String {
    format!(
        "[[source]]\nmode = 'server'\naddress = '127.0.0.1:{ntp}'\n\
         [[server]]\nlisten = '127.0.0.1:{ntp}'\n\
         [[nts-ke-server]]\nlisten = '127.0.0.1:{ke}'\nntp-port = {ntp}\n{}\
         [keyset]\nkey-storage-path = {:?}\n\
         [observability]\nobservation-path = {:?}\n",
        pki.issue("localhost").toml(),
        pki.path("keys"),
        pki.path("observe"),
    )
}

#[test]
fn signals_end_it_within_a_second_and_nothing_is_left_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let pki = Pki::new();
        let (ntp, ke) = free_ports();
        let path = write(&pki, &full(&pki, ntp, ke));
        let notifications = UnixDatagram::bind(pki.path("notify")).unwrap();
        notifications
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut daemon = Daemon::start(
            command(&path)
                .arg("-x")
                .env("NOTIFY_SOCKET", pki.path("notify")),
        );
        let mut buffer = [0; 256];
        let length = notifications.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\n");
        daemon.wait_for("NTS-KE server listens");
        assert!(pki.path("observe").exists() && pki.path("keys").exists());
        // A user that says nothing does not hold it up.
        let silent = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], ke))).unwrap();
        std::fs::remove_file(pki.path("keys")).unwrap();

        let (code, time) = daemon.stop(signal);
        assert_eq!(code, Some(0));
        assert!(time < Duration::from_secs(1), "{time:?}");
        assert!(!pki.path("observe").exists());
        assert!(pki.path("keys").exists(), "the keys are saved");
        drop(silent);
    }
}

#[test]
fn a_source_that_answers_but_cannot_be_used_is_logged() {
    let pki = Pki::new();
    let (ntp, _) = free_ports();
    let text = format!(
        "[[server]]\nlisten = '127.0.0.1:{ntp}'\n\
         [[source]]\nmode = 'server'\naddress = '127.0.0.1:{ntp}'\n"
    );
    let config = write(&pki, &text);
    let mut daemon = Daemon::start(command(&config).arg("-x"));
    daemon
        .wait_for("source cannot be used: the server says that its own clock is not synchronised");
    let (status, _) = daemon.stop(Signal::SIGTERM);
    assert_eq!(status, Some(0));
}

#[test]
fn sighup_reloads_whole_or_not_at_all() {
    let pki = Pki::new();
    let (ntp, ke) = free_ports();
    let text = full(&pki, ntp, ke);
    let path = write(&pki, &text);
    let log = pki.path("log");
    let with_log = text.replace(
        "[observability]",
        &format!("[observability]\nlog-path = {log:?}"),
    );
    let mut daemon = Daemon::start(command(&path).arg("-x"));
    daemon.wait_for("NTS-KE server listens");

    pki.issue("localhost");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("are reloaded");

    write(&pki, &with_log.replace("listen", "lisen"));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("unknown key; did you mean `listen`?");
    daemon.wait_for("not reloaded: going on with the last good configuration");

    write(
        &pki,
        &text.replace(&format!("127.0.0.1:{ke}"), "127.0.0.1:4460"),
    );
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("address=127.0.0.1:4460");
    daemon.wait_for(&format!("address=127.0.0.1:{ke}"));
    assert_eq!(daemon.stop(Signal::SIGTERM).0, Some(0));
}

#[test]
fn the_log_file_is_reopened_and_its_level_changed() {
    let pki = Pki::new();
    let log = pki.path("log");
    let path = write(&pki, &format!("[observability]\nlog-path = {log:?}\n"));
    let notifications = UnixDatagram::bind(pki.path("notify")).unwrap();
    notifications
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut daemon = Daemon::start(command(&path).env("NOTIFY_SOCKET", pki.path("notify")));
    let next = || {
        let mut buffer = [0; 256];
        let length = notifications.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(next(), "READY=1\n");
    let moved = pki.path("log.1");
    std::fs::rename(&log, &moved).unwrap();
    daemon.signal(Signal::SIGHUP);
    assert!(next().starts_with("RELOADING=1\n"));
    assert_eq!(next(), "READY=1\n");
    assert!(
        std::fs::read_to_string(&moved)
            .unwrap()
            .contains("no sources are configured")
    );
    let reloads = || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.matches("are reloaded").count()
    };
    assert_eq!(reloads(), 1);
    write(
        &pki,
        &format!("[observability]\nlog-path = {log:?}\nlog-level = 'warn'\n"),
    );
    daemon.signal(Signal::SIGHUP);
    assert!(next().starts_with("RELOADING=1\n"));
    assert_eq!(next(), "READY=1\n");
    assert_eq!(reloads(), 1, "that is information, no warning");
    let mut rest = String::new();
    daemon.signal(Signal::SIGTERM);
    daemon.log.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing goes to standard output");
}

#[test]
fn an_exporter_without_a_socket_to_read_says_what_to_do() {
    let pki = Pki::new();
    let path = write(&pki, "[observability]\nlog-level = 'info'\n");
    let exporter = || Command::new(env!("CARGO_BIN_EXE_ntp-metrics-exporter"));
    let output = exporter().arg("-c").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("observation-path is not set"), "{text}");
    let wrong = write(&pki, "[observability]\nlog-level = 'loud'\n");
    let output = exporter().arg("-c").arg(&wrong).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
}
