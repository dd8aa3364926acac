//! What can be loaded on its own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use nts_service::config::{Located, Problems};
use nts_service::tls::{Identity, LiveIdentity, Renewal};

use crate::config::{Config, GeoDatabase, Pair, SourceList};

/// What can be loaded on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The configuration file and all that it names.
    Config,
    /// The list of sources that a registry gives.
    Snapshot,
    /// The list of sources in a file of its own, and files of tokens.
    Sources,
    /// What users see.
    Certificate,
    /// What sources see, if that is something else.
    UpstreamCertificate,
    /// Who vouches for sources.
    Authorities,
    /// Where users are.
    Geo,
}

impl Part {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Config,
        Self::Snapshot,
        Self::Sources,
        Self::Certificate,
        Self::UpstreamCertificate,
        Self::Authorities,
        Self::Geo,
    ];

    /// The name in metrics and logs.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Snapshot => "snapshot",
            Self::Sources => "sources",
            Self::Certificate => "certificate",
            Self::UpstreamCertificate => "upstream_certificate",
            Self::Authorities => "authorities",
            Self::Geo => "geo",
        }
    }

    /// Loads this part anew into `config`, from the files that it names; false after the problem
    /// was reported. The whole configuration is no part that its own text could name, and what a
    /// registry gives stands in no file.
    pub(super) fn load(self, config: &mut Config, problems: &Problems) -> bool {
        // A list is also given when some of its entries are no good.
        self.loaded(config, problems).is_some() && !problems.has_errors()
    }

    fn loaded(self, config: &mut Config, problems: &Problems) -> Option<()> {
        let tls = &mut config.tls;
        match self {
            Self::Config | Self::Snapshot => return None,
            Self::Sources => {
                let list = std::mem::take(&mut config.sources);
                config.sources = match list.file {
                    Some(file) => SourceList::load(file, config.context(), problems)?,
                    None => list.with_tokens_read_again(problems)?,
                };
            }
            Self::Certificate => {
                let files = tls.files.as_ref()?;
                tls.identity = renewed(&tls.identity, &files.front, problems)?;
                if files.upstream.is_none() {
                    tls.upstream_identity = tls.identity.clone();
                }
            }
            Self::UpstreamCertificate => {
                let pair = tls.files.as_ref()?.upstream.as_ref()?;
                tls.upstream_identity = renewed(&tls.upstream_identity, pair, problems)?;
            }
            Self::Authorities => tls.trust = tls.files.as_ref()?.authorities.load(problems)?,
            Self::Geo => {
                let file = config.geo.as_ref()?.file.clone();
                let database = GeoDatabase::load(file, problems);
                database.geo.as_ref()?;
                config.geo = Some(database);
            }
        }
        Some(())
    }
}

/// What the files hold now, if it may take the place of `identity`.
fn renewed(identity: &Identity, pair: &Pair, problems: &Problems) -> Option<Identity> {
    let shown = LiveIdentity::new(identity.clone());
    match shown.renew(&pair.chain, &pair.key, problems) {
        Renewal::Unchanged | Renewal::Renewed => Some(Identity::clone(&shown.current())),
        Renewal::HalfRenewed | Renewal::Refused => None,
    }
}

/// The files that are to be watched, and to what they belong.
fn watched(config: &Config) -> Vec<(PathBuf, Part)> {
    let mut files = Vec::new();
    let mut add = |part, file: &Located<PathBuf>| files.push((file.to_path_buf(), part));
    let tokens = config.sources.sources.iter();
    let tokens = tokens.filter_map(|source| source.auth_token_path.as_ref());
    for file in config.sources.file.iter().chain(tokens) {
        add(Part::Sources, file);
    }
    if let Some(tls) = &config.tls.files {
        let pairs = [
            (Part::Certificate, Some(&tls.front)),
            (Part::UpstreamCertificate, tls.upstream.as_ref()),
        ];
        for (part, pair) in pairs {
            if let Some(pair) = pair {
                add(part, &pair.chain);
                add(part, &pair.key);
            }
        }
        if let Some(file) = &tls.authorities.file {
            add(Part::Authorities, file);
        }
    }
    if let Some(database) = &config.geo {
        add(Part::Geo, &database.file);
    }
    files
}

/// The files that are to be watched.
pub(super) fn files(config: &Config) -> BTreeSet<PathBuf> {
    watched(config).into_iter().map(|(file, _)| file).collect()
}

/// The parts that come from `changed` files.
pub(super) fn affected(config: &Config, changed: &[PathBuf]) -> BTreeSet<Part> {
    let watched = watched(config).into_iter();
    watched
        .filter(|(file, _)| changed.contains(file))
        .map(|(_, part)| part)
        .collect()
}
