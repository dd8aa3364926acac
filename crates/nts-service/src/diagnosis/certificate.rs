//! What is said about a server's certificate: step `certificate`.

use std::time::{Duration, SystemTime};

use super::clock;
use super::handshake::Peer;
use super::report::Step;
use crate::tls::{CertificateFacts, CertificateFault, Presented, date};

const ID: &str = "certificate";

/// A certificate that ends sooner should have been renewed.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// More names than that are not listed.
const MOST_NAMES: usize = 8;

/// A chain that was accepted.
pub(super) fn accepted(presented: &Presented) -> Step {
    let Some(leaf) = presented.chain.first() else {
        return Step::ok(ID, "accepted");
    };
    let end = presented.chain.iter().map(|it| it.not_after).min();
    let end = end.unwrap_or(leaf.not_after);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let text = format!(
        "for {}, issued by {}, {}, good until {} ({})",
        names(leaf),
        leaf.issuer,
        length(presented),
        date(end),
        clock::days(left)
    );
    let step = match left < SOON {
        true => Step::warning(
            ID,
            text,
            "it ends soon: renew it, and see that renewal is automatic and the server takes in \
             the new one",
        ),
        false => Step::ok(ID, text),
    };
    with_facts(step, presented)
}

/// A chain that was refused; `text` is what the handshake said.
pub(super) async fn refused(presented: &Presented, text: &str, peer: &Peer) -> Step {
    let Some((leaf, fault)) = presented.chain.first().zip(presented.fault) else {
        return Step::failed(ID, text, "have its operator make a new certificate");
    };
    let host = peer.host();
    let step = match fault {
        CertificateFault::Name => Step::failed(
            ID,
            format!(
                "the certificate of {} is for {}, not for {host}",
                peer.address(),
                names(leaf)
            ),
            format!(
                "use a name that it is for, or have the certificate made for {host} too \
                 (subjectAltName)"
            ),
        ),
        CertificateFault::Issuer => untrusted(presented, leaf),
        CertificateFault::Dates { otherwise_good } => {
            wrong_dates(presented, leaf, otherwise_good, peer).await
        }
        CertificateFault::Other => Step::failed(
            ID,
            text,
            "have its operator make a certificate for TLS servers from an authority that is \
             trusted",
        ),
    };
    with_facts(step, presented)
}

fn untrusted(presented: &Presented, leaf: &CertificateFacts) -> Step {
    let last = presented.chain.last().unwrap_or(leaf);
    if leaf.subject == leaf.issuer && presented.chain.len() == 1 {
        return Step::failed(
            ID,
            format!(
                "the certificate ({}) was issued by itself, which is not trusted here",
                leaf.subject
            ),
            "on the server, use a certificate of a public authority; or, if this is meant, name \
             its file here with --ca",
        );
    }
    let text = format!(
        "the chain ends with an authority that is not trusted here: {} ({})",
        last.issuer,
        length(presented)
    );
    let advice = if presented.chain.len() == 1 {
        "if this is a public authority: have the server send the whole chain (its certificate \
         first, then each issuer: `fullchain.pem`), not its certificate alone; if it is a private \
         one: name its present file here with --ca"
    } else {
        "if this is a private authority: name its present file here with --ca; if it is a public \
         one: update this machine's package `ca-certificates`"
    };
    Step::failed(ID, text, advice)
}

/// A certificate out of its time: either it or this machine's clock is wrong.
async fn wrong_dates(
    presented: &Presented,
    leaf: &CertificateFacts,
    otherwise_good: bool,
    peer: &Peer,
) -> Step {
    let now = SystemTime::now();
    let late = presented.chain.iter().map(|it| it.not_before).max();
    let early = presented.chain.iter().map(|it| it.not_after).min();
    let (late, early) = (
        late.unwrap_or(leaf.not_before),
        early.unwrap_or(leaf.not_after),
    );
    let otherwise = match otherwise_good {
        true => "; nothing else is wrong with it",
        false => "; that is not all that is wrong with it",
    };
    let (text, ahead) = match now.duration_since(early) {
        Ok(since) => (
            format!(
                "the certificate ended on {}, {} ago",
                date(early),
                clock::days(since)
            ),
            true,
        ),
        Err(_) => {
            let wait = late.duration_since(now).unwrap_or_default();
            (
                format!(
                    "the certificate begins on {}, in {}",
                    date(late),
                    clock::days(wait)
                ),
                false,
            )
        }
    };
    let text = format!(
        "{text}, as this machine's clock says {}{otherwise}",
        date(now)
    );
    let (finding, advice) = clock::suspect(now, ahead, peer.address().ip()).await;
    Step::failed(ID, format!("{text}. {finding}"), advice).with("otherwise_good", otherwise_good)
}

fn with_facts(step: Step, presented: &Presented) -> Step {
    let step = step.with("chain_length", presented.chain.len());
    let Some(leaf) = presented.chain.first() else {
        return step;
    };
    let names: Vec<_> = leaf.names.iter().take(MOST_NAMES).cloned().collect();
    step.with("subject", leaf.subject.as_str())
        .with("issuer", leaf.issuer.as_str())
        .with("names", names)
        .with("not_before", date(leaf.not_before))
        .with("not_after", date(leaf.not_after))
}

fn length(presented: &Presented) -> String {
    match presented.chain.len() {
        1 => "no intermediate certificate".to_owned(),
        2 => "1 intermediate certificate".to_owned(),
        more => format!("{} intermediate certificates", more - 1),
    }
}

fn names(leaf: &CertificateFacts) -> String {
    let shown: Vec<_> = leaf
        .names
        .iter()
        .take(MOST_NAMES)
        .map(String::as_str)
        .collect();
    match leaf.names.len() {
        0 => "no name at all".to_owned(),
        count if count > MOST_NAMES => {
            format!("{} and {} more", shown.join(", "), count - MOST_NAMES)
        }
        _ => shown.join(", "),
    }
}
