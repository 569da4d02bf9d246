//! A whole answer as it is read: turned into its caller's words where it has to be, and its usage counted on the way.

use std::sync::Arc;

use bytes::Bytes;
use sluicegate_config::Price;
use sluicegate_dialects::hub::{Reply, Usage};
use sluicegate_dialects::{AnsweredBy, Dialect, estimate, side};

use crate::account::Operation;

use super::attempt::Attempt;
use super::open_attempt::OpenAttempt;
use super::part_prices::PartPrices;
use super::{outgoing, transcoder};

impl Attempt<'_> {
    /// The answer in the caller's dialect, and whether it is an event stream. Usage is counted on the way.
    pub(super) fn read_whole(
        &self,
        dialect: Dialect,
        body: &Bytes,
        open: &mut OpenAttempt,
    ) -> Result<(Bytes, bool), String> {
        let call = self.call;
        if call.named().is_some() {
            return Ok((body.clone(), false));
        }
        if let Some(object) = call.object() {
            return object.told(body, self.provider).map(|body| (body, false));
        }
        if call.operation == Operation::CountTokens {
            if dialect == call.dialect() {
                return Ok((body.clone(), false));
            }
            let counted = dialect.count_for(body, call.dialect());
            return counted.map(|body| (body.into(), false)).ok_or_else(|| "it holds no count".to_owned());
        }
        if call.operation.embeds() {
            return self.read_vectors(dialect, body, open);
        }
        if call.operation.passes() {
            let usage = side::usage_of(body, call.operation.makes()).map_err(|error| error.message)?;
            self.count(open, dialect, usage, AnsweredBy::default);
            return Ok((body.clone(), false));
        }
        let kin = dialect.is_kin(call.dialect());
        let body = &if kin { call.sealed_answer(body, (&**self.provider, dialect)) } else { body.clone() };
        if kin && !call.streams() {
            return self.look_at_whole(dialect, body, open).map(|()| (body.clone(), false));
        }
        let mut reply = match dialect.decode_reply(body) {
            Ok(reply) if reply.says_something() => reply,
            read => {
                // A provider's error under status 200 says more than what is missing in it.
                dialect.is_answer(body).map_err(|error| error.message)?;
                read.map_err(|error| error.message)?
            }
        };
        // Where the provider's dialect has no word for it, it is made now.
        reply.created = reply.created.or_else(transcoder::now);
        open.entry().answered_model(&reply.model);
        self.count_reply(open, dialect, (&reply, body));
        transcoder::own(call, &mut reply, (dialect, self.model(), &**self.provider));
        call.own_name().into_iter().for_each(|own| own.clone_into(&mut reply.id));
        if !call.streams() {
            let written = call.dialect().encode_reply(&reply, &call.body);
            open.entry().skipped_parts(written.skipped);
            return Ok((written.body.into(), false));
        }
        // Asked for a stream, this provider answered whole.
        let array = |whole: &[u8]| [b"[", whole, b"]"].concat();
        let tell = |whole: &[u8]| match call.context.caller.array {
            true => Some(array(whole)),
            false => call.dialect().stream_of_whole(whole, call.passes_usage()),
        };
        let told = kin.then(|| tell(body)).flatten().or_else(|| {
            let written = call.dialect().encode_reply(&reply, &call.body);
            open.entry().skipped_parts(written.skipped);
            tell(&written.body)
        });
        told.map(|told| (told.into(), true)).ok_or_else(|| "a stream has no words for it".to_owned())
    }

    /// An answer that passes: whether it is one, and what it used.
    fn look_at_whole(&self, dialect: Dialect, body: &[u8], open: &mut OpenAttempt) -> Result<(), String> {
        let (usage, begins) = dialect.usage_and_beginning(body).map_err(|error| error.message)?;
        // What says no usage, or begins like no answer, may be none: an error under status 200, a list of nothing.
        if usage.is_none() || !begins {
            dialect.is_answer(body).map_err(|error| error.message)?;
        }
        let uncounted = usage.filter(Usage::is_nothing).and_then(|_| dialect.decode_reply(body).ok());
        match uncounted {
            Some(reply) => self.count_reply(open, dialect, (&reply, body)),
            None => self.count(open, dialect, usage, || AnsweredBy::of_whole(body)),
        }
        Ok(())
    }

    /// Vectors in the caller's words. Where the provider does not say what they took, it is estimated.
    fn read_vectors(&self, dialect: Dialect, body: &Bytes, open: &mut OpenAttempt) -> Result<(Bytes, bool), String> {
        let call = self.call;
        let (answer, usage) = if dialect == call.dialect() {
            dialect.has_all_vectors(body, &call.body).map_err(|error| error.message)?;
            (body.clone(), dialect.usage_of_whole(body).map_err(|error| error.message)?)
        } else {
            let id = call.context.caller.request_id.to_str().unwrap_or_default();
            let asked = (call.dialect(), &*call.body, id);
            let answer = dialect.embedding_answer(body, asked).map_err(|error| error.message)?;
            answer.model.into_iter().for_each(|model| open.entry().answered_model(&model));
            (answer.body.into(), answer.usage)
        };
        match usage {
            Some(_) => self.count(open, dialect, usage, AnsweredBy::default),
            None => open
                .entry()
                .estimated_usage(Dialect::embedding_estimate(&call.body), self.price().map(|price| &**price)),
        }
        Ok((answer, false))
    }

    /// Counts the usage that an answer says, as what the models cost that it is by.
    pub(super) fn count(
        &self,
        open: &mut OpenAttempt,
        dialect: Dialect,
        usage: Option<Usage>,
        by: impl FnOnce() -> AnsweredBy,
    ) {
        let Some(usage) = usage else { return };
        match self.parts(open, dialect) {
            None => open.entry().usage(usage, self.price().map(|price| &**price)),
            Some(parts) => parts.count(open.entry(), (usage, false), Some(&by())),
        }
    }

    /// The model that its provider is asked for.
    pub(super) fn model(&self) -> &str {
        outgoing::model(self.call, self.target, self.provider)
    }

    /// Counts the usage of an answer that was read. A provider that says something, and says that it was nothing, has not counted: then it is
    /// estimated.
    fn count_reply(&self, open: &mut OpenAttempt, dialect: Dialect, (reply, body): (&Reply, &[u8])) {
        let text = reply.text_bytes();
        let is_uncounted = text > 0 && reply.usage.is_some_and(|usage| usage.is_nothing());
        let guess = estimate::used_so_far(None, self.call.prompt_tokens(), text).filter(|_| is_uncounted);
        self.count(open, dialect, guess.or(reply.usage), || AnsweredBy::of_whole(body));
        if is_uncounted {
            open.entry().is_estimated();
        }
    }

    /// Counts the usage that a whole answer says which nobody is given.
    pub(super) fn count_whole(&self, open: &mut OpenAttempt, dialect: Dialect, body: &[u8]) {
        let usage = dialect.usage_of_whole(body).ok().flatten();
        self.count(open, dialect, usage, || AnsweredBy::of_whole(body));
    }

    /// The prices of the models that have a part in its answer, where there are others than its own.
    pub(super) fn parts(&self, open: &mut OpenAttempt, dialect: Dialect) -> Option<Box<PartPrices>> {
        // Where the call is translated no other one is named.
        if !self.call.operation.generates() || !dialect.is_kin(self.call.dialect()) {
            return None;
        }
        PartPrices::of(self.call.others(), self.provider, (open.entry().sent_model(), self.price()))
    }

    /// The price of the model that is asked.
    pub(super) fn price(&self) -> Option<&Arc<Price>> {
        self.provider.models.get(outgoing::routed_model(self.call, self.target))?.price.as_ref()
    }
}
