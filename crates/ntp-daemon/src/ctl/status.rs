//! `ntp-ctl status`: fetches the state of the running daemon from its observation socket.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nts_service::exit::ExitCode;

use super::{Format, plain};
use crate::config;
use crate::observe::state::ObservableState;
use crate::observe::{self, READ_LIMIT, prometheus};

/// Where the socket is when the configuration does not say.
const DEFAULT_SOCKET: &str = "/var/run/ntpd-rs/observe";

/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Prints the state to `out`, problems to `problems`.
pub(super) fn status(
    config: &Path,
    format: Format,
    out: &mut impl Write,
    problems: &mut impl Write,
) -> ExitCode {
    let place = Place::of(config, problems);
    match place.print_once(format, out) {
        Ok(()) => ExitCode::Success,
        // The reader has seen enough, as `| head` does.
        Err(Failure::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::Success
        }
        Err(failure) => {
            let _ = writeln!(problems, "{failure}");
            ExitCode::Failure
        }
    }
}

/// Prints the state again and again, for as long as `pause` says so and anybody reads it. A daemon
/// that cannot be reached may come back. A page for people is on a screen of its own if `clear`.
pub(super) fn watch(
    config: &Path,
    format: Format,
    clear: bool,
    out: &mut impl Write,
    problems: &mut impl Write,
    mut pause: impl FnMut() -> bool,
) -> ExitCode {
    let place = Place::of(config, problems);
    let format = match format {
        // One line for each state, for programs that read line by line.
        Format::Json => Format::JsonLine,
        format => format,
    };
    loop {
        let cleared = match clear && format == Format::Plain {
            true => out.write_all(CLEAR.as_bytes()),
            false => Ok(()),
        };
        match cleared
            .map_err(Failure::Print)
            .and_then(|()| place.print_once(format, out))
        {
            Ok(()) => {}
            Err(Failure::Print(_)) => return ExitCode::Success,
            Err(failure) => {
                let _ = writeln!(problems, "{failure}");
            }
        }
        if !pause() {
            return ExitCode::Success;
        }
    }
}

/// Where the state is to be had.
struct Place<'c> {
    config: &'c Path,
    socket: PathBuf,
    /// The configuration names the socket, or cannot be read.
    configured: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Fetch(String),
    #[error("error: cannot print the status: {0}")]
    Print(#[source] io::Error),
}

impl<'c> Place<'c> {
    fn of(config: &'c Path, problems: &mut impl Write) -> Self {
        let (socket, configured) = match config::load_observability(config) {
            Ok(observability) => {
                let configured = observability.observation_path;
                let known = configured.is_some();
                (configured.unwrap_or_else(|| DEFAULT_SOCKET.into()), known)
            }
            Err(errors) => {
                let _ = writeln!(problems, "{errors}\nusing the default socket instead");
                (PathBuf::from(DEFAULT_SOCKET), true)
            }
        };
        Self {
            config,
            socket,
            configured,
        }
    }

    fn print_once(&self, format: Format, out: &mut impl Write) -> Result<(), Failure> {
        let state = fetch(&self.socket).map_err(|error| {
            let text = explain(&self.socket, self.configured, self.config, &error);
            Failure::Fetch(text)
        })?;
        print(&state, format, out).map_err(Failure::Print)
    }
}

fn print(state: &ObservableState, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Plain => out.write_all(plain::render(state).as_bytes()),
        Format::Prometheus => out.write_all(prometheus::render(state).as_bytes()),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, state)?;
            writeln!(out)
        }
        Format::JsonLine => {
            serde_json::to_writer(&mut *out, state)?;
            writeln!(out)
        }
    }?;
    out.flush()
}

/// Waits for the document of the daemon.
pub(super) fn fetch(path: &Path) -> io::Result<ObservableState> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(observe::fetch(path))
}

/// What went wrong and what to do about it.
fn explain(path: &Path, configured: bool, config: &Path, error: &io::Error) -> String {
    let (path, config) = (path.display(), config.display());
    let cure = match error.kind() {
        io::ErrorKind::NotFound if !configured => format!(
            "{config} sets no observation-path, and there is no socket at the default place; \
             set `observation-path` in [observability] and restart ntp-daemon"
        ),
        io::ErrorKind::NotFound => {
            "there is no such file; is ntp-daemon running with this configuration?".into()
        }
        io::ErrorKind::ConnectionRefused => {
            "no program listens there any more; start ntp-daemon again".into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as another user or widen `observation-permissions` in \
             [observability]"
                .into()
        }
        io::ErrorKind::TimedOut => {
            format!(
                "no answer within {} s; is ntp-daemon stopped?",
                READ_LIMIT.as_secs()
            )
        }
        io::ErrorKind::InvalidData => {
            format!("{error}; do ntp-ctl and ntp-daemon have the same version?")
        }
        _ => error.to_string(),
    };
    format!("error: cannot reach ntp-daemon at its observation socket {path}: {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::ObservationSocket;
    use crate::observe::state::tests::example;
    use std::sync::Arc;

    /// A directory with a configuration that names a socket in it.
    fn configuration() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("observe");
        let config = directory.path().join("ntp.toml");
        let text = format!(
            "[observability]\nobservation-path = \"{}\"\n",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        (directory, config, socket)
    }

    fn run(config: &Path, format: Format) -> (ExitCode, String, String) {
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = status(config, format, &mut out, &mut problems);
        let text = |octets| String::from_utf8(octets).unwrap();
        (code, text(out), text(problems))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn prints_what_the_daemon_tells() {
        let (_directory, config, path) = configuration();
        let _socket = ObservationSocket::bind(&path, 0o600, Arc::new(example)).unwrap();
        let (code, out, problems) = tokio::task::spawn_blocking(move || run(&config, Format::Json))
            .await
            .unwrap();
        assert_eq!((code, problems.as_str()), (ExitCode::Success, ""));
        assert_eq!(
            serde_json::from_str::<ObservableState>(&out).unwrap(),
            example()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn watching_goes_on_while_the_daemon_is_away() {
        let (_directory, config, path) = configuration();
        let (out, problems) = tokio::task::spawn_blocking(move || {
            let (mut out, mut problems) = (Vec::new(), Vec::new());
            let (mut socket, mut rounds) = (None, 0);
            let runtime = tokio::runtime::Handle::current();
            let pause = || {
                let _guard = runtime.enter();
                rounds += 1;
                socket = (rounds < 3)
                    .then(|| ObservationSocket::bind(&path, 0o600, Arc::new(example)).unwrap());
                rounds < 4
            };
            let code = watch(&config, Format::Plain, true, &mut out, &mut problems, pause);
            assert_eq!(code, ExitCode::Success);
            drop(socket);
            (
                String::from_utf8(out).unwrap(),
                String::from_utf8(problems).unwrap(),
            )
        })
        .await
        .unwrap();
        assert_eq!(out.matches(CLEAR).count(), 4);
        assert_eq!(out.matches("Synchronised, stratum 2").count(), 2);
        assert_eq!(problems.matches("cannot reach ntp-daemon").count(), 2);
    }

    #[test]
    fn a_daemon_that_does_not_run() {
        let (_directory, config, socket) = configuration();
        let (code, out, problems) = run(&config, Format::Plain);
        assert_eq!((code, out.as_str()), (ExitCode::Failure, ""));
        assert_eq!(
            problems,
            format!(
                "error: cannot reach ntp-daemon at its observation socket {}: there is no such \
                 file; is ntp-daemon running with this configuration?\n",
                socket.display()
            )
        );
    }

    #[test]
    fn a_socket_that_a_dead_daemon_left() {
        let (_directory, config, socket) = configuration();
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let (code, _, problems) = run(&config, Format::Plain);
        assert_eq!(code, ExitCode::Failure);
        assert!(
            problems.ends_with("no program listens there any more; start ntp-daemon again\n"),
            "{problems}"
        );
    }
}
