//! The last reads of a pass: whatever the objects at hand name is read; after that there are only values.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use sluicegate_config::compile::{
    self, Compiled, Credentials, DeniedNetworks, Fault, GeneratedSecrets, Inputs, Resource, Service, Slice,
    SliceEndpoint, SlicePort, Spec,
};
use sluicegate_config::{ObjectId, Snapshot};

use crate::client::error_text;
use crate::world::{Key, Named, Object, ReadSecret, Shared, Stamp, TakenFields, World, parts};

/// Reads on their way at once.
const AT_ONCE: usize = 16;

/// The objects of a pass, and what they need.
#[derive(Debug, Default)]
pub struct Batch {
    /// To be compiled and published.
    pub keys: Vec<Key>,
    /// Objects of which something that they name could not be read: they stay as they are for now.
    pub unread: BTreeSet<Key>,
    /// The standing of the Secrets in which keys are to be made for them.
    pub generated: GeneratedSecrets,
}

/// Reads what the objects name and is not known, or no longer. What cannot be read is tried again later; the pools that
/// need it are left as they are.
pub async fn read(world: &Shared, client: &Client, keys: Vec<Key>) -> Batch {
    let reads: Vec<(Named, Stamp)> = {
        let world = world.borrow();
        let objects = closure(&world, &keys);
        let objects = objects.iter().filter(|key| !is_gone(&world, key));
        let named: BTreeSet<&Named> = objects.flat_map(|key| world.names(key)).collect();
        named.into_iter().filter_map(|named| Some((named.clone(), stale(&world, named)?))).collect()
    };
    let failed: BTreeSet<Named> = stream::iter(reads)
        .map(|(named, stamp)| async move { learn(world, client, &named, stamp).await.then_some(named) })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut batch = Batch { keys, ..Batch::default() };
    if !failed.is_empty() {
        let mut world = world.borrow_mut();
        batch.unread = closure(&world, &batch.keys);
        batch.unread.retain(|key| !is_gone(&world, key) && world.names(key).any(|named| failed.contains(named)));
        batch.unread.iter().for_each(|key| world.queue.retry(key, Instant::now()));
        batch.keys.retain(|key| !batch.unread.contains(key));
    }
    batch
}

/// True for an object that is not there, or is in a namespace that is not watched any longer: what it named says nothing of it, and may not
/// be readable with it.
fn is_gone(world: &World, key: &Key) -> bool {
    world.knows(key) && world.object(key).is_none()
}

/// The objects of a pass: those at hand, and whatever they name, also through others.
fn closure(world: &World, keys: &[Key]) -> BTreeSet<Key> {
    let (mut objects, mut left) = (BTreeSet::new(), keys.to_vec());
    while let Some(key) = left.pop() {
        if !objects.contains(&key) {
            left.extend(world.objects_named_by(&key));
            objects.insert(key);
        }
    }
    objects
}

fn stale(world: &World, named: &Named) -> Option<Stamp> {
    match named {
        Named::Secret(id) => world.secrets.stale(id),
        Named::Service(id) => world.services.stale(id),
        Named::Object(..) => None,
    }
}

/// Reads one. Says whether that failed.
async fn learn(world: &Shared, client: &Client, named: &Named, stamp: Stamp) -> bool {
    let learnt = match named {
        Named::Secret(id) => secret(client, id).await.map(|found| world.borrow_mut().secrets.learn(id, stamp, found)),
        Named::Service(id) => {
            service(client, id).await.map(|found| world.borrow_mut().services.learn(id, stamp, found))
        }
        Named::Object(..) => Ok(()),
    };
    if let Err(error) = &learnt {
        tracing::warn!(error = error_text(error), ?named, "what a resource names could not be read; it is tried again");
    }
    learnt.is_err()
}

async fn secret(client: &Client, id: &ObjectId) -> Result<Option<ReadSecret>, kube::Error> {
    let (namespace, name) = parts(id);
    let found = Api::<core::Secret>::namespaced(client.clone(), namespace).get_opt(name).await?;
    Ok(found.map(ReadSecret::from))
}

async fn service(client: &Client, id: &ObjectId) -> Result<Option<Service>, kube::Error> {
    let (namespace, name) = parts(id);
    let Some(service) = Api::<core::Service>::namespaced(client.clone(), namespace).get_opt(name).await? else {
        return Ok(None);
    };
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace).list(&of_service).await?;
    let slices: Vec<Slice> = slices.items.into_iter().map(slice).collect();
    let spec = service.spec.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default().into_iter().filter_map(|port| {
        let endpoints = compile::endpoints(&slices, port.name.as_deref().unwrap_or_default());
        Some((u16::try_from(port.port).ok()?, endpoints))
    });
    Ok(Some(Service { ports: ports.collect(), is_external_name: spec.type_.as_deref() == Some("ExternalName") }))
}

fn slice(slice: EndpointSlice) -> Slice {
    let ports = slice.ports.unwrap_or_default().into_iter().map(|port| SlicePort {
        name: port.name.unwrap_or_default(),
        port: port.port.and_then(|port| u16::try_from(port).ok()),
    });
    let endpoints = slice.endpoints.into_iter().map(|endpoint| {
        let conditions = endpoint.conditions.unwrap_or_default();
        SliceEndpoint {
            addresses: endpoint.addresses,
            ready: conditions.ready,
            serving: conditions.serving,
            terminating: conditions.terminating,
        }
    });
    Slice { ports: ports.collect(), endpoints: endpoints.collect() }
}

/// Everything a pass compiles.
#[derive(Debug, Default)]
pub struct Gathered {
    inputs: Inputs<'static>,
    previous: Snapshot,
    previous_credentials: Credentials,
}

/// The objects at hand, closed over what they name, with what stands published of them. The closed part gives the same
/// bytes as the whole would.
#[must_use]
pub fn collect(world: &World, batch: &Batch) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.inputs.services = Some(Default::default());
    gathered.inputs.generated.clone_from(&batch.generated);
    for key in closure(world, &batch.keys) {
        let is_unread = batch.unread.contains(&key);
        let object = world.object(&key).filter(|_| !is_unread);
        // Of an object that is gone nothing is kept; of one that is not known to be gone, everything.
        let is_unknown = is_unread || !world.knows(&key);
        let steps = compile::steps(key.kind);
        if object.is_some() || is_unknown {
            if let Some(text) = world.previous(&key) {
                steps.recall(&mut gathered.previous, &key.id, text);
            }
            gathered.previous_credentials.extend(world.previous_credentials(&key));
        }
        gathered.inputs.incomplete |= is_unknown;
        if let Some(object) = object {
            steps.give(&mut gathered.inputs, resource(&key.id, object));
        }
        for named in world.names(&key) {
            gathered.take(world, named);
        }
    }
    let namespaces: BTreeSet<&str> = batch.keys.iter().map(|key| key.parts().0).collect();
    let labels = world.namespaces().filter(|(name, _)| namespaces.contains(name.as_str()));
    gathered.inputs.namespaces = labels.map(|(name, labels)| (name.clone(), labels.clone())).collect();
    gathered
}

impl Gathered {
    /// Compiles it, beside the routes and consumers that serve and by what the platform says of models. No provider may be
    /// where it is denied.
    #[must_use]
    pub fn compile(self, world: &World, denied: &Arc<DeniedNetworks>) -> Compiled {
        let Self { inputs, previous, previous_credentials } = self;
        compile::compile(&Inputs {
            previous: Some(&previous),
            previous_credentials: Some(&previous_credentials),
            conflicts: Some(&world.conflicts().matches),
            key_conflicts: Some(&world.conflicts().keys),
            model_claims: world.model_claims(),
            prices: world.prices(),
            denied: Arc::clone(denied),
            ..inputs
        })
    }

    fn take(&mut self, world: &World, named: &Named) {
        match named {
            Named::Secret(id) => {
                let found = world.secrets.get(id).and_then(Option::as_ref);
                self.inputs.secrets.extend(found.map(|secret| (id.clone(), secret.data.clone())));
            }
            Named::Service(id) => {
                let found = world.services.get(id).and_then(Option::as_ref);
                let services = self.inputs.services.get_or_insert_default();
                services.extend(found.map(|service| (id.clone(), service.clone())));
            }
            Named::Object(..) => {}
        }
    }
}

/// The words for a field that a definition has taken.
const TAKEN: &str = "the field was taken out of the object by a CustomResourceDefinition that does not know it, and the object itself was \
                     not changed: put the definitions of the running release back (kubectl apply --server-side -f crds/manifests), then apply \
                     the object again";

fn resource<'a>(id: &ObjectId, object: &'a Object) -> Resource<'a> {
    let missing = || {
        let message = "Required value: write spec and what belongs in it".to_owned();
        Spec::Faulty(vec![Fault { path: "spec".to_owned(), message }])
    };
    // What the object was meant to say is not there any more: its last good form serves on.
    let lost = |taken: &TakenFields| {
        let fault = |path: &String| Fault { path: path.clone(), message: TAKEN.to_owned() };
        Spec::Faulty(taken.paths.iter().map(fault).collect())
    };
    let spec = match &object.taken {
        Some(taken) => lost(taken),
        None => object.spec.as_deref().map_or_else(missing, Spec::Text),
    };
    Resource { id: id.clone(), created: object.created, source: compile::Source::default(), spec }
}
