//! The request that a provider is sent: the original bytes where nothing is to be changed, else spliced or translated.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use sluicegate_dialects::vendors::FieldAction;
use sluicegate_dialects::verbatim::{
    self, AtHost, Edit, Envelope, Enveloped, Field, Governed, LabelPlace, NestedSetting, REQUEST_METADATA_HEADER,
};
use sluicegate_dialects::{Dialect, Encoded, ProviderProfile, Refusal, SeenMarks, SettingsWithin, repeated_calls};

use crate::api::named_paths;
use crate::api::profiles::Offer;
use crate::compression::AnswerCoding;
use crate::identity::token::CloudCredential;
use crate::state::{Credential, OfferAt, Provider, RouteTarget};

use super::betas::{self, ANTHROPIC_BETA, Betas};
use super::custom_tools;
use super::failure::Failure;
use super::foreign_thoughts;
use super::headers;
use super::hops::CDN_LOOP;
use super::inbound::InboundCall;
use super::keys;
use super::passed::{self, Renaming};
use super::stored_object::StoredObject;

/// The headers by which providers know a conversation.
const X_SESSION_AFFINITY: HeaderName = HeaderName::from_static("x-session-affinity");
const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
/// The guardrail that a caller of Bedrock's InvokeModel asks for.
const GUARDRAIL: HeaderName = HeaderName::from_static("x-amzn-bedrock-guardrailidentifier");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A body of which its caller does not say what it is.
/// The field of an answer's form in Chat Completions.
const FORM: &str = "response_format";
/// The choice of a tool.
const CHOICE: &str = "tool_choice";
const NOTHING: HeaderValue = HeaderValue::from_static("");
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The coding of requests that are compressed: the one that is read most widely.
pub(super) const REQUEST_CODING: AnswerCoding = AnswerCoding::Gzip;

/// A translated call is there so many times more: in neutral words, and in the provider's, whose room doubles as it fills.
const CALL_TRANSLATED: usize = 3;

/// A request for a provider.
pub(super) struct Outgoing {
    body: Bytes,
    /// The body as it was before it was compressed.
    plain: Option<Bytes>,
    uri: Uri,
    /// Headers that are said where the caller did not say them.
    said: &'static [(&'static str, &'static str)],
    /// Headers that the translation asks for.
    added: Vec<(HeaderName, HeaderValue)>,
    /// The dialect that the provider is spoken to in.
    pub(super) dialect: Dialect,
    /// True if the stream's usage is asked for by us and not by the caller, who must not see it.
    pub(super) usage_is_ours: bool,
    /// True if a whole answer is asked for, of which the caller is told a stream.
    pub(super) is_whole: bool,
    /// The most tokens asked for, where the caller asked for more than the model answers with.
    pub(super) clamped: Option<u64>,
    /// The number of the call's fields that are left out.
    pub(super) dropped: usize,
    betas: Betas,
    /// The media type of the body, and of the answer that is accepted.
    media: (HeaderValue, HeaderValue),
    method: Method,
}

/// The model that a target's provider is asked for: the route's name of it, then the provider's own.
pub(super) fn model<'a>(call: &'a InboundCall, target: RouteTarget<'a>, provider: &'a Provider) -> &'a str {
    let name = routed_model(call, target);
    provider.upstream_name(name)
}

/// The model by the name that routes and providers' lists use.
pub(super) fn routed_model<'a>(call: &'a InboundCall, target: RouteTarget<'a>) -> &'a str {
    target.model.unwrap_or(call.model())
}

/// The request, whose copies of the caller's body are counted.
///
/// # Errors
/// The call can not be put into the provider's dialect, or there is no memory to do it.
pub(super) fn write_counted(call: &InboundCall, model: &str, provider: &Provider) -> Result<Outgoing, Failure> {
    if call.named().is_some() {
        // Nothing of it is copied.
        return write(call, model, provider).map_err(Failure::unsayable);
    }
    let spoken = provider.offer(call.operation, call.dialect(), || model).map(|at| at.offer.dialect);
    let call = call.for_model(model, spoken).map_err(Failure::unsayable)?;
    let translated = spoken.is_none_or(|spoken| !spoken.is_kin(call.dialect()));
    let room = if translated { call.charge_copies(CALL_TRANSLATED) } else { Ok(()) };
    room.map_err(Failure::no_room)?;
    let outgoing = write(call, model, provider).map_err(Failure::unsayable)?;
    let room = if outgoing.is_copy(call) { call.charge_copies(1) } else { Ok(()) };
    room.map_err(Failure::no_room)?;
    Ok(outgoing)
}

/// Writes the request, but for its head.
///
/// # Errors
/// The call holds what the provider's dialect has no word for.
pub(super) fn write(call: &InboundCall, model: &str, provider: &Provider) -> Result<Outgoing, Refusal> {
    let at = provider.offer(call.operation, call.dialect(), || model);
    let at = at.ok_or_else(|| Refusal::body("this provider does not offer what is asked for"))?;
    if let Some(method) = call.named() {
        return of_named_path(call, method, (at, provider));
    }
    if call.operation.passes() {
        return passed(call, model, (at, provider));
    }
    if let Some(object) = call.object() {
        return of_object(call, object, (at, provider));
    }
    guarded(call, at.offer.dialect)?;
    let dialect = at.offer.dialect;
    let cross_dialect = !dialect.is_kin(call.dialect());
    let uri = |streams| {
        let uri = at.uri(&provider.origin, model, (streams, cross_dialect));
        uri.ok_or_else(|| Refusal::field("model", "can not be a part of this provider's path"))
    };
    let envelope = at.offer.envelope.or(dialect.habits().envelope);
    if !cross_dialect {
        return in_its_words(call, (model, envelope), (at, provider), uri(call.streams())?);
    }
    let encoded = if call.operation.embeds() {
        call.dialect().embedding_call(&call.body, (dialect, model))?
    } else {
        translated(call, (dialect, model), provider)?
    };
    let Encoded { body, dropped: unsaid, headers, clamped } = encoded;
    if !unsaid.is_empty() {
        tracing::debug!(provider = provider.name, dropped = ?unsaid, "fields without a word in the target's dialect");
    }
    let is_whole = call.streams() && dialect.is_answered_whole(model, &body);
    let uri = uri(call.streams() && !is_whole)?;
    let added = headers.iter().filter_map(header).chain(labels_header(call, at.offer)).collect();
    let Governed { body, dropped } = governed(&Bytes::from(body), (provider, model), SeenMarks::default())?;
    let AtHost { body, dropped: at_host, beta: _ } = at_host(&body, envelope, provider)?;
    let dropped = unsaid.len() + dropped.len() + at_host.len();
    let body = match dialect.habits().envelope.zip(envelope) {
        Some(both) => verbatim::rewrap(&body, both, Enveloped { model, stream: call.streams(), betas: &[] }),
        None => unpacked(&body, at.offer),
    };
    let body = foreign_thoughts::left_out(call, dialect, body);
    let body = labelled(marked(body, (call, model), (dialect, provider)), call, at.offer);
    let sent = Outgoing::as_it_is(at.offer, (Method::POST, uri), (body, media(dialect)));
    Ok(Outgoing { added, is_whole, clamped, dropped, ..sent })
}

/// The request in the caller's own dialect: its bytes but for what has to be changed.
fn in_its_words(
    call: &InboundCall,
    (model, envelope): (&str, Option<Envelope>),
    (at, provider): (&OfferAt, &Provider),
    uri: Uri,
) -> Result<Outgoing, Refusal> {
    let dialect = at.offer.dialect;
    let Spliced { body, usage_is_ours, clamped } = spliced(call, (model, at.offer), provider);
    let body = call.files().map_or_else(|| Ok(body.clone()), |files| files.named_as_kept(&body))?;
    let body = custom_tools::as_functions(body, call, provider);
    // Whoever speaks to the same host knows what it takes.
    let host = envelope.filter(|host| call.envelope != Some(*host));
    let betas = betas::told(&call.headers, &provider.betas, host)?;
    let uri = if envelope == call.envelope { with_query(uri, call) } else { uri };
    whole_conversation(call, envelope, provider)?;
    // Of what was changed until here nothing has a mark.
    let seen = call.peek.marks;
    let AtHost { body, dropped: unsaid, beta } = at_host(&body, host, provider)?;
    let betas = betas.with(beta, &call.headers, &provider.betas);
    let (body, betas) = enveloped(&body, (call, model), envelope, betas);
    let row = provider.defaults.look_alike.as_ref();
    let is_strict = provider.kind.refuses_unknown_fields || row.is_some_and(|row| row.message_fields.is_some());
    let body = if is_strict { verbatim::unmark(&body, seen, row, model) } else { body };
    let body = unpacked(&body, at.offer);
    let body = foreign_thoughts::left_out(call, dialect, dialect.disown(&body, seen, model));
    let body = if envelope.is_some() { verbatim::say_late_instructions(&body, seen, model) } else { body };
    let body = if envelope.is_some() { verbatim::fit_model(&body, call.model(), model) } else { body };
    let body = if row.is_none() { dialect.fit_patterns(&body, call.model(), model) } else { body };
    let body = if model == call.model() { body } else { dialect.rename(&body, model) };
    let Governed { body, dropped } = governed(&body, (provider, model), seen)?;
    let body = labelled(marked(body, (call, model), (dialect, provider)), call, at.offer);
    let dropped = unsaid.len() + dropped.len();
    Ok(Outgoing {
        body,
        plain: None,
        uri,
        said: at.offer.headers,
        added: labels_header(call, at.offer).into_iter().collect(),
        dialect: at.offer.dialect,
        usage_is_ours,
        is_whole: false,
        clamped,
        dropped,
        betas,
        media: media(at.offer.dialect),
        method: Method::POST,
    })
}

/// As the vendor's SDK says it: what the caller accepts is between it and the gateway.
fn media(spoken: Dialect) -> (HeaderValue, HeaderValue) {
    (JSON, HeaderValue::from_static(spoken.habits().accept))
}

fn header((name, value): &(String, String)) -> Option<(HeaderName, HeaderValue)> {
    HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok())
}

/// The request of an operation whose bodies pass: the caller's own but for the model's name.
fn passed(call: &InboundCall, model: &str, (at, provider): (&OfferAt, &Provider)) -> Result<Outgoing, Refusal> {
    let uri = at.uri(&provider.origin, model, (false, false));
    let uri = uri.ok_or_else(|| Refusal::field("model", "can not be a part of this provider's path"))?;
    let unnamed = call.path_model().is_none().then_some(call.model());
    let to = Renaming { model, unnamed, in_path: at.offer.names_the_model() };
    let body = passed::renamed(&call.body, (&call.peek, call.boundary()), &to);
    let said = |name| call.headers.get(name).cloned();
    let kind = said(CONTENT_TYPE).unwrap_or(JSON);
    let media = (kind, said(ACCEPT).unwrap_or(ANYTHING));
    Ok(Outgoing::as_it_is(at.offer, (Method::POST, with_query(uri, call)), (body, media)))
}

/// The request of a call that passes because a rule names its path. What its caller says to one vendor nobody else is told.
fn of_named_path(
    call: &InboundCall,
    method: &Method,
    (at, provider): (&OfferAt, &Provider),
) -> Result<Outgoing, Refusal> {
    let uri = at.uri_of_path(&format!("{}{}", call.path(), named_paths::query(call.query())));
    let uri = uri.ok_or_else(|| Refusal::body("its path can not be a part of this provider's"))?;
    let said = |name| call.headers.get(name).cloned();
    let media = (said(CONTENT_TYPE).unwrap_or(NOTHING), said(ACCEPT).unwrap_or(ANYTHING));
    let betas = betas::told(&call.headers, &provider.betas, None)?;
    let outgoing = Outgoing::as_it_is(at.offer, (method.clone(), uri), (call.body.clone(), media));
    // Its answer, and an error, are the caller's as they come.
    Ok(Outgoing { betas, dialect: call.dialect(), ..outgoing })
}

/// The request about a thing that the provider keeps, by its own name of it.
fn of_object(
    call: &InboundCall,
    object: &StoredObject,
    (at, provider): (&OfferAt, &Provider),
) -> Result<Outgoing, Refusal> {
    let uri = at.uri(&provider.origin, "", (false, false)).and_then(|uri| object.uri(&uri));
    let uri = uri.ok_or_else(|| Refusal::body("its id can not be a part of this provider's path"))?;
    let body = object.body(&call.body, provider)?.unwrap_or_else(|| call.body.clone());
    let kind = call.headers.get(CONTENT_TYPE).filter(|_| object.is_of_callers_type()).cloned().unwrap_or(JSON);
    let media = (kind, call.headers.get(ACCEPT).cloned().unwrap_or(ANYTHING));
    let betas = betas::told(&call.headers, &provider.betas, None)?;
    Ok(Outgoing { betas, ..Outgoing::as_it_is(at.offer, (object.method().clone(), uri), (body, media)) })
}

fn unpacked(body: &Bytes, offer: &Offer) -> Bytes {
    offer.unpacks.map_or_else(|| body.clone(), |field| verbatim::unpack(body, field))
}

/// The call in another dialect's words.
fn translated(call: &InboundCall, (dialect, model): (Dialect, &str), provider: &Provider) -> Result<Encoded, Refusal> {
    call.with_neutral(|neutral, names| {
        model.clone_into(&mut neutral.model);
        names.fit(neutral, dialect.habits().tool_names);
        repeated_calls::tell_repeated_apart(&mut neutral.messages);
        // The ledger wants it, whatever the caller wants.
        neutral.stream_usage = true;
        // Where the path says it, the body does not.
        neutral.stream = call.streams();
        match call.operation.generates() {
            true => dialect.encode_call(neutral, &provider.defaults),
            false => dialect.encode_count(neutral, &provider.defaults),
        }
    })
}

/// The body with the breakpoints that the call's rule wants, where its provider has a prompt cache that is told so.
fn marked(body: Bytes, (call, model): (&InboundCall, &str), (dialect, provider): (Dialect, &Provider)) -> Bytes {
    let Some(plan) = call.cache_plan() else { return body };
    match dialect.cache_words(model, provider.defaults.look_alike.as_ref()) {
        Some(words) => verbatim::place_breakpoints(&body, plan, words),
        None => body,
    }
}

/// Refuses a call that asks for a guardrail by InvokeModel's header, where the provider is asked in other words: it would answer without it.
fn guarded(call: &InboundCall, spoken: Dialect) -> Result<(), Refusal> {
    let asks = call.headers.contains_key(GUARDRAIL)
        && GUARDRAIL.as_str().starts_with(call.dialect().habits().header_beginning);
    if asks && spoken != call.dialect() {
        let what = "only Bedrock applies its guardrails; this provider would answer without them";
        return Err(Refusal::field(GUARDRAIL.as_str(), what));
    }
    Ok(())
}

/// The body with the labels of its consumer that providers are told, where its provider has a place for them.
fn labelled(body: Bytes, call: &InboundCall, offer: &Offer) -> Bytes {
    match offer.labels.zip(call.context.consumer().and_then(|own| own.told_to_providers.as_ref())) {
        Some((place, labels)) => labels.put(&body, place),
        None => body,
    }
}

/// The header that says them, where a header does.
fn labels_header(call: &InboundCall, offer: &Offer) -> Option<(HeaderName, HeaderValue)> {
    let is_place = offer.labels == Some(LabelPlace::RequestMetadataHeader);
    let labels = call.context.consumer().filter(|_| is_place)?.told_to_providers.as_ref()?;
    Some((HeaderName::from_static(REQUEST_METADATA_HEADER), HeaderValue::try_from(labels.header()).ok()?))
}

/// Refuses a conversation of which a part is held by Anthropic, where the call goes to another host of its models. What the
/// provider's policy says of the field goes before.
fn whole_conversation(call: &InboundCall, to: Option<Envelope>, provider: &Provider) -> Result<(), Refusal> {
    let leaves = call.envelope == Some(Envelope::Plain) && to.is_some_and(|to| to != Envelope::Plain);
    if leaves && !provider.defaults.fields.contains_key("thread") {
        verbatim::refuse_threads(&call.body)?;
    }
    Ok(())
}

/// The body without what the host refuses that Anthropic itself takes.
fn at_host(body: &Bytes, host: Option<Envelope>, provider: &Provider) -> Result<AtHost, Refusal> {
    verbatim::fit_host(body, host.unwrap_or(Envelope::Plain), &provider.defaults.fields)
}

/// The body in the provider's envelope, where it is Anthropic's, and the betas that stand in a header beside it.
fn enveloped(body: &Bytes, (call, model): (&InboundCall, &str), to: Option<Envelope>, betas: Betas) -> (Bytes, Betas) {
    let Some((from, to)) = call.envelope.zip(to) else { return (body.clone(), betas) };
    if from == to && (to != Envelope::Bedrock || matches!(betas, Betas::AsTheyCame)) {
        return (body.clone(), betas);
    }
    let list = betas.list(&call.headers);
    let said = Enveloped { model, stream: call.streams(), betas: &list };
    let plain = verbatim::rewrap(body, (from, Envelope::Plain), said);
    let body = verbatim::rewrap(&plain, (Envelope::Plain, to), said);
    let line = HeaderValue::try_from(list.join(",")).ok().filter(|line| !line.is_empty());
    (body, if to == Envelope::Bedrock { Betas::None } else { line.map_or(Betas::None, Betas::Only) })
}

/// The body with call ids, arguments, schemas and a form that the provider takes and thoughts that it demands, under its policy for fields.
fn governed(body: &Bytes, (provider, model): (&Provider, &str), seen: SeenMarks) -> Result<Governed, Refusal> {
    let row = provider.defaults.look_alike.as_ref();
    let body = verbatim::fill_thoughts(&verbatim::fit_call_ids(body, (row, model), seen), row);
    let body = verbatim::fit_arguments(&verbatim::fit_schemas(&body, row, model), row);
    let body = verbatim::fit_messages(&verbatim::sign_calls(&body, row, model), row, seen);
    let policy = &provider.defaults.fields;
    let body = verbatim::let_force(&body, row.filter(|_| policy.get(CHOICE) != Some(&FieldAction::Pass)), model);
    let passes = policy.get(FORM) == Some(&FieldAction::Pass);
    let fitted = verbatim::fit_format(&body, row.filter(|_| !passes), model);
    let unsaid = fitted.iter().map(|_| FORM.to_owned()).collect();
    let body = fitted.unwrap_or(body);
    if policy.is_empty() {
        return Ok(Governed { body, dropped: unsaid });
    }
    let mut governed = verbatim::govern(&body, policy)?;
    governed.dropped.extend(unsaid);
    if !governed.dropped.is_empty() {
        let dropped = &governed.dropped;
        tracing::debug!(provider = provider.name, ?dropped, "fields left out by the provider's policy");
    }
    Ok(governed)
}

impl Outgoing {
    /// A request of whose body nothing is read: it goes out as it is.
    fn as_it_is(
        offer: &Offer,
        (method, uri): (Method, Uri),
        (body, media): (Bytes, (HeaderValue, HeaderValue)),
    ) -> Self {
        Self {
            body,
            plain: None,
            uri,
            said: offer.headers,
            added: Vec::new(),
            dialect: offer.dialect,
            usage_is_ours: false,
            is_whole: false,
            clamped: None,
            dropped: 0,
            betas: Betas::AsTheyCame,
            media,
            method,
        }
    }

    /// True if the body is a copy, and not the caller's own.
    pub(super) fn is_copy(&self, call: &InboundCall) -> bool {
        self.body.as_ptr() != call.body.as_ptr()
    }

    /// The body that goes out.
    pub(super) const fn body(&self) -> &Bytes {
        &self.body
    }

    /// This goes out in the body's place.
    pub(super) fn compress(&mut self, body: Bytes) {
        self.plain = Some(std::mem::replace(&mut self.body, body));
    }

    /// The body goes out as it was.
    pub(super) fn unpack(&mut self) {
        self.plain.take().into_iter().for_each(|plain| self.body = plain);
    }

    /// True if the body goes out compressed.
    pub(super) const fn is_compressed(&self) -> bool {
        self.plain.is_some()
    }

    /// The whole request, with this key where the provider has several. A connection that breaks may make it a second time. `hint`
    /// stands for the call's conversation.
    pub(super) fn request(
        &self,
        call: &InboundCall,
        (provider, key): (&Provider, Option<usize>),
        hint: Option<&str>,
    ) -> Request<Bytes> {
        let same = self.dialect == call.dialect();
        let mut headers = headers::towards(call.sent_headers(), (call.dialect(), same), provider);
        for (name, value) in call.set_headers() {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.added {
            headers.insert(name, value.clone());
        }
        match &self.betas {
            Betas::AsTheyCame => {}
            Betas::Only(line) => drop(headers.insert(ANTHROPIC_BETA, line.clone())),
            Betas::None => drop(headers.remove(ANTHROPIC_BETA)),
        }
        for (name, value) in self.said {
            headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
        }
        if let Some(hint) = hint.and_then(|hint| HeaderValue::try_from(hint).ok()) {
            // By these look-alikes keep conversations together in turn.
            for name in [X_SESSION_AFFINITY, X_SESSION_ID] {
                headers.entry(name).or_insert_with(|| hint.clone());
            }
        }
        finish(&mut headers, &self.media, provider);
        headers.insert(CDN_LOOP, call.context.caller.hops.said());
        if self.is_compressed() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(REQUEST_CODING.as_str()));
        }
        match provider.credential_of(key) {
            Some(Credential::Header(name, value)) => drop(headers.insert(name.clone(), value.clone())),
            Some(Credential::Signed(signer)) => {
                signer.sign((&self.method, &self.uri), provider.origin.host(), &mut headers, &self.body);
            }
            Some(Credential::Token(token)) => match token.held() {
                Some(CloudCredential::Bearer(value)) => drop(headers.insert(AUTHORIZATION, value)),
                Some(CloudCredential::Signer(signer)) => {
                    signer.sign((&self.method, &self.uri), provider.origin.host(), &mut headers, &self.body);
                }
                None => {}
            },
            Some(Credential::OfCaller(auth)) => headers.extend(keys::passed(call, auth)),
            None => {}
        }
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// The words of the caller's query that go on.
pub(super) fn query_words(call: &InboundCall) -> impl Iterator<Item = &str> {
    let known = call.dialect().habits().query_words;
    call.query().into_iter().flat_map(|query| query.split('&')).filter(|word| known.contains(word))
}

/// A path with the words of the query that go on, if there are any.
fn with_query(uri: Uri, call: &InboundCall) -> Uri {
    let words = query_words(call).collect::<Vec<_>>();
    if words.is_empty() {
        return uri;
    }
    // A path with a query is a URI still.
    let mark = if uri.query().is_some() { '&' } else { '?' };
    format!("{uri}{mark}{}", words.join("&")).parse().unwrap_or(uri)
}

/// The caller's bytes with as few of them changed as need be.
struct Spliced {
    body: Bytes,
    usage_is_ours: bool,
    clamped: Option<u64>,
}

fn spliced(call: &InboundCall, (model, offer): (&str, &Offer), provider: &Provider) -> Spliced {
    let peek = &call.peek;
    let mut edits: [Option<Edit>; 8] = [const { None }; 8];
    let [new_model, max_tokens, other_max_tokens, temperature, usage, settings, previous, thinking] = &mut edits;
    *previous = call.named_as_kept();
    let mut clamped = None;
    // A body behind a path that named the model may name another, or none.
    let only_in_body = call.path_model().is_some() && !offer.names_the_model();
    if only_in_body || (model != call.model() && peek.span(Field::Model).is_some()) {
        *new_model = Some(peek.set_model(model));
    }
    if call.operation.generates() {
        let habits = call.dialect().habits();
        if let (None, Some(most)) = (peek.max_tokens, provider.defaults.default_max_tokens) {
            let field = if provider.defaults.compatible() { Some(habits.old_max_tokens) } else { habits.max_tokens };
            *max_tokens = field.map(|field| peek.set(field, most.to_string().into_bytes()));
        }
        if let (Some(wanted), Some(most)) = (peek.max_tokens, provider.defaults.max_output.get(model))
            && wanted > *most
        {
            clamped = Some(*most);
            *thinking = Dialect::thinking_within(&call.body, *most);
            // A smaller limit beside it stays the caller's own.
            let is_above = |field| peek.is_above(&call.body, field, *most);
            let limit = |field| is_above(field).then(|| peek.set(field, most.to_string().into_bytes()));
            *max_tokens = limit(Field::MaxTokens).or_else(|| limit(Field::MaxOutputTokens));
            *other_max_tokens = limit(Field::MaxCompletionTokens);
        }
        if let (None, Some(degree), Some(_)) =
            (&peek.temperature, &provider.defaults.default_temperature, habits.max_tokens)
        {
            *temperature = Some(peek.set(Field::Temperature, degree.to_string().into_bytes()));
        }
        if let Some(within) = habits.settings_within {
            let most = provider.defaults.default_max_tokens.filter(|_| peek.max_tokens.is_none()).or(clamped);
            *settings = settings_within(call, within, (most, clamped.is_some()), &provider.defaults);
        }
        if peek.stream && habits.usage_is_asked_for && provider.defaults.asks_for_usage() {
            *usage = peek.ask_for_usage(&call.body);
        }
    }
    let usage_is_ours = usage.is_some();
    if edits.iter().all(Option::is_none) {
        return Spliced { body: call.body.clone(), usage_is_ours, clamped };
    }
    let edits = edits.into_iter().flatten().collect::<Vec<_>>();
    Spliced { body: verbatim::splice(&call.body, &edits), usage_is_ours, clamped }
}

/// The pool's defaults and limit, where the caller's settings stand in an object of their own.
fn settings_within(
    call: &InboundCall,
    within: SettingsWithin,
    (most, replaces): (Option<u64>, bool),
    defaults: &ProviderProfile,
) -> Option<Edit> {
    let SettingsWithin { field, max_tokens, temperature } = within;
    let put = |names, value, replaces| NestedSetting { names, value, replaces };
    let most = most.map(|most| put(max_tokens, most.to_string(), replaces));
    let degree = defaults.default_temperature.as_ref().map(|degree| put(temperature, degree.to_string(), false));
    let settings: Vec<NestedSetting> = most.into_iter().chain(degree).collect();
    call.peek.put_within(&call.body, field, &settings)
}

fn finish(headers: &mut HeaderMap, (kind, accepted): &(HeaderValue, HeaderValue), provider: &Provider) {
    if !kind.is_empty() {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    headers.insert(ACCEPT, accepted.clone());
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    for (name, value) in &provider.set_headers {
        // The client writes `host` itself, unless the configuration wants another.
        if *name != HOST || !value.is_empty() {
            headers.insert(name.clone(), value.clone());
        }
    }
}
