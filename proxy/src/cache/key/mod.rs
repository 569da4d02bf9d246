//! The exact cache key: 32 bytes that two requests share when the route says that they are the same request.
//!
//! The parts of it: route and rule, the route's generation, who may share the answer, the dialect, who is asked and
//! what is put into its requests, the headers that go on to it, and the body without `stream` and `stream_options` (a
//! streamed and a whole answer are one). Key order and white space of the JSON never matter, the way a string is
//! escaped neither; 1 and 1.0
//! are one number.

mod again;
mod canon;
mod headers;
mod rules;

use std::cell::RefCell;

use http::{HeaderMap, HeaderName};
use sluicegate_config::{Cache, CacheKey, CacheScope, Coalesce, ObjectId};
use sluicegate_dialects::Dialect;

use again::Again;
use canon::Scratch;
pub use canon::Uncacheable;
use rules::{Rules, put};

use crate::compression::AnswerCoding;

/// Raised whenever equal keys could come to mean different things.
const VERSION: u8 = 2;
/// Scratch space over this many bytes is given back after use.
const KEEP_SCRATCH: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<(Scratch, Again)> = RefCell::default();
}

/// A request's exact key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// In hexadecimal, as it stands in Redis.
    #[must_use]
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().as_str().to_owned()
    }
}

/// The part of a rule that goes into its keys; made once per configuration.
#[derive(Debug, Clone)]
pub struct Recipe {
    prefix: Vec<u8>,
    rules: Rules,
    scope: CacheScope,
}

/// The part of a call that goes into its key.
#[derive(Clone, Copy)]
pub struct CacheQuery<'a> {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// Digest of the caller's credential; `None`: the caller showed none (all such callers are one), or the recipe does not
    /// tell callers apart.
    pub caller: Option<[u8; 32]>,
    /// The caller's request headers.
    pub headers: &'a HeaderMap,
    /// True if a header of the caller's goes on to providers; one that stays here changes no answer.
    pub goes_on: &'a dyn Fn(&HeaderName) -> bool,
    /// True if the path, too, says that the call is of the vendor's beta.
    pub beta: bool,
    /// Stands for who is asked, for which models, and what of the gateway's own goes into requests.
    pub served_by: [u8; 32],
    /// The model, where the path names it and the body does not.
    pub model: Option<&'a str>,
    /// The body as it came.
    pub body: &'a [u8],
    /// True if the answer is to be streamed.
    pub stream: bool,
    /// True if the caller asked for usage in the stream (always so in dialects that always send it).
    pub stream_usage: bool,
    /// The coding that the caller likes a whole answer in; it is in no key.
    pub accepts: Option<AnswerCoding>,
}

impl Recipe {
    /// Of one rule of a route. The rule's name is in it: two rules may send equal bodies to different models.
    #[must_use]
    pub fn new(route: &ObjectId, rule: &str, settings: &Cache) -> Self {
        Self::of((route, rule), (&settings.key, settings.scope), settings.generation)
    }

    /// Of one rule of a route, for calls that share an answer while it comes and do not keep it.
    #[must_use]
    pub fn of_shared(route: &ObjectId, rule: &str, settings: &Coalesce) -> Self {
        Self::of((route, rule), (&settings.key, settings.callers), 0)
    }

    fn of((route, rule): (&ObjectId, &str), (key, scope): (&CacheKey, CacheScope), generation: u64) -> Self {
        let rules = Rules::new(key);
        let mut prefix = vec![VERSION];
        put(&mut prefix, route.0.as_bytes());
        put(&mut prefix, rule.as_bytes());
        prefix.extend_from_slice(&generation.to_le_bytes());
        rules.fingerprint(&mut prefix);
        Self { prefix, rules, scope }
    }

    /// True if callers share no answers.
    #[must_use]
    pub fn tells_callers_apart(&self) -> bool {
        self.scope != CacheScope::Route
    }

    /// The key of a call.
    ///
    /// # Errors
    /// When no answer to this request may be kept, or none can be told apart from another's.
    pub fn key(&self, asked: &CacheQuery<'_>) -> Result<Key, Uncacheable> {
        SCRATCH.with(|cell| match cell.try_borrow_mut() {
            Ok(mut own) => {
                let (scratch, again) = &mut *own;
                self.key_with(asked, scratch, again)
            }
            Err(_) => self.key_with(asked, &mut Scratch::default(), &mut Again::default()),
        })
    }

    /// The key that a call shares with those of other dialects that ask the same model for what means the same; `None`: it is of the vendor's
    /// beta, or not all of a body counts here, which is said in one dialect's words.
    #[must_use]
    pub fn key_of_meaning(&self, asked: &CacheQuery<'_>, (model, meaning): (&str, &[u8])) -> Option<Key> {
        if asked.beta || !self.rules.are_none() {
            return None;
        }
        let mut out = Vec::with_capacity(self.prefix.len() + meaning.len() + 256);
        self.begin(asked, &mut out);
        // No dialect has this number.
        out.push(0);
        out.extend_from_slice(&asked.served_by);
        let counts = |name: &HeaderName| (asked.goes_on)(name) && !headers::is_form(asked.headers, name);
        headers::write(asked.headers, counts, &mut out);
        put(&mut out, model.as_bytes());
        out.extend_from_slice(meaning);
        Some(Key(*blake3::hash(&out).as_bytes()))
    }

    /// The beginning of all keys: of the recipe, and of whom an answer is shared with.
    fn begin(&self, asked: &CacheQuery<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        match (self.scope, asked.caller) {
            (CacheScope::Route, _) => out.push(0),
            (CacheScope::Consumer, None) => out.push(1),
            (CacheScope::Consumer, Some(caller)) => {
                out.push(2);
                out.extend_from_slice(&caller);
            }
        }
    }

    fn key_with(&self, asked: &CacheQuery<'_>, scratch: &mut Scratch, again: &mut Again) -> Result<Key, Uncacheable> {
        let out = scratch.begin();
        self.begin(asked, out);
        out.push(asked.dialect.code());
        out.push(u8::from(asked.beta));
        out.extend_from_slice(&asked.served_by);
        headers::write(asked.headers, asked.goes_on, out);
        // Bodies of a dialect all have it or none of them: nothing else can be taken for it.
        asked.model.into_iter().for_each(|model| put(out, model.as_bytes()));
        let head = out.len();
        // The request as it came. The head's length says where the body begins.
        out.extend_from_slice(asked.body);
        put(out, &head.to_le_bytes());
        let digest = *blake3::hash(out).as_bytes();
        let key = match again.key(&digest) {
            Some(key) => Ok(Key(key)),
            None => {
                out.truncate(head);
                let canonical = scratch.canonical(asked.body, &self.rules);
                canonical.map(|bytes| Key(*blake3::hash(bytes).as_bytes())).inspect(|key| again.remember(digest, key.0))
            }
        };
        scratch.end(KEEP_SCRATCH);
        key
    }
}

#[cfg(test)]
mod tests;
