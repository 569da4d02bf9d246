//! Compressors whose contexts are used again, one set per worker; and one of its own for an answer that takes a while.

use std::cell::RefCell;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::answer_coding::AnswerCoding;

/// Nothing is unpacked to more than this, whatever its header says.
pub const MAX_PLAIN: usize = 64 * 1024 * 1024;
/// zstd's fastest regular level: 4 µs for 9 kB.
const ZSTD_LEVEL: i32 = 1;
/// The head of a gzip stream without a name or a time, made by the fastest algorithm, on any system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
const GZIP_TAIL: usize = 8;

/// Compression with contexts that are used again; one per worker.
#[derive(Default)]
pub struct Codec {
    packer: RefCell<Option<zstd::bulk::Compressor<'static>>>,
    unpacker: RefCell<Option<zstd::bulk::Decompressor<'static>>>,
    deflater: RefCell<Option<Compress>>,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec")
    }
}

impl Codec {
    /// Compresses what is longer than `over`, where that makes it smaller; gives the bytes to keep and, when they are
    /// compressed, the length they had.
    #[must_use]
    pub fn pack(&self, whole: &Bytes, over: Option<u64>) -> (Bytes, Option<u32>) {
        // A copy: the answer may be a slice of a larger buffer that it would keep alive uncounted.
        let plain = || (Bytes::copy_from_slice(whole), None);
        let length = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        if whole.len() > MAX_PLAIN || over.is_none_or(|over| length <= over) {
            return plain();
        }
        match (self.zstd(whole), u32::try_from(whole.len())) {
            (Some(packed), Ok(length)) => (packed, Some(length)),
            _ => plain(),
        }
    }

    /// The text that was packed; `None`: it is broken, or of another length.
    #[must_use]
    pub fn unpack(&self, packed: &[u8], length: u32) -> Option<Bytes> {
        let length = usize::try_from(length).ok().filter(|l| *l <= MAX_PLAIN)?;
        let mut unpacker = self.unpacker.borrow_mut();
        if unpacker.is_none() {
            *unpacker = zstd::bulk::Decompressor::new().ok();
        }
        let plain = unpacker.as_mut()?.decompress(packed, length).ok()?;
        (plain.len() == length).then(|| Bytes::from(plain))
    }

    /// The bytes compressed at once; `None`: that makes them no smaller.
    #[must_use]
    pub fn compress(&self, coding: AnswerCoding, plain: &[u8]) -> Option<Bytes> {
        match coding {
            AnswerCoding::Zstd => self.zstd(plain),
            AnswerCoding::Gzip => self.gzip(plain),
        }
    }

    fn zstd(&self, plain: &[u8]) -> Option<Bytes> {
        let mut packer = self.packer.borrow_mut();
        if packer.is_none() {
            *packer = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        let packed = packer.as_mut()?.compress(plain).ok()?;
        // The compressor's buffer has room for the worst case.
        (packed.len() < plain.len()).then(|| Bytes::copy_from_slice(&packed))
    }

    fn gzip(&self, plain: &[u8]) -> Option<Bytes> {
        let mut deflater = self.deflater.borrow_mut();
        let deflater = deflater.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        deflater.reset();
        let mut out = Vec::with_capacity(plain.len());
        out.extend_from_slice(GZIP_HEAD.get(..plain.len().min(GZIP_HEAD.len()))?);
        let ended = deflater.compress_vec(plain, &mut out, FlushCompress::Finish).ok()?;
        if ended != Status::StreamEnd || out.len() + GZIP_TAIL >= plain.len() {
            return None;
        }
        let mut sum = Crc::new();
        sum.update(plain);
        out.extend_from_slice(&sum.sum().to_le_bytes());
        out.extend_from_slice(&sum.amount().to_le_bytes());
        Some(Bytes::copy_from_slice(&out))
    }
}

/// A compressor of one answer, fed in pieces: between them others have their turn.
#[expect(missing_debug_implementations, reason = "contexts of libraries that have none")]
pub enum Encoder {
    /// Of zstd.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// Of gzip.
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// For `length` bytes.
    ///
    /// # Errors
    /// There is no memory for its context.
    pub fn new(coding: AnswerCoding, length: usize) -> io::Result<Self> {
        Ok(match coding {
            AnswerCoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            AnswerCoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_pledged_src_size(u64::try_from(length).ok())?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// The compressor's own.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.write_all(piece),
            Self::Gzip(encoder) => encoder.write_all(piece),
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// The compressor's own.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn plain(coding: AnswerCoding, packed: &[u8]) -> Vec<u8> {
        match coding {
            AnswerCoding::Zstd => zstd::stream::decode_all(packed).unwrap(),
            AnswerCoding::Gzip => {
                let mut plain = Vec::new();
                GzDecoder::new(packed).read_to_end(&mut plain).unwrap();
                plain
            }
        }
    }

    #[test]
    fn what_is_compressed_is_read_by_others_at_once_or_in_pieces() {
        let codec = Codec::default();
        for coding in [AnswerCoding::Zstd, AnswerCoding::Gzip] {
            // Of several lengths, one after another: the contexts are used again.
            for length in [70_000, 1025, 3 << 20, 5000] {
                let text: Vec<u8> = (0..length).map(|at: u32| b"{\"a\":1} "[(at / 3 % 8) as usize]).collect();
                let packed = codec.compress(coding, &text).unwrap();
                assert!(packed.len() < text.len());
                assert!(plain(coding, &packed) == text, "{coding:?} {length}");
                let mut encoder = Encoder::new(coding, text.len()).unwrap();
                text.chunks(1000).for_each(|piece| encoder.push(piece).unwrap());
                assert!(plain(coding, &encoder.finish().unwrap()) == text, "{coding:?} {length} in pieces");
            }
            let random: Vec<u8> = std::iter::repeat_with(rand::random).take(4096).collect();
            for incompressible in [&random[..], b"", b"a", b"0123456789"] {
                assert_eq!(codec.compress(coding, incompressible), None, "{coding:?} {}", incompressible.len());
            }
        }
    }
}
