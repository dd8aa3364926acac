//! `nts-pool-ke probe`: acts as a pool towards one time source, and says step by step whether that
//! source can serve a pool, and what its operator has to do if not.
//!
//! | file | job |
//! | --- | --- |
//! | `asking` | the pool's requests, each with a limit of time |
//! | `authorization` | whether the source takes us for a pool, under which record numbers |
//! | `support` | protocols, algorithms, names |
//! | `fixed_keys` | cookies for keys, kept connections, where users are sent |
//! | `strangers` | whether it takes everybody for a pool |
//! | `explain` | what a failure means, and what to do about it |
//!
//! The keys are made up for the probe and thrown away. What never happens here: a user's key, the
//! configuration of a pool, or a running pool.

mod asking;
mod authorization;
mod explain;
mod fixed_keys;
mod strangers;
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::config::{Address, Located, Place, Problems};
use nts_service::diagnosis::{
    self, Approached, Keys, Peer, Purpose, Report, approach, check_cookies, check_time,
    find_time_server, show,
};
use nts_service::exit::ExitCode;
use nts_service::tls::{Identity, TrustAnchors, TrustMode};

use crate::config::{DEFAULT_PORT, token_in};
use asking::Asker;

/// Which source to look at, and as whom.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The time source's key exchange server; the usual port is 4460
    #[arg(value_name = "HOST[:PORT]")]
    source: Address,
    /// The file with the token by which the source knows the pool
    #[arg(long, value_name = "FILE")]
    token_path: Option<PathBuf>,
    /// The certificate by which the source knows the pool (PEM)
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// Trust the certificate authorities in this PEM file, and not those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,
}

/// Who we are to the source, and whom we trust.
struct Means {
    token: Option<AuthenticationToken>,
    identity: Option<Identity>,
    trust: TrustAnchors,
}

/// Runs the probe, prints what is found to `out`, and gives 0 if no step failed, 1 if one did, 2 if
/// the arguments are of no use.
pub fn probe(arguments: &Arguments, out: &mut dyn Write, problems: &mut dyn Write) -> ExitCode {
    let Some(means) = Means::load(arguments, problems) else {
        return ExitCode::Usage;
    };
    let purpose = Purpose {
        target: diagnosis::target(&arguments.source, DEFAULT_PORT),
        role: "as an NTS pool looks at a time source",
        good: "can serve this pool",
        bad: "cannot serve this pool as it should",
    };
    diagnosis::run(&purpose, arguments.json, out, problems, async |report| {
        let _ = look(report, &arguments.source, &means).await;
    })
}

/// All steps, one after the other; `None` where one failed and nothing can follow.
async fn look(report: &mut Report<'_>, source: &Address, means: &Means) -> Option<()> {
    let Means {
        token,
        identity,
        trust,
    } = means;
    let identity = identity.as_ref();
    let approached = approach(report, source, DEFAULT_PORT, trust, identity).await?;
    let Approached { peer, session } = approached;
    let address = peer.address();
    let asker = Asker::new(&peer, token.as_ref(), identity.is_some());
    let admitted = authorization::check(report, &asker, session).await?;
    support::check(report, &asker, &admitted).await;
    if asker.has_credentials() {
        let stranger = Peer::new(source.host(), address, trust, None);
        strangers::check(report, &stranger).await;
    }
    let obtained = fixed_keys::check(report, &asker, admitted).await?;
    check_cookies(report, &obtained.cookies);
    let (server, port) = (Some(&obtained.server), obtained.port);
    let addresses = find_time_server(report, server, port, address.ip()).await?;
    let keys = Keys {
        algorithm: obtained.algorithm,
        keys: &obtained.keys,
        cookies: &obtained.cookies,
    };
    check_time(report, &addresses, &keys).await;
    Some(())
}

impl Means {
    /// Reads the files; `None` after the problems were printed.
    fn load(arguments: &Arguments, problems: &mut dyn Write) -> Option<Self> {
        let list = Problems::new();
        let file = |path: &Path, option: &str| Located::new(path.to_owned(), Place::file(option));
        let token = arguments.token_path.as_deref();
        let token = token.map(|path| token_in(&file(path, "--token-path"), &list));
        let pair = arguments.certificate.as_deref();
        let pair = pair.zip(arguments.private_key.as_deref());
        let identity = pair.map(|(chain, key)| {
            let (chain, key) = (file(chain, "--certificate"), file(key, "--private-key"));
            Identity::load(&chain, &key, &list)
        });
        show(&list, problems);
        let trust = diagnosis::trust(TrustMode::Only, arguments.ca.as_deref(), problems);
        // What was given and is of no use is not left out in silence.
        let (token, identity) = (transpose(token)?, transpose(identity)?);
        Some(Self {
            token,
            identity,
            trust: trust?,
        })
    }
}

/// `None` if something was given and is of no use.
fn transpose<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}
