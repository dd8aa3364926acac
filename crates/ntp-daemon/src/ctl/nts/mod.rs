//! `ntp-ctl nts`: looks at an NTS server or pool as an ordinary user would use it, and says where it
//! fails and what to do.
//!
//! What never happens here: reading the daemon's configuration, asking it, or touching the clock.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use nts_service::config::Address;
use nts_service::diagnosis::{
    self, Approached, Keys, Purpose, Report, approach, check_cookies, check_time, exchange_keys,
    find_time_server,
};
use nts_service::exit::ExitCode;
use nts_service::tls::{TrustAnchors, TrustMode};

/// TCP port of NTS-KE (RFC 8915 §7.1).
const KE_PORT: u16 = 4460;

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server or pool; the usual port is 4460
    #[arg(value_name = "HOST[:PORT]")]
    server: Address,
    /// Trust the certificate authorities in this PEM file, besides those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,
}

/// Prints what is found to `out`.
pub(super) fn nts(
    arguments: &Arguments,
    out: &mut dyn Write,
    problems: &mut dyn Write,
) -> ExitCode {
    let Some(trust) = diagnosis::trust(TrustMode::SystemAndFile, arguments.ca.as_deref(), problems)
    else {
        return ExitCode::Usage;
    };
    let purpose = Purpose {
        target: diagnosis::target(&arguments.server, KE_PORT),
        role: "as a user of NTS",
        good: "gives authenticated time",
        bad: "does not give authenticated time as it should",
    };
    diagnosis::run(&purpose, arguments.json, out, problems, async |report| {
        let _ = look(report, &arguments.server, &trust).await;
    })
}

/// All steps, one after the other; `None` where one failed and nothing can follow.
async fn look(report: &mut Report<'_>, server: &Address, trust: &TrustAnchors) -> Option<()> {
    let Approached { peer, session } = approach(report, server, KE_PORT, trust, None).await?;
    let exchanged = exchange_keys(report, "key-exchange", session).await?;
    check_cookies(report, &exchanged.cookies);
    let server = exchanged.server.as_ref();
    let addresses = find_time_server(report, server, exchanged.port, peer.address().ip()).await?;
    let keys = Keys {
        algorithm: exchanged.algorithm,
        keys: &exchanged.keys,
        cookies: &exchanged.cookies,
    };
    check_time(report, &addresses, &keys).await;
    Some(())
}
