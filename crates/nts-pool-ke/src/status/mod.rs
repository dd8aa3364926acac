//! `nts-pool-ke status`: how the sources of a running pool do, in a table.
//!
//! The pool shows it as JSON at `/status`, beside its metrics; the command fetches and prints it.
//! What never happens here: a secret in the document, or anything that changes the pool.

mod document;
mod fetch;
mod render;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use nts_service::exit::ExitCode;
use nts_service::runtime;

use crate::config;
use crate::sources::Sources;
use document::Document;
use fetch::{Endpoint, fetch};

/// Begins a screen anew.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Which pool to look at, and how.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("pool").required(true).args(["config", "metrics"])))]
pub struct Arguments {
    /// The pool's configuration file, which says where it shows its state
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the pool shows its metrics, instead of the file
    #[arg(long, value_name = "URL")]
    metrics: Option<Endpoint>,
    /// Again and again, every so many seconds
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// Print the pool's JSON document
    #[arg(long)]
    json: bool,
}

/// What the pool shows: the document as JSON.
///
/// # Errors
/// If there can be none, in words.
pub(crate) fn document(sources: &Sources) -> Result<String, String> {
    let document = Document::of(sources);
    let text = serde_json::to_string(&document).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// Prints the state of a pool to `out`; gives 1 if it cannot be had, 78 if the configuration does not
/// say where.
pub fn status(arguments: &Arguments, out: &mut dyn Write, problems: &mut dyn Write) -> ExitCode {
    let endpoint = match endpoint(arguments) {
        Ok(endpoint) => endpoint,
        Err(problem) => {
            let _ = writeln!(problems, "{problem}");
            return ExitCode::Config;
        }
    };
    let shown = runtime::run(async {
        loop {
            let code = show(&endpoint, arguments, out, problems).await;
            match (arguments.watch, code) {
                (Some(seconds), Some(_)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                (_, code) => return code.unwrap_or(ExitCode::Success),
            }
        }
    });
    shown.unwrap_or_else(|error| {
        let _ = writeln!(problems, "error: cannot start: {error}");
        ExitCode::Software
    })
}

/// Once; `None` if nobody reads any more.
async fn show(
    endpoint: &Endpoint,
    arguments: &Arguments,
    out: &mut dyn Write,
    problems: &mut dyn Write,
) -> Option<ExitCode> {
    match fetch(endpoint).await {
        Ok(document) => {
            let text = match arguments.json {
                true => serde_json::to_string(&document).map(|text| text + "\n"),
                false => Ok(render::page(&document)),
            };
            let text = text.unwrap_or_else(|error| format!("{error}\n"));
            let screen = arguments.watch.is_some() && !arguments.json;
            let clear = if screen { CLEAR } else { "" };
            let printed = write!(out, "{clear}{text}").and_then(|()| out.flush());
            printed.is_ok().then_some(ExitCode::Success)
        }
        Err(error) => {
            writeln!(problems, "error: {error}").ok()?;
            Some(ExitCode::Failure)
        }
    }
}

/// Where to ask, or what is missing.
fn endpoint(arguments: &Arguments) -> Result<Endpoint, String> {
    if let Some(endpoint) = &arguments.metrics {
        return Ok(endpoint.clone());
    }
    let path = arguments.config.clone().unwrap_or_default();
    let observability = config::load_observability(&path).map_err(|error| error.to_string())?;
    let address = observability.metrics_exporter_listen.ok_or_else(|| {
        format!(
            "error: {}: `metrics-exporter-listen` is missing in [observability], so this pool shows \
             its state nowhere; add one like \"127.0.0.1:9975\" and restart the pool",
            path.display()
        )
    })?;
    Ok(Endpoint::at(address))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn whoever_does_not_say_which_pool_is_told_both_ways() {
        let parse = |line: &[&str]| Line::try_parse_from([&["status"], line].concat());
        let error = parse(&["--json"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
        let text = error.to_string();
        assert!(text.contains("<--config <FILE>|--metrics <URL>>"), "{text}");
        let metrics = ["--metrics", "http://127.0.0.1:9975"];
        let both = [&metrics[..], &["-c", "pool.toml"]].concat();
        assert_eq!(
            parse(&both).unwrap_err().kind(),
            ErrorKind::ArgumentConflict
        );
        assert!(parse(&metrics).is_ok() && parse(&["-c", "pool.toml"]).is_ok());
    }
}
