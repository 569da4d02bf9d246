//! Requests made smaller on their way to a provider whose pool says that it reads that; and what is learnt where it does not.

use std::time::Instant;

use http::StatusCode;

use crate::account::LedgerEntry;
use crate::endpoint::TakesCompressed;
use crate::state::Provider;
use crate::upstream::{SendError, Sent};

use super::compress;
use super::inbound::InboundCall;
use super::outgoing::{Outgoing, REQUEST_CODING};

/// True if a request of so many bytes goes out compressed.
pub(super) fn is_wanted(provider: &Provider, length: usize, now: Instant) -> bool {
    provider.compress_over.is_some_and(|over| length > over)
        && provider.endpoint.takes_compressed(now) != TakesCompressed::No
}

/// Sends the request compressed, and once more as it was where it is refused for that.
pub(super) async fn send(
    call: &InboundCall,
    provider: &Provider,
    outgoing: &mut Outgoing,
    send: impl AsyncFn(&Outgoing) -> Result<Sent, SendError>,
) -> Result<Sent, SendError> {
    make_smaller(call, outgoing).await;
    let sent = send(outgoing).await?;
    let (endpoint, status) = (&provider.endpoint, sent.response.status());
    if !outgoing.is_compressed() {
        return Ok(sent);
    }
    if status.is_success() {
        endpoint.took_compressed();
    }
    if !may_be_about_it(status, endpoint.takes_compressed(Instant::now())) {
        return Ok(sent);
    }
    drop(sent);
    outgoing.unpack();
    call.context.note(LedgerEntry::resent);
    let again = send(outgoing).await?;
    if may_be_about_it(again.response.status(), TakesCompressed::Unknown) {
        return Ok(again);
    }
    if endpoint.refused_compressed(Instant::now()) {
        let (provider, address) = (&provider.name, &provider.address);
        let why = "requests go out uncompressed for ten minutes: it reads no others (connection.compressRequestsOver)";
        tracing::warn!(provider, %address, "{why}");
    }
    Ok(again)
}

/// Makes it smaller, where that is possible and there is memory for it.
async fn make_smaller(call: &InboundCall, outgoing: &mut Outgoing) {
    if call.charge_copies(1).is_err() {
        return;
    }
    let codec = call.context.worker.cache.codec();
    if let Some(body) = compress::text(codec, REQUEST_CODING, outgoing.body()).await {
        outgoing.compress(body);
    }
}

/// True if an answer may say that the coding is not read. A server that knows nothing of codings takes what it is sent for broken
/// JSON.
const fn may_be_about_it(status: StatusCode, known: TakesCompressed) -> bool {
    match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => true,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => matches!(known, TakesCompressed::Unknown),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_read_one_means_the_call_by_a_400_and_the_coding_by_a_415() {
        use TakesCompressed::{Unknown, Yes};
        for (status, known, about) in [
            (400, Unknown, true),
            (400, Yes, false),
            (422, Unknown, true),
            (415, Yes, true),
            (429, Unknown, false),
            (500, Unknown, false),
        ] {
            assert_eq!(may_be_about_it(StatusCode::from_u16(status).unwrap(), known), about, "{status}");
        }
    }
}
