//! InvokeModel: Anthropic's words in Bedrock's envelope.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::message;
use crate::fault::{Checked, Fault};
use crate::script::Piece;

/// The body as Anthropic would be sent it.
pub(crate) fn opened(body: &[u8], model: &str, stream: bool) -> Checked<Vec<u8>> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(Fault::new(400, "Malformed input request, please reformat your input and try again."));
    };
    for stranger in ["model", "stream"] {
        if fields.contains_key(stranger) {
            return Err(Fault::new(400, format!("{stranger}: Extra inputs are not permitted")));
        }
    }
    if !fields.remove("anthropic_version").is_some_and(|version| version.is_string()) {
        return Err(Fault::new(400, "anthropic_version: Field required"));
    }
    if fields.remove("anthropic_beta").is_some_and(|betas| !betas.is_array()) {
        return Err(Fault::new(400, "anthropic_beta: Input should be a valid list"));
    }
    fields.insert("model".to_owned(), json!(model));
    fields.insert("stream".to_owned(), json!(stream));
    Ok(Value::Object(fields).to_string().into_bytes())
}

/// Anthropic's events, each in a chunk.
pub(crate) fn chunked(pieces: Vec<Piece>) -> Vec<Piece> {
    let data = |bytes: &Bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.split_once("data: ").map(|(_, data)| data.trim_end().to_owned()).unwrap_or_default()
    };
    let chunk = |piece: Piece| {
        let payload = json!({ "bytes": STANDARD.encode(data(&piece.bytes)), "p": "abcdefghijklmno" });
        Piece { bytes: message::event("chunk", payload.to_string().as_bytes()), token: piece.token }
    };
    pieces.into_iter().map(chunk).collect()
}
