//! `LLMConsumer` to `Consumer`, and which form of each serves. A key that is gone from its Secret is gone: nothing of before
//! is kept of it, whatever else is wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sluicegate_crds::{self as crds, LLMConsumerSpec, rules};

use super::access;
use super::generated_secret::GeneratedSecret;
use super::inputs::Inputs;
use super::objects::{Told, by_id, namespace, only, source};
use super::report::Report;
use super::revision;
use super::route::model_match;
use super::verdict::Reason;
use super::{budgets, concurrency, credentials, features, generated_keys, key_conflicts, kubernetes_names, limits};
use crate::{Consumer, ConsumerKey, ConsumerMatch, CredentialId, FORMAT, KeyDigest, Kind, ObjectId};

const KIND: Kind = Kind::LlmConsumer;
/// A shorter key can be guessed, or found by its digest.
const SHORTEST: usize = 20;
/// No header needs a longer one.
const LONGEST: usize = 512;
/// The end of the name of a generated key's predecessor; no name that is written has a dot.
const PREVIOUS: &str = ".previous";

/// The consumers that serve.
pub(super) fn consumers(inputs: &Inputs<'_>, told: &mut Told) -> BTreeMap<ObjectId, Consumer> {
    let last = |id: &ObjectId| {
        inputs.previous.and_then(|snapshot| snapshot.consumers.get(id)).filter(|consumer| consumer.format == FORMAT)
    };
    let mut consumers = BTreeMap::new();
    let objects = by_id(&inputs.consumers);
    for (id, manifests) in &objects {
        let mut report = Report::new(KIND, id, source(manifests));
        let compiled = only(manifests, &mut report).map(|(manifest, spec)| {
            let compiling = Compiling { id, inputs, last: last(id) };
            compiling.consumer(spec, manifest.created, &mut report)
        });
        let serving = match compiled {
            // Whatever is missing is gone: the rest serves.
            Some(consumer) if !report.is_unusable() => Some(consumer),
            _ => told.keep(KIND, id, last(id).map(|last| as_of_now(last, inputs))),
        };
        consumers.extend(serving.map(|consumer| ((*id).clone(), sealed(consumer))));
        told.verdicts.extend(report.into_verdicts());
    }
    if let Some(snapshot) = inputs.previous.filter(|_| inputs.incomplete) {
        for id in snapshot.consumers.keys().filter(|id| !objects.contains_key(id)) {
            let kept = told.keep(KIND, id, last(id).cloned());
            consumers.extend(kept.map(|consumer| (id.clone(), consumer)));
        }
    }
    key_conflicts::judge(&consumers, inputs.key_conflicts, |id, key, first| {
        let Some(manifests) = objects.get(id) else { return };
        let spec = manifests.first().and_then(|manifest| manifest.spec.as_ref().ok());
        let key = key.strip_suffix(PREVIOUS).unwrap_or(key);
        let at = spec.and_then(|spec| spec.keys.iter().position(|own| own.name == *key));
        let path = at.map_or_else(String::new, |at| format!("spec.keys[{at}]"));
        let who = if namespace(id) == namespace(first) { first.0.as_str() } else { "of another namespace" };
        let message = format!(
            "the consumer {who} has the same key and is the one that is known by it, being older or, at the same age, first \
             by name: write another key into this one's Secret"
        );
        let mut report = Report::new(KIND, id, source(manifests));
        report.error(&path, Reason::DuplicateKey, message);
        told.verdicts.extend(report.into_verdicts());
    });
    consumers
}

/// One consumer on its way.
struct Compiling<'a> {
    id: &'a ObjectId,
    inputs: &'a Inputs<'a>,
    /// The form of it that was compiled last.
    last: Option<&'a Consumer>,
}

impl Compiling<'_> {
    fn consumer(&self, spec: &LLMConsumerSpec, created: i64, report: &mut Report<'_>) -> Consumer {
        let LLMConsumerSpec { keys, jwt, labels, chargeback, members, priority, models, limits, disabled } = spec;
        let chargeback_to_providers = chargeback.as_ref().is_some_and(|own| own.to_providers);
        let chargeback = chargeback.as_ref().map(|own| own.labels.clone()).unwrap_or_default();
        let is_known = |name: &String| labels.contains_key(name);
        report.rule("spec", rules::CHARGEBACK_LABELS, chargeback.iter().all(is_known));
        kubernetes_names::labels(labels, "spec.labels", report);
        report.rule("spec", rules::CONSUMER_KNOWN, !keys.is_empty() || jwt.is_some() || members.is_some());
        report.rule("spec", rules::CONSUMER_GROUP, members.is_none() || is_group(spec));
        let key_names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).chain(jwt.as_ref().map(|_| "")).collect();
        let names: Vec<&str> =
            keys.iter().filter_map(|key| key.generate.as_ref().map(|own| own.secret_name.as_str())).collect();
        let once = names.iter().all(|one| names.iter().filter(|other| *other == one).count() == 1);
        report.rule("spec.keys", rules::GENERATED_ONCE, once);
        let keys = keys.iter().enumerate();
        let keys = keys.flat_map(|(at, key)| self.keys(key, &format!("spec.keys[{at}]"), report)).collect();
        let of = format!("LLMConsumer {}", self.id.0);
        let allow = models.iter().flat_map(|crds::ConsumerModels { allow }| allow).enumerate();
        Consumer {
            format: FORMAT,
            revision: String::new(),
            requires: Vec::new(),
            created,
            disabled: *disabled,
            keys,
            jwt: jwt.as_ref().map(|jwt| super::jwt::compile(jwt, report)),
            members: members.as_ref().map(|members| self.members(members, report)),
            labels: labels.clone(),
            chargeback,
            chargeback_to_providers,
            limits: limits::compile(limits.as_ref(), "spec", report),
            budgets: budgets::compile(limits.as_ref(), (&of, Some(&key_names)), "spec", report),
            priority: priority.unwrap_or_default(),
            concurrency: concurrency::of_limits(limits.as_ref(), "spec", report),
            models: allow
                .filter_map(|(at, model)| model_match(model, &format!("spec.models.allow[{at}]"), report))
                .collect(),
        }
    }

    /// The members of a group: of its own namespace, since nobody else's consumers are its to count.
    fn members(&self, spec: &crds::ConsumerSelector, report: &mut Report<'_>) -> ConsumerMatch {
        let own = namespace(self.id);
        let members = access::consumers(spec, own, "spec.members", report);
        if members.namespaces.iter().any(|one| one != own) {
            let message = format!("a group has members of its own namespace alone: write {own}, or leave it out");
            report.invalid("spec.members.namespaces", message);
        }
        members
    }

    /// A key if it can be had, and the one before it while both are good.
    fn keys(&self, spec: &crds::ConsumerKey, path: &str, report: &mut Report<'_>) -> Vec<ConsumerKey> {
        let crds::ConsumerKey { name, secret_ref, generate, expires_at } = spec;
        report.rule(path, rules::KEY_ONE_OF, secret_ref.is_some() != generate.is_some());
        let expires_at = expires_at.as_ref().map(|crds::Time(text)| {
            let time = text.parse::<Timestamp>().map(Timestamp::as_second);
            let time =
                time.map_err(|_| format!("{text:?} is no time that there is: write one such as 2027-01-31T00:00:00Z"));
            report.check(&format!("{path}.expiresAt"), time)
        });
        let namespace = namespace(self.id);
        let (field, places) = match (secret_ref, generate) {
            (Some(secret_ref), _) => {
                let secret = CredentialId(format!("{namespace}/{}/{}", secret_ref.name, secret_ref.key));
                ("secretRef", vec![(secret, expires_at)])
            }
            (None, Some(generate)) => {
                let path = format!("{path}.generate");
                generated_keys::judge(generate, &path, report);
                let secret = ObjectId(format!("{namespace}/{}", generate.secret_name));
                ("generate", self.generated(&secret, expires_at, &path, report))
            }
            (None, None) => return Vec::new(),
        };
        let key = |(at, (secret, expires_at)): (usize, (CredentialId, Option<i64>))| {
            let digest = self.digest(&secret, &format!("{path}.{field}"), report)?;
            let name = if at == 0 { name.clone() } else { format!("{name}{PREVIOUS}") };
            Some(ConsumerKey { name, secret, digest, expires_at })
        };
        places.into_iter().enumerate().filter_map(key).collect()
    }

    /// The places of a generated key and of the one before it.
    fn generated(
        &self,
        secret: &ObjectId,
        expires_at: Option<i64>,
        path: &str,
        report: &mut Report<'_>,
    ) -> Vec<(CredentialId, Option<i64>)> {
        let standing = match self.inputs.generated.get(&(self.id.clone(), secret.clone())) {
            Some(standing) => standing.clone(),
            // Where nobody makes keys one may be there by other means.
            None if self.inputs.secrets.contains_key(secret) => {
                GeneratedSecret { is_own: true, ..GeneratedSecret::default() }
            }
            None => {
                let message = format!(
                    "there is no Secret {}: an operator in a cluster makes it, nobody does here; write one to try this consumer out",
                    secret.0
                );
                report.warning(path, Reason::SecretNotFound, message);
                GeneratedSecret::default()
            }
        };
        if let Some((reason, message)) = &standing.fault {
            report.error(path, *reason, message.as_str());
        }
        generated_keys::places(secret, &standing, expires_at)
    }

    /// The digest of a key, if it can be had.
    fn digest(&self, secret: &CredentialId, path: &str, report: &mut Report<'_>) -> Option<KeyDigest> {
        match look(secret, self.inputs) {
            Ok(digest) => Some(digest),
            Err((reason, message)) => {
                report.error(path, reason, message);
                // A file that could not be read may hold it: then what was last read of it is still so.
                let may_be_unread = self.inputs.incomplete && self.inputs.services.is_none();
                let last = self.last.filter(|_| may_be_unread)?;
                Some(last.keys.iter().find(|key| key.secret == *secret)?.digest)
            }
        }
    }
}

/// A previous form with the keys that its Secrets hold by now.
fn as_of_now(last: &Consumer, inputs: &Inputs<'_>) -> Consumer {
    let mut consumer = last.clone();
    consumer.keys.retain_mut(|key| look(&key.secret, inputs).map(|digest| key.digest = digest).is_ok());
    consumer
}

/// True if something is a group, and no more.
fn is_group(spec: &LLMConsumerSpec) -> bool {
    let LLMConsumerSpec { keys, jwt, labels: _, chargeback: _, members: _, priority, models, limits, disabled } = spec;
    let counts = |limits: &crds::Limits| {
        let crds::Limits { rate, budgets, concurrency } = limits;
        !budgets.is_empty()
            && budgets.iter().all(|budget| budget.per.is_none())
            && rate.is_empty()
            && concurrency.is_none()
    };
    let calls = !keys.is_empty() || jwt.is_some() || models.is_some() || priority.is_some() || *disabled;
    !calls && limits.as_ref().is_some_and(counts)
}

/// With the revision that belongs to its content.
fn sealed(mut consumer: Consumer) -> Consumer {
    consumer.requires = features::of_consumer(&consumer);
    consumer.revision = String::new();
    consumer.revision = revision::of(&consumer);
    consumer
}

/// The digest of a key, or why there is none.
pub(super) fn look(id: &CredentialId, inputs: &Inputs<'_>) -> Result<KeyDigest, (Reason, String)> {
    let (secret, key, value) = credentials::find(id, "consumer", inputs)?;
    let length = value.excess().unwrap_or_else(|| value.trimmed().len());
    let value = value.trimmed();
    let fits = (SHORTEST..=LONGEST).contains(&length);
    if !fits || !value.iter().all(u8::is_ascii_graphic) {
        let length = if fits { String::new() } else { format!(", with {length} letters") };
        let message = format!(
            "{key:?} of the Secret {secret} is no key that callers can be known by{length}: write {SHORTEST} to {LONGEST} letters of \
             printable ASCII without spaces that nobody can guess, such as `openssl rand -hex 32` makes"
        );
        return Err((Reason::SecretInvalid, message));
    }
    Ok(KeyDigest(Sha256::digest(value).into()))
}
