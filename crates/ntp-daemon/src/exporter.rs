//! `ntp-metrics-exporter`: an HTTP server that answers each request for metrics with what the
//! daemon's observation socket says at that moment.
//!
//! It is a program of its own, so that whoever may ask for metrics talks to a process that has no
//! keys and no right to anything. What never happens here: remembering a state, or asking the
//! daemon for more than the socket gives everybody.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nts_service::exit::ExitCode;
use nts_service::listener::{self, BindError};
use nts_service::notify;
use nts_service::runtime;
use nts_service::shutdown;
use nts_service::signals::{Signal, Signals};
use nts_service::telemetry::http::{self, Pages};
use nts_service::telemetry::logging::{self, Log};
use tokio::runtime::Handle;

use crate::config::{self, ObservabilityConfig};
use crate::observe::{fetch, prometheus};

/// Runs the exporter of the daemon with the configuration file at `config` until it is told to
/// stop.
#[must_use]
pub fn run(config: &Path) -> ExitCode {
    let observability = match config::load_observability(config) {
        Ok(observability) => observability,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::Config;
        }
    };
    let Some(socket) = observability.observation_path.clone() else {
        eprintln!(
            "error: {}: observability.observation-path is not set, so there is nothing to read the \
             state from; set it and restart ntp-daemon and ntp-metrics-exporter",
            config.display()
        );
        return ExitCode::Failure;
    };
    let log = match logging::init(&log_options(&observability)) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::Config;
        }
    };
    let listen = observability.metrics_exporter_listen;
    match runtime::run(serve(listen, socket, &log)) {
        Ok(Ok(())) => ExitCode::Success,
        Ok(Err(error)) => {
            tracing::error!("{error}");
            ExitCode::Software
        }
        Err(error) => {
            tracing::error!("cannot start the runtime: {error}");
            ExitCode::Software
        }
    }
}

fn log_options(observability: &ObservabilityConfig) -> logging::Options {
    logging::Options {
        level: observability.log_level,
        ansi: observability.ansi_colors,
        path: observability.log_path_metrics_exporter.clone(),
        ..logging::Options::default()
    }
}

#[derive(Debug, thiserror::Error)]
enum ExporterError {
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    #[error("metrics-exporter-listen in [observability]: {0}")]
    Bind(#[from] BindError),
}

async fn serve(listen: SocketAddr, socket: PathBuf, log: &Log) -> Result<(), ExporterError> {
    let mut signals = Signals::listen().map_err(ExporterError::Signals)?;
    let listener = listener::bind(listen)?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, socket = %socket.display(), "metrics are shown");
    }
    let (trigger, shutdown) = shutdown::channel();
    let server = tokio::spawn(http::serve(listener, pages(socket), shutdown));
    notify::ready();
    while signals.next().await == Signal::Reload {
        if let Err(error) = log.reopen() {
            tracing::error!(%error, "cannot reopen the log; going on with the old file");
        }
    }
    notify::stopping();
    trigger.fire();
    if server.await.is_err() {
        tracing::error!("the HTTP server ended by a defect");
    }
    Ok(())
}

/// Reads the socket once for each request. Must be called on a multi-threaded runtime.
fn pages(socket: PathBuf) -> Pages {
    let runtime = Handle::current();
    Pages::new(
        move || match tokio::task::block_in_place(|| runtime.block_on(fetch(&socket))) {
            Ok(state) => Ok(prometheus::render(&state)),
            Err(error) => Err(format!(
                "cannot read the state from {}: {error}; is ntp-daemon running?",
                socket.display()
            )),
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::observe::ObservationSocket;
    use crate::observe::state::tests::example;

    async fn get(address: SocketAddr, path: &str) -> String {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::time::timeout(Duration::from_secs(10), exchange)
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_request_shows_the_state_of_the_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("observe");
        let listener = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = shutdown::channel();
        let server = tokio::spawn(http::serve(listener, pages(path.clone()), shutdown));

        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.ends_with("is ntp-daemon running?\n"), "{answer}");

        let socket = ObservationSocket::bind(&path, 0o600, Arc::new(example)).unwrap();
        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            answer.ends_with(&prometheus::render(&example())),
            "{answer}"
        );

        drop(socket);
        assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 500 "));
        trigger.fire();
        server.await.unwrap();
    }
}
