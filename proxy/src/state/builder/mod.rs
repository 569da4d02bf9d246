//! One configuration after the other, each from the one before by what changes: a changed route costs what it names,
//! not what all routes do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sluicegate_config::compile::Credentials;
use sluicegate_config::{self as config, CompiledObject, Kind, ObjectId, Snapshot};

use super::configured::{AccessCounts, Id, Pool, Provider, Ready, Route};
use super::resolve::{self, Lasting, Resolving};
use crate::account::{Naming, Objects};
use crate::concurrency::PreparedGate;
use crate::persistent::set;
use crate::route::Filed;
use crate::source::Change;

/// Makes configurations ready, on the control thread.
pub struct Builder {
    lasting: Lasting,
    naming: Naming,
    places: HashMap<Arc<ObjectId>, PoolSlot>,
    free: Vec<usize>,
    next: Ready,
    ready: Arc<Ready>,
}

/// The slot of a pool among the pools: it stays there while it is there itself, or a route names it.
#[derive(Default)]
struct PoolSlot {
    at: usize,
    named: usize,
    /// The revision that runs, and a digest of its credentials.
    runs: Option<(Box<str>, blake3::Hash)>,
}

impl Builder {
    /// Nothing is configured yet: nothing is known of any model.
    #[must_use]
    pub fn new(lasting: Lasting) -> Self {
        let (places, free) = (HashMap::new(), Vec::new());
        let access = AccessCounts { known_only: lasting.known_only, ..AccessCounts::default() };
        let (naming, next, ready) = (Naming::default(), Ready { access, ..Ready::default() }, Arc::default());
        let mut builder = Self { lasting, naming, places, free, next, ready };
        builder.finish(&Objects::default(), &Objects::default());
        builder
    }

    /// The configuration that was made last.
    #[must_use]
    pub fn ready(&self) -> Arc<Ready> {
        Arc::clone(&self.ready)
    }

    /// The next one, as a whole. Equal revisions (and credentials) are equal objects: those are shared.
    pub fn replace(&mut self, snapshot: &Snapshot, credentials: &Credentials) -> Arc<Ready> {
        let (mut here, mut gone) = self.begin();
        for (id, pool) in &snapshot.pools {
            let known = self.places.get_key_value(id).map(|(id, _)| Arc::clone(id));
            self.put_pool(&known.unwrap_or_else(|| Arc::new(id.clone())), pool, credentials, &mut here);
        }
        for (id, consumer) in &snapshot.consumers {
            self.put_consumer(&Arc::new(id.clone()), consumer);
        }
        let consumers = self.next.consumers.ids().filter(|id| !snapshot.consumers.contains_key(&***id));
        for id in consumers.cloned().collect::<Vec<_>>() {
            self.next.consumers.remove(&id);
        }
        for (id, route) in &snapshot.routes {
            let known = self.next.routes.get(&*id.0).map(|filed| Arc::clone(&filed.id));
            self.put_route(&known.unwrap_or_else(|| Arc::new(id.clone())), route, &mut here);
        }
        let routes = self.next.routes.iter().map(|(Id(id), _)| id).filter(|id| !snapshot.routes.contains_key(&***id));
        for id in routes.cloned().collect::<Vec<_>>() {
            self.remove_route(id, &mut gone);
        }
        let runs = self.places.iter().filter(|(_, place)| place.runs.is_some()).map(|(id, _)| id);
        for id in runs.filter(|id| !snapshot.pools.contains_key(&***id)).cloned().collect::<Vec<_>>() {
            self.remove_pool(id, &mut gone);
        }
        self.finish(&here, &gone)
    }

    /// The next one, by what changes.
    pub fn apply(&mut self, changes: Vec<Change>) -> Arc<Ready> {
        let (mut here, mut gone) = self.begin();
        for change in changes {
            match change {
                Change::Put(id, object, credentials) => self.put(&id, &object, &credentials, &mut here),
                Change::Gone(kind, id) => self.remove(kind, id, &mut gone),
            }
        }
        self.finish(&here, &gone)
    }

    /// A resource, new or in another form: a row for each kind.
    fn put(&mut self, id: &Arc<ObjectId>, object: &CompiledObject, credentials: &Credentials, here: &mut Objects) {
        match object {
            CompiledObject::ProviderPool(pool) => self.put_pool(id, pool, credentials, here),
            CompiledObject::LlmConsumer(consumer) => self.put_consumer(id, consumer),
            CompiledObject::LlmRoute(route) => self.put_route(id, route, here),
        }
    }

    /// A resource that is gone: a row for each kind.
    fn remove(&mut self, kind: Kind, id: Arc<ObjectId>, gone: &mut Objects) {
        match kind {
            Kind::ProviderPool => self.remove_pool(id, gone),
            Kind::LlmConsumer => self.next.consumers.remove(&id),
            Kind::LlmRoute => self.remove_route(id, gone),
        }
    }

    /// There is no configuration any longer: nothing is known of any model.
    pub(crate) fn desert(&mut self) -> Arc<Ready> {
        self.next.configured = false;
        self.finish(&Objects::default(), &Objects::default())
    }

    fn begin(&mut self) -> (Objects, Objects) {
        self.next.configured = true;
        self.lasting.registry.look(Instant::now());
        (Objects::default(), Objects::default())
    }

    fn finish(&mut self, here: &Objects, gone: &Objects) -> Arc<Ready> {
        self.lasting.metrics.configured(here, gone);
        self.next.names = Arc::new(self.naming.table());
        let Ready { names, index, consumers, access, routes, pools, models: _, discovery: _, configured } = &self.next;
        self.ready = Arc::new(Ready {
            names: Arc::clone(names),
            index: index.clone(),
            consumers: consumers.clone(),
            access: *access,
            routes: routes.clone(),
            pools: pools.clone(),
            models: Mutex::default(),
            discovery: Arc::clone(&self.lasting.discovery),
            configured: *configured,
        });
        self.ready()
    }

    fn put_consumer(&mut self, id: &Arc<ObjectId>, consumer: &config::Consumer) {
        self.next.consumers.insert(id, consumer, &self.lasting.limits);
        self.next.consumers.know_tokens(id, consumer, (&self.lasting.jwks, &self.lasting.limits));
    }

    fn put_pool(&mut self, id: &Arc<ObjectId>, pool: &config::Pool, credentials: &Credentials, here: &mut Objects) {
        let runs = (pool.revision.as_str().into(), digest(pool, credentials));
        if self.places.get(id).is_some_and(|place| place.runs.as_ref() == Some(&runs)) {
            return;
        }
        let numbers = self.naming.pool(id, pool);
        let resolving = Resolving { id, pool, credentials, lasting: &self.lasting, now: Instant::now() };
        let ready = resolving.pool(&numbers);
        let (_, place) = place(&mut self.places, &mut self.free, &self.next, id);
        place.runs = Some(runs);
        let before = self.next.pools.get(place.at).and_then(Option::as_deref);
        PreparedGate::lift(before.into_iter().flat_map(gates_of_pool), gates_of_pool(&ready));
        set(&mut self.next.pools, place.at, Some(Arc::new(ready)));
        here.pools.push(Arc::clone(id));
    }

    fn remove_pool(&mut self, id: Arc<ObjectId>, gone: &mut Objects) {
        let Some(place) = self.places.get_mut(&id) else { return };
        place.runs = None;
        let before = self.next.pools.get(place.at).and_then(Option::as_deref);
        PreparedGate::lift(before.into_iter().flat_map(gates_of_pool), None);
        set(&mut self.next.pools, place.at, None);
        self.naming.forget_pool(&id);
        self.leave(&id);
        gone.pools.push(id);
    }

    fn put_route(&mut self, id: &Arc<ObjectId>, route: &config::Route, here: &mut Objects) {
        if self.next.routes.get(&*id.0).is_some_and(|filed| *filed.route.revision == *route.revision) {
            return;
        }
        let ix = self.naming.route(id, route);
        let resolved = resolve::route(&self.lasting, id, route, ix, |pool| {
            let (pool, place) = place(&mut self.places, &mut self.free, &self.next, pool);
            place.named += 1;
            // Held open, so that the next pool without a place does not take this one.
            if self.next.pools.get(place.at).is_none() {
                set(&mut self.next.pools, place.at, None);
            }
            (place.at, pool)
        });
        let filed = Arc::new(Filed::new(id, route, resolved));
        let before = self.next.routes.get(&*id.0).cloned();
        self.next.routes.insert_mut(Id(Arc::clone(id)), Arc::clone(&filed));
        if let Some(before) = &before {
            PreparedGate::lift(gates_of_route(before), gates_of_route(&filed));
            self.next.index.remove(before);
            self.next.access.count(before, usize::wrapping_sub);
        }
        self.next.index.insert(&filed);
        self.next.access.count(&filed, usize::wrapping_add);
        before.iter().for_each(|before| self.unname(&before.route.names));
        here.routes.push(Arc::clone(id));
    }

    fn remove_route(&mut self, id: Arc<ObjectId>, gone: &mut Objects) {
        let Some(before) = self.next.routes.get(&*id.0).cloned() else { return };
        PreparedGate::lift(gates_of_route(&before), None);
        self.next.routes.remove_mut(&*id.0);
        self.next.index.remove(&before);
        self.next.access.count(&before, usize::wrapping_sub);
        self.unname(&before.route.names);
        self.naming.forget_route(&id);
        self.lasting.cache.forget(&id);
        gone.routes.push(id);
    }

    fn unname(&mut self, pools: &[Arc<ObjectId>]) {
        for id in pools {
            if let Some(place) = self.places.get_mut(id) {
                place.named = place.named.saturating_sub(1);
            }
            self.leave(id);
        }
    }

    /// Gives a pool's place back when neither it nor a route needs it.
    fn leave(&mut self, id: &ObjectId) {
        let unused = |place: &&PoolSlot| place.named == 0 && place.runs.is_none();
        if let Some(at) = self.places.get(id).filter(unused).map(|place| place.at) {
            self.places.remove(id);
            self.free.push(at);
        }
    }
}

/// The limits of concurrency of a pool's providers.
fn gates_of_pool<'p>(pool: &'p Pool) -> impl Iterator<Item = &'p PreparedGate> {
    let all = |provider: &'p Arc<Provider>| {
        let of_keys = provider.keys.iter().filter_map(|key| key.gate.as_deref());
        provider.gates.iter().chain(of_keys)
    };
    pool.providers.iter().flat_map(all)
}

/// The limits of concurrency of a route's rules.
fn gates_of_route(filed: &Filed<Route>) -> impl Iterator<Item = &PreparedGate> {
    filed.route.rules.iter().flat_map(|rule| &rule.concurrency)
}

/// A pool's place, the one it has or another one, and the one allocation of its id.
fn place<'a>(
    places: &'a mut HashMap<Arc<ObjectId>, PoolSlot>,
    free: &mut Vec<usize>,
    next: &Ready,
    id: &ObjectId,
) -> (Arc<ObjectId>, &'a mut PoolSlot) {
    let id = places.get_key_value(id).map_or_else(|| Arc::new(id.clone()), |(id, _)| Arc::clone(id));
    let place = places.entry(Arc::clone(&id)).or_insert_with(|| {
        let at = free.pop().unwrap_or_else(|| next.pools.len());
        PoolSlot { at, ..PoolSlot::default() }
    });
    (id, place)
}

/// Of the credentials that a pool names: rotated ones make it another pool.
fn digest(pool: &config::Pool, credentials: &Credentials) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for id in pool.providers.iter().flat_map(config::Provider::credentials) {
        let value = credentials.get(id).map_or(&[][..], |value| value.expose());
        for part in [id.0.as_bytes(), value] {
            hasher.update(&u64::try_from(part.len()).unwrap_or_default().to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests;
