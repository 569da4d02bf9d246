//! Requests: Anthropic's, taken out of Bedrock's envelope and put into it.

use bytes::Bytes;

use crate::anthropic_messages;
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::hub::Call;
use crate::spoke::PartPath;
use crate::verbatim::{Envelope, Enveloped, rewrap};

const BETAS: &str = "anthropic-beta";

/// Reads what a caller sent. The path says the model and whether the answer streams.
pub(super) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    anthropic_messages::request::decode(&plain(body))
}

/// The same for a call whose tokens are to be counted.
pub(super) fn decode_counted(body: &[u8]) -> Result<Call, Refusal> {
    anthropic_messages::request::decode_counted(&plain(body))
}

/// Writes what a provider is sent. Betas stand in the body.
pub(super) fn encode(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    let Encoded { body, dropped, headers, clamped } =
        anthropic_messages::request::encode_for(call, profile, path, true)?;
    let betas = headers.iter().filter(|(name, _)| name == BETAS).flat_map(|(_, line)| line.split(','));
    let betas: Vec<String> = betas.map(|beta| beta.trim().to_owned()).collect();
    let said = Enveloped { model: &call.model, stream: call.stream, betas: &betas };
    let body = rewrap(&Bytes::from(body), (Envelope::Plain, Envelope::Bedrock), said);
    Ok(Encoded { body: body.into(), dropped, headers: Vec::new(), clamped })
}

fn plain(body: &[u8]) -> Bytes {
    // Whoever reads the call knows its model from the path.
    let said = Enveloped { model: "in-the-path", stream: false, betas: &[] };
    rewrap(&Bytes::copy_from_slice(body), (Envelope::Bedrock, Envelope::Plain), said)
}
