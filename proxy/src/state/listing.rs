//! The models that callers can ask for, and what is known of each: from routes, their pools, and what providers' own lists say.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use sluicegate_dialects::ListedModel;

use crate::account::Operation;
use crate::api::profiles::ModelPublisher;
use crate::consumer::KnownConsumer;
use crate::models::{Gathered, ListFilter, Models, laid_over, of_pool};
use crate::route::Filed;

use super::configured::{OfferAt, Provider, Ready, Route, Rule, TargetRef};

impl Ready {
    /// A model that a caller may call, listed or not, and what is known of it; `None`: no route takes it that the caller may call, or no
    /// provider behind one serves it.
    pub(crate) fn model(&self, name: &str, consumer: Option<&KnownConsumer>) -> Option<ListedModel> {
        if consumer.is_some_and(|consumer| !consumer.may_ask_for(name)) {
            return None;
        }
        let mut gathered = Gathered::default();
        for (filed, at) in self.index.reaching(name, consumer) {
            let rule = filed.route.rules.get(at).filter(|_| filed.route.access.permits(consumer));
            rule.into_iter().for_each(|rule| self.gather_one(&mut gathered, (filed.created, rule), name, None));
        }
        gathered.only(name)
    }

    /// The models that callers can ask for, where all of them can ask for the same.
    pub(crate) fn models(&self) -> Arc<Models> {
        // Nothing panics while it is held, and what is in it is whole.
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.discovery.generation();
        match &*models {
            Some((of, known)) if *of == generation => Arc::clone(known),
            _ => {
                let known = Arc::new(self.gathered(None, None).list(None));
                *models = Some((generation, Arc::clone(&known)));
                known
            }
        }
    }

    /// The models that this caller can ask for, where that is not what all can, or it does not want all.
    pub(crate) fn models_for(&self, consumer: Option<&KnownConsumer>, filter: Option<&ListFilter>) -> Option<Models> {
        let (by_route, by_rule) = (self.access.known > 0, self.access.selected > 0);
        let differs = by_route || by_rule || consumer.is_some_and(KnownConsumer::is_limited);
        (differs || filter.is_some()).then(|| self.gathered(consumer, filter).list(filter))
    }

    fn gathered(&self, consumer: Option<&KnownConsumer>, filter: Option<&ListFilter>) -> Gathered {
        let mut routes: Vec<_> = self.routes.iter().map(|(_, filed)| filed).collect();
        routes.retain(|filed| filed.route.access.permits(consumer));
        routes.sort_by(|one, other| one.id.cmp(&other.id));
        let mut gathered = Gathered::default();
        for filed in routes {
            for (at, rule) in filed.route.rules.iter().enumerate().filter(|(_, rule)| rule.is_listed) {
                let mut names = self.names_of((filed, at, rule), consumer);
                names.retain(|name| consumer.is_none_or(|consumer| consumer.may_ask_for(name)));
                names.retain(|name| !is_hidden((filed, at), name, consumer));
                names.iter().for_each(|name| self.gather_one(&mut gathered, (filed.created, rule), name, filter));
            }
        }
        gathered
    }

    /// The names of models that a rule takes and a provider serves: the exact names of its matches, and of the models that pools name,
    /// or providers' own lists where pools name none, those that a match lets through.
    fn names_of(
        &self,
        (filed, at, rule): (&Filed<Route>, usize, &Rule),
        consumer: Option<&KnownConsumer>,
    ) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = filed.exact(at, consumer).map(str::to_owned).collect();
        // Where a target renames the model, the providers' names are not the callers'.
        let targets = rule.targets.iter().chain(&rule.fallbacks).filter_map(|target_ref| self.target(target_ref));
        for provider in targets.filter(|target| target.model.is_none()).flat_map(|target| &target.pool.providers) {
            let takes = |name: &&String| filed.reaches(at, name, consumer);
            names.extend(provider.models.keys().filter(takes).cloned());
            let found =
                provider.discovered.as_ref().filter(|_| provider.models.is_empty()).and_then(|own| own.models());
            found.iter().for_each(|found| names.extend(found.keys().filter(takes).cloned()));
        }
        names
    }

    /// Adds what all know of a model who serve it by a rule; its fallbacks only where no target does.
    fn gather_one(
        &self,
        gathered: &mut Gathered,
        (created, rule): (i64, &Rule),
        name: &str,
        filter: Option<&ListFilter>,
    ) {
        let mut serve = |target_ref: &TargetRef, learns: bool| {
            let Some(target) = self.target(target_ref) else { return false };
            let routed = target.model.unwrap_or(name);
            let wanted = |provider: &&Arc<Provider>| {
                provider.serves(routed)
                    && filter.is_none_or(|filter| filter.wants([&provider.name, provider.type_name]))
            };
            let mut is_served = false;
            for provider in target.pool.providers.iter().filter(wanted) {
                is_served = true;
                if gathered.name(name, created) && learns {
                    gathered.learn(name, provider.listed(routed));
                }
            }
            is_served
        };
        let mut is_served = false;
        for target_ref in &rule.targets {
            is_served |= serve(target_ref, true);
        }
        for target_ref in &rule.fallbacks {
            serve(target_ref, !is_served);
        }
    }
}

/// True if an earlier rule of the route, whose models are not listed, takes each call for this one.
fn is_hidden((filed, at): (&Filed<Route>, usize), name: &str, consumer: Option<&KnownConsumer>) -> bool {
    let earlier = filed.route.rules.iter().take(at).enumerate().filter(|(_, rule)| !rule.is_listed);
    earlier.into_iter().any(|(earlier, _)| filed.takes_all(earlier, name, consumer))
}

impl Provider {
    /// All that is known of a model by the name that routes use: as its pool says, else as its own list does, else as the tables do.
    fn listed(&self, routed: &str) -> ListedModel {
        let own_name = self.upstream_name(routed);
        let own = self.models.get(routed).map(of_pool).unwrap_or_default();
        let found = self.discovered.as_ref().and_then(|own| own.model(own_name));
        let mut known = found.map_or_else(|| own.clone(), |found| laid_over(own.clone(), &found));
        let is_its =
            |at: &OfferAt| at.offer.publisher.is_none_or(|publisher| publisher == ModelPublisher::of(own_name));
        let answers = |at: &&OfferAt| at.offer.operation == Operation::Chat && is_its(at);
        known.vectors_offered = Some(self.offers.iter().any(|at| at.offer.operation.embeds() && is_its(at)));
        let by_table = || self.offers.iter().find(answers)?.offer.dialect.output_limit(own_name);
        known.max_output = known.max_output.or_else(by_table);
        known
    }

    /// The window of a model by the name that routes use; `None`: nobody has said it.
    pub(crate) fn window(&self, routed: &str) -> Option<u64> {
        let own = self.models.get(routed).and_then(|model| model.facts.context_window);
        own.or_else(|| self.discovered.as_ref()?.window(self.upstream_name(routed)))
    }
}
