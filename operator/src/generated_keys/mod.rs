//! Keys of consumers that the operator makes: each in a Secret of its own, beside its predecessor for a while after a rotation.
//! A Secret that is there already is never written over, nor a key in one that the operator did not make.

mod decision;

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use sluicegate_config::GENERATED_KEY_PREFIX;
use sluicegate_config::compile::{
    GENERATED_KEY, GeneratedSecret, GeneratedSecrets, PREVIOUS_KEY, Reason, WantedKey, generated_digest, steps,
};

use crate::client::error_text;
use crate::gather::Batch;
use crate::lease::{LONGEST_WRITE, Leadership};
use crate::randomness;
use crate::world::{Key, MANAGER, ReadSecret, Shared, generated_labels, parts};

use decision::{DIGEST, KeyDecision, KeyStep, MADE_AT, PREVIOUS_DIGEST, PREVIOUS_UNTIL, ROTATED_AT, decide};

/// A consumer is looked at again after this at the latest: the system's clock may have been set meanwhile.
const LONGEST_WAIT: i64 = 3_600;
/// A write that failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// Writes on their way at once.
const AT_ONCE: usize = 16;

/// Makes keys.
pub struct KeyGenerator {
    /// The world as it is known.
    pub world: Shared,
    /// Writes.
    pub client: Client,
    /// The leadership: whether this replica may write.
    pub leadership: Rc<Leadership>,
    /// True if the operator may write Secrets where consumers are.
    pub enabled: bool,
}

/// A key of a consumer's.
struct Request<'a> {
    consumer: &'a Key,
    uid: &'a str,
    wanted: &'a WantedKey,
}

impl KeyGenerator {
    /// Takes the steps that are due for the objects of a pass, and sets when the next ones will be. The standing of every Secret
    /// that they ask for.
    pub async fn generate(&self, batch: &Batch) -> GeneratedSecrets {
        let consumers = batch.keys.iter();
        let wanted = consumers.flat_map(|consumer| self.wanted(consumer).into_iter().map(move |one| (consumer, one)));
        let steps = wanted.collect::<Vec<_>>().into_iter().map(|(consumer, (uid, wanted))| async move {
            let standing = self.step(&Request { consumer, uid: &uid, wanted: &wanted }).await;
            ((consumer.id.clone(), wanted.secret), standing)
        });
        stream::iter(steps).buffer_unordered(AT_ONCE).collect().await
    }

    fn wanted(&self, consumer: &Key) -> Vec<(String, WantedKey)> {
        let world = self.world.borrow();
        let Some(object) = world.object(consumer) else { return Vec::new() };
        let spec = object.spec.as_deref().unwrap_or_default();
        let wanted = steps(consumer.kind).generated(spec, consumer.parts().0);
        wanted.into_iter().map(|wanted| (object.uid.to_string(), wanted)).collect()
    }

    /// Takes the step that is due for a key.
    async fn step(&self, request: &Request<'_>) -> GeneratedSecret {
        let now = now();
        let (decision, read) = self.decide(request, now);
        let KeyDecision { step, next, is_own, fault } = decision;
        let standing =
            |fault| GeneratedSecret { is_own, previous_until: read.as_ref().and_then(decision::previous_until), fault };
        if step == KeyStep::Rest {
            self.wait_until(request.consumer, now, next);
            return standing(fault);
        }
        if !self.enabled {
            // What is over is refused by proxies without that.
            let fault = step.makes_a_key().then(|| disabled(request.wanted, is_own));
            return GeneratedSecret { is_own: is_own && step != KeyStep::Renew, ..standing(fault) };
        }
        match self.write(request, step, read.as_ref(), now).await {
            Ok(written) => {
                // Only one before is kept: a rotation within its time ends it.
                let previous_dropped = step == KeyStep::Rotate && standing(None).previous_until.is_some();
                tracing::info!(
                    consumer = request.consumer.id.0,
                    secret = request.wanted.secret.0,
                    ?step,
                    previous_dropped,
                    "a key was made or taken out"
                );
                let previous_until = decision::previous_until(&written);
                let id = &request.wanted.secret;
                let next = decide(request.wanted, Some(&written), request.uid, now).next;
                self.wait_until(request.consumer, now, next);
                self.world.borrow_mut().secrets.put(id, Some(written));
                GeneratedSecret { is_own: true, previous_until, fault: None }
            }
            Err(message) => {
                let mut world = self.world.borrow_mut();
                world.secrets.touch(&request.wanted.secret);
                world.queue.wake_at(request.consumer, Instant::now() + AGAIN);
                drop(world);
                tracing::warn!(
                    error = message,
                    consumer = request.consumer.id.0,
                    secret = request.wanted.secret.0,
                    "a key could not be written; it is tried again"
                );
                let message = format!(
                    "the Secret {} could not be written, which is tried again: {message}",
                    request.wanted.secret.0
                );
                let is_own = is_own && step != KeyStep::Renew;
                GeneratedSecret { is_own, ..standing(Some((Reason::SecretNotWritten, message))) }
            }
        }
    }

    fn decide(&self, request: &Request<'_>, now: i64) -> (KeyDecision, Option<ReadSecret>) {
        let world = self.world.borrow();
        let read = world.secrets.get(&request.wanted.secret).and_then(Option::as_ref);
        (decide(request.wanted, read, request.uid, now), read.cloned())
    }

    /// Has a consumer looked at again when its next step is due.
    fn wait_until(&self, consumer: &Key, now: i64, next: Option<i64>) {
        let Some(next) = next else { return };
        let wait = u64::try_from((next - now).clamp(1, LONGEST_WAIT)).unwrap_or(1);
        self.world.borrow_mut().queue.wake_at(consumer, Instant::now() + Duration::from_secs(wait));
    }

    /// Writes what a step changes; only over what was read.
    async fn write(
        &self,
        request: &Request<'_>,
        step: KeyStep,
        read: Option<&ReadSecret>,
        now: i64,
    ) -> Result<ReadSecret, String> {
        if !self.leadership.holds() {
            return Err("this replica leads no longer".to_owned());
        }
        let (namespace, name) = parts(&request.wanted.secret);
        let api: Api<core::Secret> = Api::namespaced(self.client.clone(), namespace);
        let body = body(request, step, read, now).ok_or("there is no randomness to make a key of")?;
        let written = async {
            match read {
                // An API server refuses to create what is there.
                None => {
                    let secret = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
                    let how = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                    api.create(&how, &secret).await
                }
                Some(_) => {
                    let how = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
                    api.patch(name, &how, &Patch::Merge(&body)).await
                }
            }
        };
        match tokio::time::timeout(LONGEST_WRITE, written).await {
            Ok(Ok(secret)) => Ok(secret.into()),
            Ok(Err(error)) => Err(error_text(&error)),
            Err(_) => Err("the API server does not answer".to_owned()),
        }
    }
}

/// The Secret to create, or what changes in it.
fn body(request: &Request<'_>, step: KeyStep, read: Option<&ReadSecret>, now: i64) -> Option<Value> {
    let (namespace, name) = parts(&request.wanted.secret);
    let mut annotations = serde_json::Map::new();
    let mut data = serde_json::Map::new();
    if step.makes_a_key() {
        let key = format!("{GENERATED_KEY_PREFIX}{}", randomness::word()?);
        annotations.insert(DIGEST.to_owned(), generated_digest(key.as_bytes()).into());
        annotations.insert(ROTATED_AT.to_owned(), time(now).into());
        annotations.insert(MADE_AT.to_owned(), time(now).into());
        data.insert(GENERATED_KEY.to_owned(), serde_json::to_value(k8s_openapi::ByteString(key.into_bytes())).ok()?);
    }
    if step == KeyStep::Rotate {
        let before = read?.data.get(GENERATED_KEY)?.expose();
        let until = now.saturating_add(decision::seconds(request.wanted.overlap.0));
        annotations.insert(PREVIOUS_DIGEST.to_owned(), generated_digest(before).into());
        annotations.insert(PREVIOUS_UNTIL.to_owned(), time(until).into());
        let before = k8s_openapi::ByteString(before.to_vec());
        data.insert(PREVIOUS_KEY.to_owned(), serde_json::to_value(before).ok()?);
    }
    if step == KeyStep::EndOverlap {
        annotations.insert(PREVIOUS_DIGEST.to_owned(), Value::Null);
        annotations.insert(PREVIOUS_UNTIL.to_owned(), Value::Null);
        data.insert(PREVIOUS_KEY.to_owned(), Value::Null);
    }
    let mut metadata = json!({"name": name, "namespace": namespace, "annotations": annotations});
    let fields = metadata.as_object_mut()?;
    match read {
        Some(read) => drop(fields.insert("resourceVersion".to_owned(), read.version.as_str().into())),
        None => {
            let (_, consumer) = request.consumer.parts();
            fields.insert("labels".to_owned(), json!(generated_labels()));
            let owner = json!({
                "apiVersion": format!("{}/{}", sluicegate_crds::GROUP, sluicegate_crds::VERSION),
                "kind": request.consumer.kind.as_str(), "name": consumer, "uid": request.uid, "controller": true,
            });
            fields.insert("ownerReferences".to_owned(), json!([owner]));
        }
    }
    Some(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}))
}

/// The words of an operator that may not write Secrets.
fn disabled(wanted: &WantedKey, is_own: bool) -> (Reason, String) {
    let what = if is_own { "a new key is due in" } else { "there is no Secret" };
    let message = format!(
        "{what} {}, and this gateway's operator makes no keys: set operator.generateKeys: true in the chart's values, which \
         lets it create and patch Secrets in the namespaces that it watches, or write a key into a Secret and name it in secretRef",
        wanted.secret.0
    );
    (Reason::GenerationDisabled, message)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A time as annotations have it.
fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}
