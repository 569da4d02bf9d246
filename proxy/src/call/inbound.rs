//! An inbound call as it was read: its original bytes, and the few fields that routing needs.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, request};
use sluicegate_dialects::verbatim::Peek;
use sluicegate_dialects::{Dialect, Refusal, hub};

use crate::account::Operation;
use crate::errors::Problem;
use crate::memory::{Charge, Exhausted, Purpose, UNCOUNTED};

use super::context::CallContext;

/// How often the vendors' SDKs have tried a call before.
const X_STAINLESS_RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// A call as it came in.
pub(super) struct InboundCall<'a> {
    /// What goes with it.
    pub(super) context: &'a Rc<CallContext>,
    /// What is asked of the model.
    pub(super) operation: Operation,
    /// The caller's headers.
    pub(super) headers: &'a HeaderMap,
    /// What stands behind the path's question mark.
    pub(super) query: Option<&'a str>,
    /// The body as it came.
    pub(super) body: &'a Bytes,
    /// What was looked at in it.
    pub(super) peek: Peek,
    /// The body in neutral words: read at most once, and only when a provider speaks another dialect.
    neutral: OnceCell<Result<hub::Call, Refusal>>,
    /// Counts the copies of the body that attempts make.
    copies: RefCell<Option<Charge>>,
}

impl<'a> InboundCall<'a> {
    /// Looks at the body, which was whole at the time `received`.
    ///
    /// # Errors
    /// It is not a JSON object with the fields that every call has.
    pub(super) fn read(
        (context, operation): (&'a Rc<CallContext>, Operation),
        head: &'a request::Parts,
        body: &'a Bytes,
        received: Instant,
    ) -> Result<Self, Problem> {
        let headers = &head.headers;
        let peek = context.caller.dialect.peek(body)?;
        let retries = headers.get(X_STAINLESS_RETRY_COUNT).and_then(|count| count.to_str().ok()?.parse().ok());
        context.note(|entry| {
            entry.received(body.len() as u64, received);
            entry.caller(context.caller.dialect, peek.stream);
            entry.asked(peek.model.of(body));
            retries.into_iter().for_each(|count| entry.client_retry(count));
        });
        if peek.stream && operation == Operation::Chat {
            context.allow_comments(context.worker.shared.settings.stream_keep_alive);
        }
        Ok(Self {
            context,
            operation,
            headers,
            query: head.uri.query(),
            body,
            peek,
            neutral: OnceCell::new(),
            copies: RefCell::default(),
        })
    }

    /// The caller's dialect.
    pub(super) fn dialect(&self) -> Dialect {
        self.context.caller.dialect
    }

    /// The model asked for.
    pub(super) fn model(&self) -> &str {
        self.peek.model.of(self.body)
    }

    /// `true`: the answer is to be a stream.
    pub(super) fn streams(&self) -> bool {
        self.peek.stream && self.operation == Operation::Chat
    }

    /// Whether the caller sees usage at a stream's end: Anthropic's always do.
    pub(super) fn sees_usage(&self) -> bool {
        self.peek.include_usage || self.dialect() == Dialect::AnthropicMessages
    }

    /// The call in neutral words.
    ///
    /// # Errors
    /// The body is not what the caller's dialect allows.
    pub(super) fn neutral(&self) -> Result<&hub::Call, &Refusal> {
        self.neutral.get_or_init(|| self.dialect().decode_call(self.body)).as_ref()
    }

    /// Counts so many copies of the body, which an attempt makes.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(super) fn charge_copies(&self, times: usize) -> Result<(), Exhausted> {
        if self.body.len() <= UNCOUNTED {
            return Ok(());
        }
        let bytes = self.body.len().saturating_mul(times);
        let mut copies = self.copies.borrow_mut();
        let copies = copies.get_or_insert_with(|| self.context.worker.memory.nothing());
        if copies.bytes() >= bytes { Ok(()) } else { copies.set(bytes, Purpose::of(bytes)) }
    }
}
