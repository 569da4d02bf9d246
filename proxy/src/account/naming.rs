//! Gives names their numbers, one changed object at a time. A number stays with its name for as long as something
//! mentions it; a number that is free again is given away in a later generation only.

use std::collections::HashMap;
use std::sync::Arc;

use sluicegate_config::{ModelMatch, ObjectId, Pool, ProviderKind, Route};

use crate::persistent::set;

use super::table::{ModelIx, NONE, NameTable, OTHER, ProviderIx, ProviderNames, RouteIx, RouteNames};

/// The numbers given. One per process, on the control thread.
#[derive(Debug)]
pub struct Naming {
    table: NameTable,
    routes: HashMap<Arc<ObjectId>, u32>,
    pools: HashMap<Arc<ObjectId>, PoolNumbers>,
    /// The number of objects that mention a model, by its number.
    mentions: Vec<u32>,
    free_routes: Vec<u32>,
    free_providers: Vec<u32>,
    free_models: Vec<u32>,
    /// Numbers were set free since the last table.
    freed: bool,
}

#[derive(Debug, Default)]
struct PoolNumbers {
    providers: Vec<u32>,
    models: Vec<u32>,
}

impl Default for Naming {
    fn default() -> Self {
        let mut table = NameTable { generation: 1, ..NameTable::default() };
        // The first numbers stand for what has no name.
        set(&mut table.routes, 0, None);
        set(&mut table.providers, 0, None);
        [0, 1].into_iter().for_each(|number| set(&mut table.models, number, None));
        Self {
            table,
            routes: HashMap::new(),
            pools: HashMap::new(),
            mentions: vec![0, 0],
            free_routes: Vec::new(),
            free_providers: Vec::new(),
            free_models: Vec::new(),
            freed: false,
        }
    }
}

impl Naming {
    /// The table as of now.
    pub fn table(&mut self) -> NameTable {
        self.table.generation += u64::from(std::mem::take(&mut self.freed));
        self.table.clone()
    }

    /// A route, new or changed.
    pub fn route(&mut self, id: &Arc<ObjectId>, route: &Route) -> RouteIx {
        let matched = route.rules.iter().flat_map(|rule| &rule.matches).filter_map(|found| match &found.model {
            Some(ModelMatch::Exact(name)) => Some(name),
            _ => None,
        });
        let targets = route.rules.iter().flat_map(sluicegate_config::Rule::named);
        let models = self.mention(matched.chain(targets.filter_map(|target| target.model.as_ref())));
        let number = match self.routes.get(id) {
            Some(number) => *number,
            None => {
                let number = number_for(&mut self.free_routes, self.table.routes.len());
                self.routes.insert(Arc::clone(id), number);
                number
            }
        };
        let before = self.table.routes.get(number as usize).cloned().flatten();
        let rules = route.rules.iter().map(|rule| rule.name.as_str().into()).collect();
        let names = RouteNames { id: id.0.as_str().into(), rules, models: models.into() };
        set(&mut self.table.routes, number as usize, Some(Arc::new(names)));
        before.iter().for_each(|before| self.release(&before.models));
        RouteIx(number)
    }

    /// A route is gone.
    pub fn forget_route(&mut self, id: &ObjectId) {
        let Some(number) = self.routes.remove(id) else { return };
        let before = self.table.routes.get(number as usize).cloned().flatten();
        set(&mut self.table.routes, number as usize, None);
        self.free_routes.push(number);
        self.freed = true;
        before.iter().for_each(|before| self.release(&before.models));
    }

    /// A pool, new or changed: the numbers of its providers, in their order.
    pub fn pool(&mut self, id: &Arc<ObjectId>, pool: &Pool) -> Vec<ProviderIx> {
        let names = pool.providers.iter().flat_map(|provider| &provider.models);
        let models = self.mention(names.flat_map(|(name, model)| std::iter::once(name).chain(&model.upstream_name)));
        let before = self.pools.remove(id).unwrap_or_default();
        let mut numbers = Vec::new();
        for provider in &pool.providers {
            let names = ProviderNames {
                pool: id.0.as_str().into(),
                name: provider.name.as_str().into(),
                vendor: vendor(provider.kind),
            };
            let is_same = |number: &&u32| self.provider(**number).is_some_and(|known| *known == names);
            let number = match before.providers.iter().find(is_same) {
                Some(number) => *number,
                None => {
                    let number = number_for(&mut self.free_providers, self.table.providers.len());
                    set(&mut self.table.providers, number as usize, Some(Arc::new(names)));
                    number
                }
            };
            numbers.push(number);
        }
        self.release(&before.models);
        before.providers.iter().filter(|number| !numbers.contains(number)).for_each(|number| self.free(*number));
        let given = numbers.iter().copied().map(ProviderIx).collect();
        self.pools.insert(Arc::clone(id), PoolNumbers { providers: numbers, models });
        given
    }

    /// A pool is gone.
    pub fn forget_pool(&mut self, id: &ObjectId) {
        let Some(before) = self.pools.remove(id) else { return };
        self.release(&before.models);
        before.providers.iter().for_each(|number| self.free(*number));
    }

    fn provider(&self, number: u32) -> Option<&ProviderNames> {
        self.table.provider_names(ProviderIx(number))
    }

    fn free(&mut self, provider: u32) {
        set(&mut self.table.providers, provider as usize, None);
        self.free_providers.push(provider);
        self.freed = true;
    }

    /// Numbers of model names, each mentioned once more.
    fn mention<'a>(&mut self, names: impl Iterator<Item = &'a String>) -> Vec<u32> {
        let mut numbers = Vec::new();
        for name in names.filter(|name| *name != NONE && *name != OTHER) {
            let number = match self.table.model_ids.get(name.as_str()) {
                Some(ModelIx(number)) => *number,
                None => {
                    let number = number_for(&mut self.free_models, self.table.models.len());
                    let name: Arc<str> = name.as_str().into();
                    set(&mut self.table.models, number as usize, Some(Arc::clone(&name)));
                    self.table.model_ids.insert_mut(name, ModelIx(number));
                    number
                }
            };
            let at = number as usize;
            if self.mentions.len() <= at {
                self.mentions.resize(at + 1, 0);
            }
            self.mentions.iter_mut().skip(at).take(1).for_each(|count| *count += 1);
            numbers.push(number);
        }
        numbers
    }

    fn release(&mut self, models: &[u32]) {
        for number in models {
            let at = *number as usize;
            let Some(count) = self.mentions.get_mut(at) else { continue };
            *count = count.saturating_sub(1);
            if *count > 0 {
                continue;
            }
            if let Some(name) = self.table.models.get(at).cloned().flatten() {
                self.table.model_ids.remove_mut(&*name);
                set(&mut self.table.models, at, None);
                self.free_models.push(*number);
                self.freed = true;
            }
        }
    }
}

/// A number that is free, or the next one. A process does not have four thousand million names at once.
fn number_for(free: &mut Vec<u32>, len: usize) -> u32 {
    free.pop().unwrap_or_else(|| u32::try_from(len).unwrap_or(u32::MAX))
}

/// OpenTelemetry's `gen_ai.provider.name` of a kind of provider; where it has none, a word in its style.
const fn vendor(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Gemini => "gcp.gemini",
        ProviderKind::Cohere => "cohere",
        ProviderKind::AzureOpenAi => "azure.ai.openai",
        ProviderKind::Bedrock => "aws.bedrock",
        ProviderKind::VertexAi => "gcp.vertex_ai",
        ProviderKind::OpenAiCompatible => "openai_compatible",
        ProviderKind::Simulated => "simulated",
    }
}
