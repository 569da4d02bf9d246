//! Consumers that are made of a template when a subject of its tokens calls first: bounded, those that called last are kept.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_config::{Consumer, JwtSubjects, ObjectId};

use super::known::KnownConsumer;
use crate::jwt::{Claims, text};
use crate::limit::SharedLimits;

/// The longest name that is told as it is; of longer ones, and of those with letters that stand in no log, a digest is.
const LONGEST: usize = 64;

/// The consumers of one template.
pub(super) struct Subjects {
    id: Arc<ObjectId>,
    template: Consumer,
    claim: Box<str>,
    /// The most of a generation.
    most: usize,
    limits: Arc<SharedLimits>,
    known: Mutex<Generations>,
}

/// Those that were asked for lately, and those that were before that: who is asked for comes to the former, and when they are full
/// they become the latter.
#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Arc<KnownConsumer>>,
    old: HashMap<Box<str>, Arc<KnownConsumer>>,
}

impl Subjects {
    /// None is known yet.
    pub(super) fn new(id: &Arc<ObjectId>, template: &Consumer, by: &JwtSubjects, limits: &Arc<SharedLimits>) -> Self {
        let most = usize::try_from(by.max / 2).unwrap_or(usize::MAX).max(1);
        Self {
            id: Arc::clone(id),
            template: template.clone(),
            claim: by.claim.as_str().into(),
            most,
            limits: Arc::clone(limits),
            known: Mutex::default(),
        }
    }

    /// The consumer that a token's subject is; `None`: it names none.
    pub(super) fn of(&self, claims: &Claims) -> Option<Arc<KnownConsumer>> {
        let subject = text(claims, &self.claim).filter(|subject| !subject.is_empty())?;
        let subject = told(subject);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &mut *known;
        if let Some(found) = young.get(&*subject) {
            return Some(Arc::clone(found));
        }
        let fresh = || Arc::new(KnownConsumer::of_subject((&self.id, &self.template), &subject, &self.limits));
        let found = old.remove(&*subject).unwrap_or_else(fresh);
        if young.len() >= self.most {
            *old = mem::take(young);
        }
        young.insert(subject, Arc::clone(&found));
        Some(found)
    }
}

/// The name of a subject, as logs and metrics tell it.
fn told(subject: &str) -> Box<str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'|' | b'"' | b'\\' | b'~');
    if subject.len() <= LONGEST && subject.bytes().all(is_plain) {
        return subject.into();
    }
    let digest = blake3::derive_key("sluicegate name of a subject v1", subject.as_bytes());
    let [.., high, low] = *digest.as_chunks::<8>().0 else { return "~".into() };
    format!("~{:016x}{:016x}", u64::from_le_bytes(high), u64::from_le_bytes(low)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluicegate_config::compile::{compile, manifests};

    use super::*;

    #[test]
    fn subjects_are_bounded_and_those_that_called_last_stay() {
        let text = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {name: staff}\nspec:\n  \
                    jwt: {issuer: \"https://x\", audiences: [a], subjects: {claim: user.id, max: 4}}\n  \
                    limits: {rate: [{per: Consumer, unit: Requests, amount: 3}]}\n";
        let compiled = compile(&manifests::read(&[("all.yaml".to_owned(), text.to_owned())]).0);
        let (id, template) = compiled.snapshot.consumers.into_iter().next().unwrap();
        let by = template.jwt.as_ref().unwrap().subjects.clone().unwrap();
        let subjects = Subjects::new(&Arc::new(id), &template, &by, &Arc::default());
        let of = |name: &str| {
            let claims = json!({"user": {"id": name}});
            subjects.of(claims.as_object().unwrap())
        };
        let first = of("first").unwrap();
        assert_eq!(first.id().0, "default/staff/first");
        for number in 0..100 {
            assert_ne!(of(&format!("n{number}")).unwrap().identity(), first.identity());
            assert!(Arc::ptr_eq(&of("first").unwrap(), &first), "it has just called");
        }
        let held = |known: &Generations| known.young.len() + known.old.len();
        assert!(held(&subjects.known.lock().unwrap()) <= 4);
        assert!(of("").is_none() && subjects.of(json!({"sub": "first"}).as_object().unwrap()).is_none());
        for strange in ["a/b", "a b", "é", &"x".repeat(65)] {
            let id = of(strange).unwrap().id().0.clone();
            assert!(id.starts_with("default/staff/~") && id.len() == 15 + 32, "{id}");
        }
    }
}
