//! Certificates, keys and authorities.

use std::path::PathBuf;

use nts_service::config::{Located, Place, Problems, Section};
use nts_service::tls::{Identity, TrustAnchors, TrustMode};

/// Whom the pool trusts, and what it shows of itself.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// What users see.
    pub identity: Identity,
    /// What sources see, if they ask.
    pub upstream_identity: Identity,
    /// Who vouches for sources.
    pub trust: TrustAnchors,
    /// Where all that was read from, if it was.
    pub files: Option<TlsFiles>,
}

/// The files behind a [`TlsConfig`].
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// What users see.
    pub front: Pair,
    /// What sources see, if that is something else.
    pub upstream: Option<Pair>,
    /// Who vouches for sources.
    pub authorities: Authorities,
}

/// A file with a chain and one with its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The chain.
    pub chain: Located<PathBuf>,
    /// The key.
    pub key: Located<PathBuf>,
}

/// Where authorities come from.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// How the file and the system's authorities go together.
    pub mode: Located<TrustMode>,
    /// The file, if one is read.
    pub file: Option<Located<PathBuf>>,
}

impl TlsFiles {
    /// What sources see.
    pub fn upstream(&self) -> &Pair {
        self.upstream.as_ref().unwrap_or(&self.front)
    }
}

impl Pair {
    /// Reads both files; `None` after the problems were reported.
    pub fn load(&self, problems: &Problems) -> Option<Identity> {
        Identity::load(&self.chain, &self.key, problems)
    }
}

impl Authorities {
    /// Reads them; `None` after the problems were reported.
    pub fn load(&self, problems: &Problems) -> Option<TrustAnchors> {
        TrustAnchors::load(*self.mode, self.file.as_ref(), self.mode.place(), problems)
    }
}

/// Reads all of it. `None` after a problem was reported.
pub(super) fn read(server: &Section<'_>) -> Option<TlsConfig> {
    let problems = server.problems();
    let front = pair_of(server, "certificate-chain-path", "private-key-path");
    let upstream = read_upstream(server);
    let authorities = read_authorities(server);
    let identity = front.as_ref().and_then(|pair| pair.load(problems));
    let upstream_identity = match &upstream {
        Upstream::Same => identity.clone(),
        Upstream::Other(pair) => pair.load(problems),
        Upstream::Bad => None,
    };
    let trust = authorities.as_ref().and_then(|it| it.load(problems));
    Some(TlsConfig {
        identity: identity?,
        upstream_identity: upstream_identity?,
        trust: trust?,
        files: Some(TlsFiles {
            front: front?,
            upstream: match upstream {
                Upstream::Other(pair) => Some(pair),
                Upstream::Same | Upstream::Bad => None,
            },
            authorities: authorities?,
        }),
    })
}

/// What sources see.
enum Upstream {
    /// The same as users.
    Same,
    Other(Pair),
    /// A problem was reported.
    Bad,
}

fn read_upstream(server: &Section<'_>) -> Upstream {
    const CHAIN: &str = "upstream-certificate-chain-path";
    const KEY: &str = "upstream-private-key-path";
    let half = |there, missing| {
        let message = format!("does nothing without `{missing}`; write both or none");
        server.refuse(there, message);
        Upstream::Bad
    };
    match (server.has(CHAIN), server.has(KEY)) {
        (true, true) => pair_of(server, CHAIN, KEY).map_or(Upstream::Bad, Upstream::Other),
        (false, false) => Upstream::Same,
        (true, false) => half(CHAIN, KEY),
        (false, true) => half(KEY, CHAIN),
    }
}

/// The two files that these keys name; `None` after a problem was reported.
fn pair_of(server: &Section<'_>, chain: &'static str, key: &'static str) -> Option<Pair> {
    let chain = server.required_path(chain);
    let key = server.required_path(key);
    Some(Pair {
        chain: chain?,
        key: key?,
    })
}

fn read_authorities(server: &Section<'_>) -> Option<Authorities> {
    const MODE: &str = "certificate-authority-mode";
    const FILE: &str = "certificate-authority-path";
    let mode: TrustMode = server.or(MODE, TrustMode::default());
    let file = match mode {
        TrustMode::System => {
            server.refuse(
                FILE,
                "not read with `certificate-authority-mode = \"system\"`; take it out, or write \
                 \"system-and-file\"",
            );
            None
        }
        TrustMode::Only | TrustMode::SystemAndFile => Some(server.required_path(FILE)?),
    };
    let place: Place = server.place(MODE);
    Some(Authorities {
        mode: Located::new(mode, place),
        file,
    })
}
