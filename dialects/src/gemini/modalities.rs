//! Lists of token counts by modality, as far as prices tell modalities apart. They stand in every event of a stream, so no list is
//! built.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::token_count;

/// The counts of one list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Modalities {
    /// Tokens of audio.
    pub(super) audio: u64,
    /// Tokens of images.
    pub(super) images: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModalityCount<'a> {
    #[serde(borrow)]
    modality: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "token_count::read")]
    token_count: Option<u64>,
}

struct Sum;

impl<'de> Visitor<'de> for Sum {
    type Value = Modalities;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of counts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Modalities, A::Error> {
        let mut sum = Modalities::default();
        while let Some(ModalityCount { modality, token_count }) = list.next_element()? {
            let count = token_count.unwrap_or(0);
            match modality.as_deref() {
                Some("AUDIO") => sum.audio = sum.audio.saturating_add(count),
                Some("IMAGE") => sum.images = sum.images.saturating_add(count),
                _ => {}
            }
        }
        Ok(sum)
    }
}

impl<'de> Deserialize<'de> for Modalities {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Sum)
    }
}
