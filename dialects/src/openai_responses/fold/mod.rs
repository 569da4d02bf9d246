//! A streamed answer folded into a whole one, and a whole one told as a stream: the dialect's last event is the whole answer.

use serde_json::value::RawValue;

use super::wire;
use crate::codec::Unfolded;
use crate::fold::FoldEvents;
use crate::hub::{Raw, Usage};
use crate::json::{Object, ROOT, Writer, string};
use crate::sse::Frame;

mod replay;

pub(crate) use replay::replay;

/// Folds one stream.
#[derive(Debug, Default)]
pub(crate) struct ResponsesFold {
    whole: Option<Raw>,
}

impl FoldEvents for ResponsesFold {
    /// Takes the next event; gives how many bytes are held for it.
    ///
    /// # Errors
    /// It is none of the dialect's, or says that the provider failed.
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        let data = frame.data.trim_ascii();
        if self.whole.is_some() || data.is_empty() || data == b"[DONE]" {
            return Ok(0);
        }
        let text = std::str::from_utf8(data).map_err(|_| Unfolded::Malformed)?;
        let mut event = Object::read(text, &ROOT).map_err(|_| Unfolded::Malformed)?;
        match &*event.take("type").and_then(string).ok_or(Unfolded::Malformed)? {
            "error" | "response.failed" => Err(Unfolded::Failed),
            "response.completed" | "response.incomplete" => {
                let whole = event.raw("response").ok_or(Unfolded::Malformed)?;
                let held = whole.get().len();
                self.whole = Some(whole);
                Ok(held)
            }
            _ => Ok(0),
        }
    }

    /// The whole answer; `usage` is what it used, where the stream does not say so.
    ///
    /// # Errors
    /// The stream was cut.
    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let whole = self.whole.ok_or(Unfolded::Cut)?;
        let Some(usage) = usage else { return Ok(whole.get().as_bytes().to_vec()) };
        let object = Object::read(whole.get(), &ROOT).map_err(|_| Unfolded::Malformed)?;
        if object.members().any(|(name, raw)| name == "usage" && raw.get() != "null") {
            return Ok(whole.get().as_bytes().to_vec());
        }
        let mut json = Writer::with_capacity(whole.get().len() + 200);
        json.open(b'{');
        object.members().filter(|(name, _)| *name != "usage").for_each(|(name, raw)| json.raw_field(name, raw));
        json.key("usage");
        wire::write_usage(usage, &mut json);
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

/// True if a whole answer says why it ended.
#[must_use]
pub(crate) fn has_stop_reason(whole: &[u8]) -> bool {
    let object = std::str::from_utf8(whole).ok().and_then(|text| Object::read(text, &ROOT).ok());
    let status = object.and_then(|mut object| object.take("status")).and_then(|raw: &RawValue| string(raw));
    matches!(status.as_deref(), Some("completed" | "incomplete"))
}
