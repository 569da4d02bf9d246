//! The state that a request's writers share: the JSON so far, for whom it is, and what was left out.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::call_arguments::as_object;
use crate::codec::ProviderProfile;
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Fields};
use crate::json::{Path, Writer};
use crate::left_out::LeftOut;
use crate::schema_patterns::portable;
use crate::vendors::{FieldAction, LookAlike, ReasoningBack, SignaturePlace, SystemMessages};

/// A request being written, and for whom.
pub(super) struct RequestWriter<'a> {
    pub(super) json: Writer,
    pub(super) dropped: LeftOut,
    /// True if the caller speaks another dialect; else its own words can be given back.
    pub(super) cross_dialect: bool,
    pub(super) profile: &'a ProviderProfile,
    /// The provider's own name of the model.
    pub(super) model: &'a str,
}

impl<'a> RequestWriter<'a> {
    /// For a caller who speaks `caller`.
    pub(super) fn new(caller: Dialect, profile: &'a ProviderProfile, model: &'a str) -> Self {
        Self {
            json: Writer::with_capacity(4096),
            dropped: LeftOut::default(),
            cross_dialect: caller != Dialect::OpenAiChat,
            profile,
            model,
        }
    }

    /// The way to speak to the provider where it is not OpenAI itself.
    pub(super) fn look_alike(&self) -> Option<&'a LookAlike> {
        self.profile.look_alike.as_ref()
    }

    /// True if it takes text as a list of parts.
    pub(super) fn lists(&self) -> bool {
        self.look_alike().is_none_or(|row| row.content_lists)
    }

    /// True if another dialect's instructions in mid-conversation go to its beginning.
    pub(super) fn gathers(&self) -> bool {
        self.cross_dialect && self.look_alike().is_some_and(|row| row.system_messages == SystemMessages::First)
    }

    /// The way in which the model's thoughts go back to it.
    pub(super) fn reasoning(&self) -> ReasoningBack {
        self.look_alike().map_or(ReasoningBack::Never, |row| row.reasoning)
    }

    /// The place of signatures; in a caller's own words they stand where they stood.
    pub(super) fn signatures(&self) -> SignaturePlace {
        if !self.cross_dialect {
            return SignaturePlace::OnCalls;
        }
        self.look_alike().map_or(SignaturePlace::Nowhere, |row| row.signatures)
    }

    /// True if it takes a turn of the user's right behind tool results.
    pub(super) fn user_after_results(&self) -> bool {
        !self.cross_dialect || self.look_alike().is_none_or(|row| row.user_after_results)
    }

    /// A schema of another dialect's as the provider takes it: with those regular expressions alone that it compiles, and with types.
    pub(super) fn compiled<'s>(&self, schema: Cow<'s, RawValue>) -> Cow<'s, RawValue> {
        match self.look_alike() {
            Some(row) => row.schema(schema),
            None => portable(schema),
        }
    }

    /// The arguments of a call: a look-alike may read them, to give them to the model's template, and refuse what is no object.
    pub(super) fn arguments<'s>(&self, arguments: &'s str) -> Cow<'s, str> {
        match self.look_alike() {
            Some(_) if self.cross_dialect => as_object(arguments),
            _ => Cow::Borrowed(arguments),
        }
    }

    /// The provider's policy for a top-level field.
    pub(super) fn policy(&self, name: &str) -> Option<&'a FieldAction> {
        self.profile.fields.get(name)
    }

    /// Notes a field left out by rule.
    pub(super) fn drop(&mut self, path: impl std::fmt::Display) {
        self.dropped.add(path);
    }

    /// Gives fields of the caller's own dialect back, or notes that they are left out.
    pub(super) fn extra(&mut self, fields: &Fields, at: &dyn std::fmt::Display) {
        if !self.cross_dialect {
            self.json.fields(fields);
        } else {
            self.dropped.add_fields(at, fields);
        }
    }

    /// True if a part of another dialect's that is marked for the prompt cache is marked for this provider too.
    pub(super) fn marks(&self) -> bool {
        self.cross_dialect && self.look_alike().is_some_and(|row| row.takes_cache_marks(self.model))
    }

    /// Marks the part that is open for the prompt cache where the provider takes that; else notes that the marker is left out.
    pub(super) fn cache(&mut self, mark: Option<&CacheMark>, at: &Path<'_>) {
        match mark {
            Some(CacheMark(raw)) if !self.cross_dialect || self.marks() => self.json.raw_field("cache_control", raw),
            _ => self.unmarked(mark, at),
        }
    }

    /// Notes a marker left out, which has no part to stand on.
    pub(super) fn unmarked(&mut self, mark: Option<&CacheMark>, at: &Path<'_>) {
        if mark.is_some() {
            self.drop(at.field("cache_control"));
        }
    }

    /// `content` of texts of which some are marked.
    pub(super) fn marked_texts<'t>(&mut self, texts: impl Iterator<Item = (&'t str, Option<&'t CacheMark>)>) {
        self.json.open_field("content", b'[');
        for (text, mark) in texts {
            self.json.open(b'{');
            self.json.text_field("type", "text");
            self.json.text_field("text", text);
            if let Some(CacheMark(raw)) = mark {
                self.json.raw_field("cache_control", raw);
            }
            self.json.close(b'}');
        }
        self.json.close(b']');
    }

    /// A part of text and nothing else.
    pub(super) fn text_part(&mut self, text: &str) {
        self.json.open(b'{');
        self.json.text_field("type", "text");
        self.json.text_field("text", text);
        self.json.close(b'}');
    }

    /// `content` of texts alone: one is a string; several are a list, or one string where the provider takes no lists.
    pub(super) fn texts<T: AsRef<str>>(&mut self, texts: &[T]) {
        match texts {
            [] => self.json.text_field("content", ""),
            [one] => self.json.text_field("content", one.as_ref()),
            many if !self.lists() => {
                let kept: Vec<&str> = many.iter().map(AsRef::as_ref).filter(|text| !text.is_empty()).collect();
                self.json.text_field("content", &kept.join("\n\n"));
            }
            many => {
                self.json.open_field("content", b'[');
                many.iter().for_each(|text| self.text_part(text.as_ref()));
                self.json.close(b']');
            }
        }
    }
}
