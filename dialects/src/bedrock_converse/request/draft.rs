//! The state that a request's writers share: the JSON so far, for whom it is, and what was left out.

use std::collections::BTreeSet;

use crate::codec::{ProviderProfile, Refusal};
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Call, Fields, Message};
use crate::json::{Object, ROOT, Writer, string};
use crate::left_out::LeftOut;
use crate::spoke::PartPath;
use crate::thoughts::is_marked;
use crate::vendors::{self, BedrockModel, SignatureUse};

/// A request that is being written.
pub(super) struct ConverseDraft<'a> {
    pub(super) json: Writer,
    dropped: LeftOut,
    /// The dialect of the caller.
    pub(super) caller: Dialect,
    pub(super) target: &'a ProviderProfile,
    path: PartPath,
    /// The facts known of the model.
    pub(super) model: &'static BedrockModel,
    /// The mark of signatures that its vendor has made, where that is not Anthropic.
    mark: Option<String>,
    /// The names of documents so far: no two may have the same.
    pub(super) documents: BTreeSet<String>,
}

impl<'a> ConverseDraft<'a> {
    pub(super) fn new(call: &Call, target: &'a ProviderProfile, path: PartPath) -> Self {
        Self {
            json: Writer::with_capacity(4096),
            dropped: LeftOut::default(),
            caller: call.extra.dialect,
            target,
            path,
            model: vendors::bedrock(&call.model),
            mark: vendors::bedrock_mark(&call.model),
            documents: BTreeSet::new(),
        }
    }

    /// True if the caller speaks this dialect too, so that its own words can be given back.
    pub(super) fn same(&self) -> bool {
        self.caller == Dialect::BedrockConverse
    }

    /// True if pictures stay in the results of tools: the model takes them there, or the caller has put them there in this dialect.
    pub(super) fn keeps_pictures(&self) -> bool {
        self.same() || self.model.pictures_in_results
    }

    /// A signature, or what stands for hidden thoughts, as the model takes it; `None`: another vendor has made it.
    pub(super) fn own<'s>(&self, signature: &'s str) -> Option<&'s str> {
        let as_it_is = Some(signature).filter(|signature| !is_marked(signature));
        match &self.mark {
            _ if self.same() => as_it_is,
            Some(mark) => signature.strip_prefix(mark.as_str()),
            None => as_it_is.filter(|_| self.model.signature != SignatureUse::Never),
        }
    }

    /// Notes a field left out by rule, once.
    pub(super) fn drop(&mut self, path: impl std::fmt::Display) {
        self.dropped.add(path);
    }

    /// Notes that fields of the caller's own are left out.
    pub(super) fn extra(&mut self, owner: &str, fields: &Fields) {
        self.dropped.add_fields(owner, fields);
    }

    /// Writes the point of the prompt cache that a mark stands for, where the model has any.
    pub(super) fn cache(&mut self, mark: Option<&CacheMark>) {
        let Some(CacheMark(raw)) = mark else { return };
        if !self.model.caches {
            return self.drop("cache_control");
        }
        let lifetime = Object::read(raw.get(), &ROOT).ok().and_then(|mut mark| mark.take("ttl").and_then(string));
        self.json.open(b'{');
        self.json.open_field("cachePoint", b'{');
        self.json.text_field("type", "default");
        // What is not said is the shorter.
        match lifetime.filter(|lifetime| lifetime != "5m") {
            Some(lifetime) if self.model.caches_tools || self.same() => self.json.text_field("ttl", &lifetime),
            Some(_) => self.drop("cache_control.ttl"),
            None => {}
        }
        self.json.close(b'}');
        self.json.close(b'}');
    }

    /// The same behind a tool, where fewer models have any.
    pub(super) fn cache_tool(&mut self, mark: Option<&CacheMark>) {
        if mark.is_some() && !self.model.caches_tools && !self.same() {
            return self.drop("cache_control");
        }
        self.cache(mark);
    }

    /// The refusal of a part by where it stood in the caller's own body.
    pub(super) fn refuse(
        &self,
        message: &Message,
        (index, inner): (usize, Option<usize>),
        why: impl std::fmt::Display,
    ) -> Refusal {
        Refusal::field((self.path)(message, index, inner), why)
    }

    /// The body, and what was left out of it.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<String>) {
        (self.json.into_bytes(), self.dropped.into_names())
    }
}
