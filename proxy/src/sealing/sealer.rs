//! Seals ids and opens them.
//!
//! The same id of the same owner is sealed the same each time, as long as the first key stays: an answer that is fetched again has the id
//! under which it was given. AES-GCM-SIV is made for that; what it shows is that two sealed ids are equal, which is to be seen.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// Stands for whom a sealed id is for.
pub(crate) type IdOwner = [u8; 32];

/// The kind of a thing that is named: an id of one kind opens as no other, whatever it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdKind {
    /// An answer of the Responses API.
    Response,
    /// A file of OpenAI's API.
    File,
    /// A file with the requests of a batch, each of which its owner may make.
    BatchInput,
    /// A file with the answers of a batch.
    BatchOutput,
    /// A batch of OpenAI's API.
    Batch,
    /// A file of Anthropic's API.
    Document,
    /// A batch of Anthropic's API.
    MessageBatch,
}

impl IdKind {
    /// The beginning of such ids, by which clients know what they name.
    pub(crate) const fn beginning(self) -> &'static str {
        match self {
            Self::Response => "resp_",
            Self::File | Self::BatchInput | Self::BatchOutput => "file-",
            Self::Batch => "batch_",
            Self::Document => "file_",
            Self::MessageBatch => "msgbatch_",
        }
    }

    /// The word that is bound into its ids, beside their owner.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            // These were before there were kinds.
            Self::Response => "",
            Self::File => "file",
            Self::BatchInput => "batch input",
            Self::BatchOutput => "batch output",
            Self::Batch => "batch",
            Self::Document => "document",
            Self::MessageBatch => "message batch",
        }
    }
}

/// The longest id of a provider's that is sealed.
const LONGEST: usize = 200;
/// The longest sealed id that is looked at.
const LONGEST_SEALED: usize = 400;
/// In front of an id that begins as those of its kind do, and was shortened by that.
const SHORT: u8 = 1;
/// In front of any other.
const WHOLE: u8 = 2;

/// An id that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedId {
    /// Stands for the endpoint that keeps what it names.
    pub(crate) target: u64,
    /// The name by which it keeps it.
    pub(crate) id: String,
}

/// The keys of a gateway: the first one seals, all of them open.
#[derive(Debug)]
pub(crate) struct IdSealer {
    keys: Vec<LessSafeKey>,
}

impl IdSealer {
    /// Of keys, each of which is any text that is hard to guess. `None`: there is none.
    pub(crate) fn new<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let key = |text: &[u8]| {
            let key = blake3::derive_key("sluicegate sealed ids v1", text);
            UnboundKey::new(&AES_256_GCM_SIV, &key).ok().map(LessSafeKey::new)
        };
        let keys: Vec<_> = keys.filter_map(key).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The id that the owner is given in the place of a provider's; `None`: it is too long.
    pub(crate) fn seal(&self, owner: &IdOwner, kind: IdKind, of: &SealedId) -> Option<String> {
        let key = self.keys.first()?;
        if of.id.len() > LONGEST {
            return None;
        }
        let beginning = kind.beginning();
        let (form, rest) = of.id.strip_prefix(beginning).map_or((WHOLE, &*of.id), |rest| (SHORT, rest));
        let mut text = Vec::with_capacity(1 + 8 + rest.len() + AES_256_GCM_SIV.tag_len());
        text.push(form);
        text.extend_from_slice(&of.target.to_le_bytes());
        text.extend_from_slice(rest.as_bytes());
        key.seal_in_place_append_tag(nonce(), Aad::from(bound(owner, kind)), &mut text).ok()?;
        let mut sealed = String::from(beginning);
        BASE64.encode_string(&text, &mut sealed);
        Some(sealed)
    }

    /// Opens an id; `None`: it was not sealed by this gateway, or for somebody else, or names a thing of another kind.
    pub(crate) fn open(&self, owner: &IdOwner, kind: IdKind, sealed: &str) -> Option<SealedId> {
        let beginning = kind.beginning();
        let text = sealed.strip_prefix(beginning).filter(|text| text.len() <= LONGEST_SEALED)?;
        let text = BASE64.decode(text).ok()?;
        self.keys.iter().find_map(|key| {
            let mut text = text.clone();
            let opened = key.open_in_place(nonce(), Aad::from(bound(owner, kind)), &mut text).ok()?;
            let (form, rest) = opened.split_first()?;
            let (target, id) = rest.split_first_chunk()?;
            let id = std::str::from_utf8(id).ok()?;
            let id = if *form == SHORT { format!("{beginning}{id}") } else { id.to_owned() };
            Some(SealedId { target: u64::from_le_bytes(*target), id })
        })
    }

    /// A text that nobody but the owner, by this gateway, reads again.
    pub(crate) fn lock(&self, owner: &IdOwner, mut text: Vec<u8>) -> Option<Vec<u8>> {
        let random: [u8; NONCE_LEN] = rand::random();
        let nonce = Nonce::assume_unique_for_key(random);
        self.keys.first()?.seal_in_place_append_tag(nonce, Aad::from(owner), &mut text).ok()?;
        Some([&random[..], &text].concat())
    }

    /// Reads such a text; `None`: it is none, or another's.
    pub(crate) fn unlock(&self, owner: &IdOwner, locked: &[u8]) -> Option<Vec<u8>> {
        let (random, text) = locked.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(*random);
            let length = key.open_in_place(nonce, Aad::from(owner), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })
    }
}

/// The part of an id that is not said in it: whose it is, and what it names.
fn bound(owner: &IdOwner, kind: IdKind) -> Vec<u8> {
    [&owner[..], kind.word().as_bytes()].concat()
}

/// Always the same: see the head of this file.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IdOwner = [1; 32];
    const B: IdOwner = [2; 32];

    fn sealer(keys: &[&str]) -> IdSealer {
        IdSealer::new(keys.iter().map(|key| key.as_bytes())).unwrap()
    }

    fn id(id: &str) -> SealedId {
        SealedId { target: 7, id: id.to_owned() }
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_alone() {
        let sealer = sealer(&["one"]);
        for of in ["resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", "chatcmpl-1", "", "resp_", "ü"].map(id) {
            let sealed = sealer.seal(&A, IdKind::Response, &of).unwrap();
            assert!(sealed.starts_with("resp_") && sealed.len() < 120, "{sealed}");
            assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{sealed}");
            assert_eq!(sealer.seal(&A, IdKind::Response, &of).as_ref(), Some(&sealed));
            assert_eq!(sealer.open(&A, IdKind::Response, &sealed), Some(of));
            assert_eq!(sealer.open(&B, IdKind::Response, &sealed), None);
        }
        assert_eq!(sealer.seal(&A, IdKind::Response, &id(&"x".repeat(201))), None);
    }

    #[test]
    fn what_was_changed_or_made_up_does_not_open() {
        let sealer = sealer(&["one"]);
        let sealed = sealer.seal(&A, IdKind::Response, &id("resp_1")).unwrap();
        for at in "resp_".len()..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(sealer.open(&A, IdKind::Response, &changed).is_none_or(|_| changed == sealed), "{changed}");
            assert_eq!(sealer.open(&A, IdKind::Response, &sealed[..at]), None);
        }
        for other in [
            "",
            "resp_",
            "resp_1",
            "msg_1",
            &sealed[5..],
            &format!("{sealed}A"),
            &format!("resp_{}", "A".repeat(9_999)),
        ] {
            assert_eq!(sealer.open(&A, IdKind::Response, other), None, "{other}");
        }
    }

    #[test]
    fn an_id_opens_as_what_it_names_alone() {
        use IdKind::{Batch, BatchInput, BatchOutput, Document, File, MessageBatch, Response};
        let (sealer, kinds) =
            (sealer(&["one"]), [Response, File, BatchInput, BatchOutput, Batch, Document, MessageBatch]);
        for kind in kinds {
            let of = id(&format!("{}1", kind.beginning()));
            let sealed = sealer.seal(&A, kind, &of).unwrap();
            assert!(sealed.starts_with(kind.beginning()) && sealed.len() < 60, "{sealed}");
            for other in kinds {
                let body = sealed.strip_prefix(kind.beginning()).unwrap();
                let opened = sealer.open(&A, other, &format!("{}{body}", other.beginning()));
                assert_eq!(opened, (other == kind).then(|| of.clone()), "{kind:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_text_is_locked_for_its_owner() {
        let sealer = sealer(&["two", "one"]);
        let locked = sealer.lock(&A, b"text".to_vec()).unwrap();
        assert!(!locked.windows(4).any(|part| part == b"text"));
        assert_eq!(sealer.unlock(&A, &locked).unwrap(), b"text");
        assert_eq!(sealer.unlock(&B, &locked), None);
        assert_eq!(sealer.unlock(&A, &locked[..locked.len() - 1]), None);
        assert_eq!(sealer.unlock(&A, b"short"), None);
    }

    #[test]
    fn keys_are_changed_without_a_break() {
        let before = sealer(&["one"]).seal(&A, IdKind::Response, &id("resp_1")).unwrap();
        let both = sealer(&["two", "one"]);
        assert_eq!(both.open(&A, IdKind::Response, &before), Some(id("resp_1")));
        let after = both.seal(&A, IdKind::Response, &id("resp_1")).unwrap();
        assert_ne!(before, after);
        let new = sealer(&["two"]);
        assert_eq!(
            (new.open(&A, IdKind::Response, &after), new.open(&A, IdKind::Response, &before)),
            (Some(id("resp_1")), None)
        );
    }
}
