//! `nts-pool-ke token`: the token that follows from the pool's secret, for a source's operator.
//!
//! It is printed, since its operator has to have it. It goes nowhere else.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use nts_service::config::{Located, Place, Problem, Problems};
use nts_service::diagnosis::show;
use nts_service::exit::ExitCode;

use crate::config::{DEFAULT_PORT, SourceConfig, TokenSecret};

/// Which token is wanted.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The source's id in the list of sources, which is its domain and port if nothing else is said
    #[arg(value_name = "ID")]
    id: String,
    /// The source's domain in that list
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// The file that the pool's configuration names as `token-secret-path`
    #[arg(long, value_name = "FILE")]
    secret_path: PathBuf,
    /// The source's `token-generation`
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    generation: u32,
}

/// Prints the token to `out`, and to `problems` what is wrong with the secret.
pub fn token(arguments: &Arguments, out: &mut dyn Write, problems: &mut dyn Write) -> ExitCode {
    let list = Problems::new();
    let file = Located::new(arguments.secret_path.clone(), Place::file("--secret-path"));
    let secret = TokenSecret::load(file, &list);
    let source = SourceConfig::new(&arguments.domain, DEFAULT_PORT)
        .map_err(|message| list.push(Problem::error(Place::file("DOMAIN"), message)));
    show(&list, problems);
    let (Some(secret), Ok(source)) = (secret, source) else {
        return ExitCode::Usage;
    };
    let text = secret.text(&arguments.id, source.domain(), arguments.generation);
    match writeln!(out, "{}", *text) {
        Ok(()) => ExitCode::Success,
        Err(_) => ExitCode::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(domain: &str, secret: &str) -> (ExitCode, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, secret).unwrap();
        let arguments = Arguments {
            id: "a.test:4460".into(),
            domain: domain.into(),
            secret_path: path,
            generation: 1,
        };
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = token(&arguments, &mut out, &mut problems);
        let text = |octets| String::from_utf8(octets).unwrap();
        (code, text(out), text(problems))
    }

    #[test]
    fn the_token_is_printed_or_what_is_wrong() {
        let (code, out, _) = run("A.test", "0123456789abcdef0123456789abcdef");
        assert_eq!(
            (code, out.as_str()),
            (
                ExitCode::Success,
                "GWqEfiW7lKcc3NUKf7zaBoUwMO7-blzYCGpX4jzahOQ\n"
            )
        );
        let (code, out, problems) = run("a.test", "too short");
        assert_eq!((code, out.as_str()), (ExitCode::Usage, ""));
        assert!(
            problems.contains("has 9 octets, which could be guessed"),
            "{problems}"
        );
        let (code, out, problems) = run("a.test:4460", "0123456789abcdef0123456789abcdef");
        assert_eq!((code, out.as_str()), (ExitCode::Usage, ""));
        assert!(problems.contains("DOMAIN: "), "{problems}");
    }
}
