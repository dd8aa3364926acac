//! What both commands take: a host with its port, and whom to trust.

use std::io::Write;
use std::path::Path;

use crate::config::{Address, Located, Place, Problems};
use crate::tls::{TrustAnchors, TrustMode};

/// Host and port, as one would write them.
pub fn target(address: &Address, default_port: u16) -> String {
    let port = address.port_or(default_port);
    match address.host().ip() {
        Some(ip) => std::net::SocketAddr::new(ip, port).to_string(),
        None => format!("{}:{port}", address.host()),
    }
}

/// The authorities in the file, with or without those of the system as `mode` says; without a file
/// those of the system. `None` after the problems were printed.
pub fn trust(
    mode: TrustMode,
    file: Option<&Path>,
    problems: &mut dyn Write,
) -> Option<TrustAnchors> {
    let place = Place::file("--ca");
    let list = Problems::default();
    let trust = match file {
        Some(path) => {
            let file = Located::new(path.to_owned(), place.clone());
            TrustAnchors::load(mode, Some(&file), &place, &list)
        }
        None => TrustAnchors::load(TrustMode::System, None, &place, &list),
    };
    show(&list, problems);
    trust
}

/// Prints what is wrong with the arguments.
pub fn show(list: &Problems, problems: &mut dyn Write) {
    if !list.is_empty() {
        let _ = writeln!(problems, "{list}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_a_port_and_brackets_where_needed() {
        for (written, shown) in [
            ("a.test", "a.test:4460"),
            ("a.test:1", "a.test:1"),
            ("2001:db8::1", "[2001:db8::1]:4460"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("192.0.2.1", "192.0.2.1:4460"),
        ] {
            assert_eq!(target(&written.parse().unwrap(), 4460), shown);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let mut problems = Vec::new();
        let path = Path::new("/nowhere/ca.pem");
        assert!(trust(TrustMode::Only, Some(path), &mut problems).is_none());
        assert_eq!(
            String::from_utf8(problems).unwrap(),
            "error: --ca: there is no file `/nowhere/ca.pem`; correct the path\n"
        );
    }
}
