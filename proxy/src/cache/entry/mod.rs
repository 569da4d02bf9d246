//! The entry that is kept of an answer, and its compact form in Redis.
//!
//! An entry holds the whole reply in the dialect it was asked for; streams are made from it when one is asked for.
//! The bytes in Redis are read as bytes from a stranger: any other version, size or checksum is a miss, never a panic.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::Usage;
use xxhash_rust::xxh3::xxh3_64;

use crate::compression::{Codec, MAX_PLAIN};

/// The beginning of entries in Redis; the last byte is the version of the encoding.
const MAGIC: [u8; 4] = *b"SGC\x01";
/// Longer names of models are cut: a name is a label here.
const MAX_MODEL: usize = 256;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub u64);

impl Wall {
    /// The time of day; pods must agree on it within a fraction of a lifetime.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time since then; zero for a clock that runs ahead of ours.
    #[must_use]
    pub fn age(self, now: Self) -> Duration {
        Duration::from_millis(now.0.saturating_sub(self.0))
    }
}

/// The facts known of a kept answer, beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The dialect it is in.
    pub dialect: Dialect,
    /// The model that answered, as the provider named it.
    pub model: Box<str>,
    /// Its usage when it was made, where the provider said so.
    pub usage: Option<Usage>,
    /// The time when it was made.
    pub stored_at: Wall,
    /// The time that it is good for, in milliseconds.
    pub ttl: u64,
}

impl Meta {
    /// True if it is still good, under the lifetime it was kept with and the route's present one.
    #[must_use]
    pub fn fresh(&self, now: Wall, ttl: Duration) -> bool {
        let age = self.stored_at.age(now);
        age < Duration::from_millis(self.ttl) && age < ttl
    }
}

/// A kept answer: the whole reply, perhaps compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The facts known of it.
    pub meta: Arc<Meta>,
    /// The reply's JSON, or its compressed form.
    pub body: Bytes,
    /// `Some`: `body` is zstd, and this long when unpacked.
    pub packed: Option<u32>,
}

impl CacheEntry {
    /// Bytes it takes in memory, roughly.
    #[must_use]
    pub fn size(&self) -> u64 {
        let bytes = self.body.len() + self.meta.model.len() + size_of::<Meta>() + size_of::<Self>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The whole reply as JSON; `None`: the compressed bytes are broken.
    #[must_use]
    pub fn whole(&self, codec: &Codec) -> Option<Bytes> {
        match self.packed {
            None => Some(self.body.clone()),
            Some(length) => codec.unpack(&self.body, length),
        }
    }

    /// The reply as it is kept, if that is a zstd frame of the length it says: nobody here looks into it again.
    #[must_use]
    pub fn zstd(&self) -> Option<Bytes> {
        let length = u64::from(self.packed?);
        let said = zstd::zstd_safe::get_frame_content_size(&self.body).ok()??;
        (said == length).then(|| self.body.clone())
    }

    /// The reply as the bytes of a stream in its dialect; `None`: a stream has no words for something in it.
    #[must_use]
    pub fn stream(&self, codec: &Codec, include_usage: bool) -> Option<Bytes> {
        let mut told = self.meta.dialect.stream_of_whole(&self.whole(codec)?, include_usage)?;
        // It is kept: without the room it did not need.
        told.shrink_to_fit();
        Some(Bytes::from(told))
    }

    /// The form it has in Redis.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { meta, body, packed } = self;
        let Meta { dialect, model, usage, stored_at, ttl } = &**meta;
        let model = model.as_bytes().get(..MAX_MODEL).unwrap_or(model.as_bytes());
        let mut out = Vec::with_capacity(body.len() + model.len() + 96);
        out.extend_from_slice(&MAGIC);
        out.push(dialect.code());
        out.extend_from_slice(&stored_at.0.to_le_bytes());
        out.extend_from_slice(&ttl.to_le_bytes());
        out.push(u8::from(usage.is_some()));
        // What it cost was counted when it was made, and the rest matters to the cost alone.
        let Usage { input, cached_input, cache_write, output, reasoning, .. } = usage.unwrap_or_default();
        for count in [input, cached_input, cache_write, output, reasoning] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&u16::try_from(model.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(model);
        // Zero stands for "not compressed": nothing compressed is empty.
        out.extend_from_slice(&packed.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
        out
    }

    /// Reads the form it has in Redis; `None` for anything that `encode` did not write. The body is not copied.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let (told, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        if xxh3_64(told).to_le_bytes() != sum {
            return None;
        }
        let mut rest = Reader(told);
        if rest.array::<4>()? != MAGIC {
            return None;
        }
        let [code] = rest.array()?;
        let dialect = Dialect::of_code(code)?;
        let stored_at = Wall(rest.number()?);
        let ttl = rest.number()?;
        let [told_usage] = rest.array()?;
        let usage = Usage {
            input: rest.number()?,
            cached_input: rest.number()?,
            cache_write: rest.number()?,
            output: rest.number()?,
            reasoning: rest.number()?,
            ..Usage::default()
        };
        let usage = Some(usage).filter(|_| told_usage == 1);
        let length = usize::from(u16::from_le_bytes(rest.array()?));
        let model = String::from_utf8_lossy(rest.take(length)?).into_owned().into_boxed_str();
        let packed = Some(u32::from_le_bytes(rest.array()?)).filter(|length| *length > 0);
        if packed.is_some_and(|length| usize::try_from(length).is_ok_and(|l| l > MAX_PLAIN)) {
            return None;
        }
        let meta = Arc::new(Meta { dialect, model, usage, stored_at, ttl });
        Some(Self { meta, body: bytes.slice_ref(rest.0), packed })
    }
}

/// The bytes that are left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
