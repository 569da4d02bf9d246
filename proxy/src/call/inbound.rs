//! An inbound call as it was read: its head, its original bytes, and the few fields that routing needs. It borrows nothing: whoever
//! holds it has all of it, a caller's connection or not.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sluicegate_dialects::continuation::PROMPT;
use sluicegate_dialects::conversation::{self, CallFacts};
use sluicegate_dialects::verbatim::{self, CachePlan, Envelope, Enveloped, Field, PathSays, Peek};
use sluicegate_dialects::{Dialect, OtherModels, Refusal, RequestShape, ToolNames, estimate, hub, side};

use crate::account::Operation;
use crate::api::passed as passed_operations;
use crate::errors::Problem;
use crate::matching::AskedAmount;
use crate::memory::{Charge, Exhausted, Purpose, UNCOUNTED};
use crate::state::{PreparedChanges, Provider, Rule};

use super::betas;
use super::call_files::CallFiles;
use super::call_size::CallSize;
use super::caller::Addressed;
use super::context::CallContext;
use super::neutral::NeutralCell;
use super::passed;
use super::stored_call::StoredCall;
use super::stored_object::StoredObject;

/// A call about what a provider keeps asks for no model.
const NOTHING: &[u8] = br#"{"model":"-"}"#;
const NO_MODEL: PathSays<'_> = PathSays { model: Some("-"), stream: Some(false) };
/// The header in which the vendors' SDKs say how often they have tried a call before.
const X_STAINLESS_RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// A call as it came in.
pub(super) struct InboundCall {
    /// The context that goes with it.
    pub(super) context: Rc<CallContext>,
    /// The operation that is asked of the model.
    pub(super) operation: Operation,
    dialect: Dialect,
    /// True if it is a part of the call that its context is of: a request of a batch.
    is_part: bool,
    /// The caller's headers.
    pub(super) headers: HeaderMap,
    uri: Uri,
    /// The body as it came.
    pub(super) body: Bytes,
    /// `true`: the path names the model, whatever the body says.
    path_names_model: bool,
    /// The envelope of the body, where that is Anthropic's.
    pub(super) envelope: Option<Envelope>,
    /// The fields that were looked at in it.
    pub(super) peek: Peek,
    /// The part that is about what a provider keeps.
    stored: OnceCell<Rc<StoredCall>>,
    /// The thing that it is about, where a provider keeps that.
    object: OnceCell<Rc<StoredObject>>,
    /// The files that it names.
    files: OnceCell<Rc<CallFiles>>,
    /// The method, where it passes because a rule names its path.
    named: Option<Method>,
    /// The boundary of the body's parts, where it is a form.
    boundary: Option<Box<str>>,
    /// The model asked for: a copy, for it is asked for often, and a part of the body is checked to be a text each time.
    model: Box<str>,
    /// The body in neutral words.
    neutral: NeutralCell,
    /// The amount that it asks for, as it came.
    asks: OnceCell<AskedAmount>,
    /// The size of its body, as it is.
    pub(super) size: CallSize,
    /// The models that it names beside its own.
    others: OnceCell<OtherModels>,
    /// The changes that its rule has made.
    changes: Option<ChangedCall>,
    /// The breakpoints that its rule puts into it.
    cache_plan: Cell<Option<CachePlan>>,
    /// True if its answer may be shared with calls that ask for the same in other forms.
    shared: Cell<bool>,
    /// True if somebody else may have to go on with the stream of its answer.
    follows: Cell<bool>,
    /// The rest of an answer that it asks for, where another provider had begun with it.
    rest: Option<AskedRest>,
    /// Counts the copies of the body that attempts make.
    copies: RefCell<Option<Charge>>,
    /// The call's own part of the memory budget.
    _charge: Charge,
}

/// The changes that a rule has made to a call.
#[derive(Clone)]
struct ChangedCall {
    made: Arc<PreparedChanges>,
    /// The caller's headers with them.
    headers: HeaderMap,
}

/// The rest of an answer, as a call asks for it whose body ends with what was said.
struct AskedRest {
    /// The same call for models that have to be asked to go on; `None`: they are not.
    asking: Option<Rc<InboundCall>>,
    /// True if the last attempt was sent that one.
    asked: Cell<bool>,
    /// The providers that broke off.
    broke: OnceCell<Vec<Arc<Provider>>>,
}

/// The parts that a call is made of.
pub(super) struct Received {
    /// The dialect of the body.
    pub(super) dialect: Dialect,
    pub(super) headers: HeaderMap,
    pub(super) uri: Uri,
    pub(super) body: Bytes,
    /// The call's own part of the memory budget.
    pub(super) charge: Charge,
    /// The time when the body was whole.
    pub(super) at: Instant,
}

impl InboundCall {
    /// Looks at what was received, or put together here.
    ///
    /// # Errors
    /// It is not a JSON object with the fields that every call has.
    pub(super) fn read(
        context: &Rc<CallContext>,
        addressed: &Addressed,
        received: Received,
    ) -> Result<Rc<Self>, Problem> {
        let at = received.at;
        let call = Self::look(context, addressed, received)?;
        let retries = call.headers.get(X_STAINLESS_RETRY_COUNT).and_then(|count| count.to_str().ok()?.parse().ok());
        context.note(|entry| {
            entry.received(call.body.len() as u64, at);
            entry.caller(call.dialect, call.peek.stream);
            entry.asked(&call.model);
            retries.into_iter().for_each(|count| entry.client_retry(count));
        });
        if call.peek.stream && call.operation.generates() {
            context.allow_comments(context.worker.shared.settings.stream_keep_alive);
        }
        Ok(Rc::new(call))
    }

    /// Looks at a part of this call that is a call by itself, in this dialect.
    ///
    /// # Errors
    /// As those of [`Self::read`].
    pub(super) fn part(&self, (dialect, addressed): (Dialect, &Addressed), body: Bytes) -> Result<Rc<Self>, Problem> {
        let (context, headers, uri) = (&self.context, self.headers.clone(), self.uri.clone());
        let (charge, at) = (context.worker.memory.nothing(), context.arrived);
        let received = Received { dialect, headers, uri, body, charge, at };
        Ok(Rc::new(Self { is_part: true, ..Self::look(context, addressed, received)? }))
    }

    fn look(context: &Rc<CallContext>, addressed: &Addressed, received: Received) -> Result<Self, Problem> {
        let Received { dialect, mut headers, uri, body, charge, at: _ } = received;
        if addressed.envelope == Some(Envelope::Bedrock) {
            betas::of_body(&mut headers, &body);
        }
        let operation = addressed.operation;
        let path = PathSays { model: addressed.model.as_deref(), stream: addressed.stream };
        let (peek, boundary) = match passed_operations::of(operation) {
            Some(row) => passed::look(row, addressed.model.as_deref(), &headers, &body)?,
            None if operation.names_no_model() => (side::peek(NOTHING, NO_MODEL)?, None),
            None => (dialect.peek(&body, path)?, None),
        };
        let named = addressed.model.as_deref().unwrap_or_default();
        let model = Box::from(if operation.names_no_model() { named } else { peek.model.of(&body) });
        Ok(Self {
            context: Rc::clone(context),
            operation,
            dialect,
            is_part: false,
            headers,
            uri,
            body,
            path_names_model: addressed.model.is_some(),
            envelope: addressed.envelope,
            peek,
            stored: OnceCell::new(),
            object: OnceCell::new(),
            files: OnceCell::new(),
            named: addressed.named.clone(),
            boundary,
            model,
            neutral: NeutralCell::default(),
            asks: OnceCell::new(),
            size: CallSize::default(),
            others: OnceCell::new(),
            changes: None,
            cache_plan: Cell::default(),
            shared: Cell::default(),
            follows: Cell::default(),
            rest: None,
            copies: RefCell::default(),
            _charge: charge,
        })
    }

    /// The same call once more, with a context of its own.
    ///
    /// # Errors
    /// None: it was read before.
    pub(super) fn again(&self, context: &Rc<CallContext>) -> Result<Rc<Self>, Problem> {
        let addressed = Addressed {
            operation: self.operation,
            model: self.path_model().map(str::to_owned),
            stream: Some(self.peek.stream),
            envelope: self.envelope,
            methods: "",
            stored: None,
            named: self.named.clone(),
        };
        let (headers, uri, body) = (self.headers.clone(), self.uri.clone(), self.body.clone());
        let charge = context.worker.memory.nothing();
        let received = Received { dialect: self.dialect, headers, uri, body, charge, at: Instant::now() };
        let mut copy = match self.is_part {
            true => Rc::new(Self { is_part: true, ..Self::look(context, &addressed, received)? }),
            false => Self::read(context, &addressed, received)?,
        };
        if let Some(copy) = Rc::get_mut(&mut copy) {
            copy.asks = OnceCell::from(self.asks());
            copy.object = self.object.clone();
            copy.files = self.files.clone();
            copy.changes = self.changes.clone();
        }
        Ok(copy)
    }

    /// The call as its rule changes it; `None`: the rule changes nothing.
    ///
    /// # Errors
    /// Those of [`Self::changed`].
    pub(super) fn changed_by(&self, rule: &Rule) -> Result<Option<Rc<Self>>, Problem> {
        rule.request.as_ref().map(|changes| self.changed(changes)).transpose()
    }

    /// The call with the changes of its rule. What it was found by stays as it came.
    ///
    /// # Errors
    /// With them it is no call any more, or there is no memory for it.
    pub(super) fn changed(&self, made: &Arc<PreparedChanges>) -> Result<Rc<Self>, Problem> {
        let path = PathSays { model: self.path_model(), stream: Some(self.peek.stream) };
        // What passes as it is has fields of its own: of it, only headers are changed.
        let passes = passed_operations::of(self.operation).is_some() || self.operation.names_no_model();
        let body = if passes { self.body.clone() } else { self.dialect().shape(&self.body, path, &made.shape)? };
        let is_copy = body.as_ptr() != self.body.as_ptr() && body.len() > UNCOUNTED;
        let body = if is_copy {
            let charge = self.context.worker.memory.charge(body.len(), Purpose::of(body.len()))?;
            charge.hold(body)
        } else {
            body
        };
        let mut headers = self.headers.clone();
        made.remove_headers.iter().for_each(|name| drop(headers.remove(name)));
        for (name, value) in &made.set_headers {
            headers.insert(name.clone(), value.clone());
        }
        let mut changed = self.again(&self.context)?;
        if let Some(changed) = Rc::get_mut(&mut changed) {
            if !passes {
                changed.peek = self.dialect().peek(&body, path)?;
            }
            changed.body = body;
            changed.others = OnceCell::new();
            changed.stored = self.stored.clone();
            changed.changes = Some(ChangedCall { made: Arc::clone(made), headers });
        }
        Ok(changed)
    }

    /// The same call with another body: the one that it stands for. What it takes of limits is what that takes.
    ///
    /// # Errors
    /// It is no call, or there is no memory for it.
    pub(super) fn written_out(&self, body: Bytes, stored: StoredCall) -> Result<Rc<Self>, Problem> {
        let charge = self.context.worker.memory.charge(body.len(), Purpose::of(body.len()))?;
        let mut call = self.again(&self.context)?;
        if let Some(call) = Rc::get_mut(&mut call) {
            call.peek =
                self.dialect().peek(&body, PathSays { model: self.path_model(), stream: Some(self.peek.stream) })?;
            call.body = charge.hold(body);
            (call.asks, call.others) = (OnceCell::new(), OnceCell::new());
            call.stored = OnceCell::from(Rc::new(stored));
        }
        Ok(call)
    }

    /// The call for the rest of its answer, of which so much has been said; `None`: nobody could go on with it. `prefill_only`: models
    /// that have to be asked to go on are not.
    pub(super) fn for_the_rest(&self, said: &str, prefill_only: bool) -> Option<Rc<Self>> {
        if self.is_bound() || !self.operation.generates() {
            return None;
        }
        let facts = |call: &mut hub::Call, _: &mut ToolNames| {
            let must = call.tool_choice.as_ref().is_some_and(hub::ToolChoice::is_a_must);
            let is_plain = call.format.is_none() && !must && call.sampling.choices.is_none_or(|choices| choices <= 1);
            Ok((is_plain, call.max_tokens))
        };
        let (is_plain, most) = self.with_neutral(facts).ok()?;
        let left = most.map(|most| most.saturating_sub(estimate::tokens_of_text(said)));
        if !is_plain || left == Some(0) {
            return None;
        }
        let asking = if prefill_only { None } else { self.with_said(said, (Some(PROMPT), left), None) };
        let rest = AskedRest { asking, asked: Cell::new(false), broke: OnceCell::new() };
        self.with_said(said, (None, left), Some(rest))
    }

    fn with_said(
        &self,
        said: &str,
        (prompt, most): (Option<&str>, Option<u64>),
        rest: Option<AskedRest>,
    ) -> Option<Rc<Self>> {
        let (dialect, memory) = (self.dialect(), &self.context.worker.memory);
        let path = PathSays { model: self.path_model(), stream: Some(self.peek.stream) };
        let body = dialect.gone_on(&self.body, said, prompt)?;
        let body = dialect.shape(&body, path, &RequestShape { max_tokens: most, ..RequestShape::default() }).ok()?;
        let charge = memory.charge(body.len(), Purpose::of(body.len())).ok()?;
        let body = charge.hold(body);
        Some(Rc::new(Self {
            context: Rc::clone(&self.context),
            operation: self.operation,
            dialect,
            is_part: self.is_part,
            headers: self.headers.clone(),
            uri: self.uri.clone(),
            peek: dialect.peek(&body, path).ok()?,
            body,
            path_names_model: self.path_names_model,
            envelope: self.envelope,
            stored: self.stored.clone(),
            object: OnceCell::new(),
            files: self.files.clone(),
            named: None,
            boundary: None,
            model: self.model.clone(),
            neutral: NeutralCell::default(),
            asks: OnceCell::from(self.asks()),
            size: CallSize::default(),
            others: OnceCell::new(),
            changes: self.changes.clone(),
            cache_plan: self.cache_plan.clone(),
            shared: self.shared.clone(),
            follows: Cell::new(false),
            rest,
            copies: RefCell::default(),
            _charge: memory.nothing(),
        }))
    }

    /// True if it asks for the rest of an answer that another provider has begun.
    pub(super) const fn is_for_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// The providers that broke off in an answer whose rest it asks for are not asked; only the first word counts.
    pub(super) fn leave_out(&self, broke: &[Arc<Provider>]) {
        self.rest.iter().for_each(|rest| drop(rest.broke.set(broke.to_vec())));
    }

    /// The providers that are not asked.
    pub(super) fn left_out(&self) -> &[Arc<Provider>] {
        self.rest.as_ref().and_then(|rest| rest.broke.get()).map_or(&[], Vec::as_slice)
    }

    /// True if its last attempt asked a model to go on, and did not give it what was said as its own beginning.
    pub(super) fn asks_to_go_on(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.asked.get())
    }

    /// The call as a model is sent it that is spoken to in this dialect.
    ///
    /// # Errors
    /// It asks for the rest of an answer, and the model could not go on with one.
    pub(super) fn for_model(&self, model: &str, spoken: Option<Dialect>) -> Result<&Self, Refusal> {
        let Some(rest) = &self.rest else { return Ok(self) };
        let is_text = self.dialect().has_prompts();
        let thinks = || conversation::facts_of_body(&self.body).thinking;
        let prefills = spoken
            .is_some_and(|spoken| (!is_text || spoken == self.dialect()) && spoken.takes_prefill(model, thinks()));
        rest.asked.set(!prefills);
        match &rest.asking {
            _ if prefills => Ok(self),
            Some(asking) if !is_text => Ok(asking),
            _ => Err(Refusal::body("this model can not go on with an answer that another one has begun")),
        }
    }

    /// Somebody else may have to go on with the stream of its answer, or nobody.
    pub(super) fn follows(&self, follows: bool) {
        self.follows.set(follows);
    }

    /// True if somebody else may have to go on with the stream of its answer.
    pub(super) fn is_followed(&self) -> bool {
        self.follows.get()
    }

    /// The caller's headers, with the changes of its rule.
    pub(super) fn sent_headers(&self) -> &HeaderMap {
        self.changes.as_ref().map_or(&self.headers, |changes| &changes.headers)
    }

    /// The headers that its rule puts in, whatever else goes on to a provider.
    pub(super) fn set_headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.changes.as_ref().map_or(&[], |changes| &changes.made.set_headers)
    }

    /// The amount that it asks for, as it came: looked at once, and only where a rule wants to know.
    pub(super) fn asks(&self) -> AskedAmount {
        *self.asks.get_or_init(|| {
            let CallFacts { messages, tools, images, thinking } = conversation::facts_of_body(&self.body);
            let input_tokens = estimate::tokens_of_body(&self.body);
            AskedAmount { input_tokens, messages, tools, images, stream: self.streams(), thinking }
        })
    }

    /// The models that it names beside its own.
    pub(super) fn others(&self) -> &OtherModels {
        self.others.get_or_init(|| OtherModels::of(&self.body, self.peek.marks))
    }

    /// The path that was asked for.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The host that its address names, where it is whole, as those of HTTP/2 are.
    pub(super) fn host(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    /// The whole address that was asked for.
    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The text behind the path's question mark.
    pub(super) fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The part that is about what a provider keeps.
    pub(super) fn stored(&self) -> Option<&StoredCall> {
        self.stored.get().map(|stored| &**stored)
    }

    /// Notes the part that is about what a provider keeps; only the first word counts.
    pub(super) fn goes_by(&self, stored: StoredCall) {
        drop(self.stored.set(Rc::new(stored)));
    }

    /// The thing that it is about, where a provider keeps that.
    pub(super) fn object(&self) -> Option<&StoredObject> {
        self.object.get().map(|object| &**object)
    }

    /// True if its answer passes, and is no conversation.
    pub(super) fn passes(&self) -> bool {
        self.operation.passes() || self.object().is_some() || self.named.is_some()
    }

    /// The method of a call that passes because a rule names its path.
    pub(super) const fn named(&self) -> Option<&Method> {
        self.named.as_ref()
    }

    /// Notes the thing that it is about; only the first word counts.
    pub(super) fn is_about(&self, object: StoredObject) {
        drop(self.object.set(Rc::new(object)));
    }

    /// The files that it names, where a provider keeps them.
    pub(super) fn files(&self) -> Option<&CallFiles> {
        self.files.get().map(|files| &**files)
    }

    /// Notes the files that it names; only the first word counts.
    pub(super) fn names_files(&self, files: CallFiles) {
        drop(self.files.set(Rc::new(files)));
    }

    /// The caller's dialect.
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The model asked for.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// The model, where the path names it.
    pub(super) fn path_model(&self) -> Option<&str> {
        self.path_names_model.then(|| self.model())
    }

    /// The boundary of the body's parts, where it is a form.
    pub(super) fn boundary(&self) -> Option<&str> {
        self.boundary.as_deref()
    }

    /// The body with the model in it, for readers that look for it there and not in the path.
    fn named_body(&self) -> Bytes {
        if self.dialect().habits().envelope == Some(Envelope::Plain)
            && let Some(envelope) = self.envelope
        {
            let said = Enveloped { model: self.model(), stream: self.streams(), betas: &[] };
            return verbatim::rewrap(&self.body, (envelope, Envelope::Plain), said);
        }
        if self.peek.span(Field::Model).is_some() || !self.path_names_model || !self.dialect().habits().names_model {
            return self.body.clone();
        }
        verbatim::splice(&self.body, &[self.peek.set_model(self.model())])
    }

    /// `true`: the answer is to be a stream.
    pub(super) fn streams(&self) -> bool {
        self.peek.stream && self.operation.generates()
    }

    /// True if the caller sees usage at a stream's end.
    pub(super) fn sees_usage(&self) -> bool {
        self.peek.include_usage || !self.dialect().habits().usage_is_asked_for
    }

    /// True if usage passes at a stream's end: the caller sees it, or others may that share the answer.
    pub(super) fn passes_usage(&self) -> bool {
        self.sees_usage() || self.shared.get()
    }

    /// Its rule puts these breakpoints into it.
    pub(super) fn plan_cache(&self, plan: Option<CachePlan>) {
        self.cache_plan.set(plan);
    }

    /// The breakpoints that its rule puts into it.
    pub(super) fn cache_plan(&self) -> Option<CachePlan> {
        self.cache_plan.get()
    }

    /// Its answer is shared with calls that ask for the same in other forms, or it is not.
    pub(super) fn shares(&self, shared: bool) {
        self.shared.set(shared);
    }

    /// Writes the call out of neutral words, in which an attempt may put what it asks for in place of what the caller did: a
    /// copy for each would cost as much as the reading.
    ///
    /// # Errors
    /// The body is not what the caller's dialect allows, or `write` refuses it.
    pub(super) fn with_neutral<T>(
        &self,
        write: impl FnOnce(&mut hub::Call, &mut ToolNames) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let read = || match self.operation.generates() {
            true => self.dialect().decode_call(&self.named_body()),
            false => self.dialect().decode_counted(&self.named_body()),
        };
        self.neutral.with(read, write)
    }

    /// The names of its tools that went out as others.
    pub(super) fn tool_names(&self) -> ToolNames {
        self.neutral.tool_names()
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
