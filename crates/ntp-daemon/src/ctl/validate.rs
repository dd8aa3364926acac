//! `ntp-ctl validate`: reads a configuration file as the daemon would, and prints all problems.

use std::io::Write;
use std::path::Path;

use nts_service::exit::ExitCode;

use crate::config;

/// Checks the file at `path` and all files that it names; prints to `out`.
///
/// Warnings count as problems, notices do not.
pub(super) fn validate(path: &Path, out: &mut impl Write) -> ExitCode {
    let (text, code) = match config::load(path) {
        Ok(loaded) => {
            let mut text = String::new();
            for notice in &loaded.notices {
                text += &format!("note: {notice}\n");
            }
            if loaded.warnings.is_empty() {
                (text + "Config looks good", ExitCode::Success)
            } else {
                (text + &loaded.warnings.to_string(), ExitCode::Failure)
            }
        }
        Err(problems) => (problems.to_string(), ExitCode::Failure),
    };
    // A closed output changes nothing about the result.
    let _ = writeln!(out, "{text}");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(text: &str) -> (String, ExitCode) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ntp.toml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let code = validate(&path, &mut out);
        let out = String::from_utf8(out).unwrap();
        let name = path.display().to_string();
        (out.replace(&name, "ntp.toml"), code)
    }

    #[test]
    fn a_good_file_looks_good() {
        let (out, code) = validated(
            "[[server]]\nlisten = \"127.0.0.1:123\"\n\
             [synchronization]\nlocal-stratum = 1\n",
        );
        assert_eq!(out, "Config looks good\n");
        assert_eq!(code, ExitCode::Success);
    }

    #[test]
    fn all_problems_are_listed_with_file_line_and_key() {
        let (out, code) = validated(
            "[[source]]\nmode = \"server\"\naddress = \"ntp.test\"\ncuont = 3\n\
             [[server]]\nlisten = \"127.0.0.1:0\"\n",
        );
        assert_eq!(code, ExitCode::Failure);
        assert!(out.contains("error: ntp.toml:4: source[1].cuont"), "{out}");
        assert!(out.contains("ntp.toml:6: server[1].listen"), "{out}");
    }

    #[test]
    fn warnings_are_problems_too() {
        let (out, code) = validated("[[source]]\nmode = \"server\"\naddress = \"ntp.test\"\n");
        assert_eq!(code, ExitCode::Failure);
        assert!(out.starts_with("warning: ntp.toml"), "{out}");
    }

    #[test]
    fn a_missing_file_is_a_problem() {
        let mut out = Vec::new();
        let code = validate(Path::new("/nonexistent/ntp.toml"), &mut out);
        assert_eq!(code, ExitCode::Failure);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("/nonexistent/ntp.toml"), "{out}");
    }
}
