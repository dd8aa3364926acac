//! What the source says about itself: steps `algorithms` and `names`.

use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::ke::negotiation::Capabilities;
use nts_service::diagnosis::{Report, Step};

use super::asking::Asker;
use super::authorization::Admitted;
use super::explain;

/// Looks at what the source supports, and asks for the names of its time servers.
pub(super) async fn check(report: &mut Report<'_>, asker: &Asker<'_>, admitted: &Admitted) {
    report.add(algorithms(&admitted.capabilities));
    report.add(names(asker, admitted).await);
}

fn algorithms(capabilities: &Capabilities) -> Step {
    const ID: &str = "algorithms";
    let known = capabilities.algorithms();
    let list: Vec<_> = known
        .iter()
        .map(|(algorithm, length)| format!("{algorithm} with keys of {length} octets"))
        .collect();
    let codes: Vec<_> = known
        .iter()
        .map(|(algorithm, _)| algorithm.code())
        .collect();
    let step = if !capabilities.has_protocol(ProtocolId::Ntpv4) {
        Step::failed(
            ID,
            "the source does not support NTPv4, which is all that users ask for",
            "switch NTPv4 on in the source's software",
        )
    } else if capabilities
        .key_length(AeadAlgorithm::AesSivCmac256)
        .is_none()
    {
        Step::failed(
            ID,
            format!(
                "AEAD algorithm 15 is not among what the source supports: {}",
                list.join(", ")
            ),
            "every server must support it (RFC 8915 §5.1), and many users know no other: switch it \
             on in the source's software",
        )
    } else if let [(algorithm, length), ..] = capabilities.unusable() {
        Step::warning(
            ID,
            format!(
                "NTPv4; {}; and {algorithm} with keys of {length} octets, which cannot be",
                list.join(", ")
            ),
            "no user gets that algorithm: have the source's software corrected",
        )
    } else {
        Step::ok(ID, format!("NTPv4; {}", list.join(", ")))
    };
    step.with("algorithms", codes)
}

async fn names(asker: &Asker<'_>, admitted: &Admitted) -> Step {
    const ID: &str = "names";
    match asker.names(admitted.phrasing).await {
        Ok(names) if names.is_empty() => Step::ok(
            ID,
            "the source lists no names of time servers; it needs to only if it sends users to \
             several",
        ),
        Ok(names) => {
            let list: Vec<_> = names.iter().map(|name| name.as_str().to_owned()).collect();
            let text = format!("users may be sent to {}", list.join(", "));
            Step::ok(ID, text).with("names", list)
        }
        Err(fault) => explain::warning(ID, "the question for its names was not answered", &fault),
    }
}
