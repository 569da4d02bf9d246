//! Reads and checks a price list: each of its prices is compiled here, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluicegate_crds as crds;

use super::inputs::Source;
use super::price_list::{Listed, PriceList, VendorList};
use super::report::Report;
use super::{facts, price};
use crate::{Kind, ObjectId};

impl PriceList {
    /// Reads a list.
    ///
    /// # Errors
    /// It is none, or a price in it is wrong; the message says where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let list: crds::PriceList = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if (list.api_version.as_str(), list.kind.as_str()) != ("sluicegate.dev/v1alpha1", "PriceList") {
            return Err("it is no PriceList of sluicegate.dev/v1alpha1: write apiVersion and kind so".to_owned());
        }
        let day: jiff::civil::Date =
            list.date.parse().map_err(|_| format!("date: {:?} is no day: write one such as 2026-11-28", list.date))?;
        let timestamp = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| format!("date: {error}"))?;
        let (id, source) = (ObjectId(list.date.clone()), Source::default());
        let mut report = Report::new(Kind::ProviderPool, &id, &source);
        let vendors = (0..list.vendors.len()).map(|at| read(&list.vendors, at, &mut report)).collect();
        if let Some(verdict) = report.into_verdicts().first() {
            return Err(format!("{}: {}", verdict.path, verdict.message));
        }
        Ok(Self { date: list.date, timestamp: timestamp.timestamp().as_second(), vendors })
    }
}

/// The models of one vendor.
fn read(all: &[crds::VendorModels], at: usize, report: &mut Report<'_>) -> VendorList {
    let Some(crds::VendorModels { types, profiles, source, models: listed, same_as, regional_factor }) = all.get(at)
    else {
        return VendorList { types: Vec::new(), profiles: Vec::new(), models: BTreeMap::new(), regional: None };
    };
    let path = format!("vendors[{at}]");
    if source.is_empty() {
        report.invalid(&format!("{path}.source"), "write the page where the figures are from");
    }
    let own = listed.iter().enumerate();
    let mut named: Vec<(String, &str, &crds::ListedModel)> = own
        .flat_map(|(at, listed)| {
            let path = format!("{path}.models[{at}]");
            listed.names.iter().map(move |name| (path.clone(), name.as_str(), listed))
        })
        .collect();
    for (at, name) in same_as.iter().flat_map(|same| same.names.iter().enumerate()) {
        let path = format!("{path}.sameAs.names[{at}]");
        let kind = same_as.as_ref().map(|same| same.r#type);
        let others = all.iter().filter(|vendor| kind.is_some_and(|kind| vendor.types.contains(&kind)));
        match others.flat_map(|vendor| &vendor.models).find(|listed| listed.names.contains(name)) {
            Some(listed) => named.push((path, name, listed)),
            None => report.invalid(&path, format!("{name:?} is not in the list for that type")),
        }
    }
    let whole = regional_factor.as_ref().map(|factor| price::factor(factor, &format!("{path}.regionalFactor"), report));
    let mut compiled = |factor: u64| {
        let mut models = BTreeMap::new();
        for (path, name, listed) in &named {
            let price = listed.price.as_ref();
            let price = price.map(|price| Arc::new(price::compiled_times(price, factor, path, report)));
            if models.insert((*name).to_owned(), Listed { price, facts: facts::of_listed(listed) }).is_some() {
                report.invalid(path, format!("{name:?} is there twice: list each model once"));
            }
        }
        models
    };
    let (models, regional) = (compiled(price::ONE), whole.map(&mut compiled));
    VendorList { types: types.clone(), profiles: profiles.clone(), models, regional }
}

#[cfg(test)]
mod tests {
    use super::super::{Inputs, compile, manifests};
    use super::*;
    use crate::{Modality, ModelFacts, PicoUsd, Price};

    const LIST: &str = "{apiVersion: sluicegate.dev/v1alpha1, kind: PriceList, date: 2026-11-28, vendors: [\
        {types: [OpenAI], source: \"https://example.com\", models: [\
          {names: [gpt-4o], price: {inputPerMillion: \"2.50\", outputPerMillion: \"10\"}},\
          {names: [gpt-4o-2024-05-13], price: {inputPerMillion: \"5\", outputPerMillion: \"15\"}}]},\
        {types: [OpenAICompatible], profiles: [Groq], source: \"https://example.com\", models: [\
          {names: [llama], price: {inputPerMillion: \"1\", outputPerMillion: \"1\"}}]},\
        {types: [Bedrock, VertexAI], source: \"https://example.com\", regionalFactor: \"1.1\",\
          sameAs: {type: OpenAI, names: [gpt-4o]}}]}";

    fn input(kind: &str, model: &str) -> Option<(u64, Option<String>)> {
        let manifest = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
             spec: {{providers: [{{name: one, type: {kind}, url: \"https://api.example.com\", models: [{model}]}}]}}"
        );
        let (inputs, findings) = manifests::read(&[("p.yaml".to_owned(), manifest)]);
        let list = PriceList::parse(LIST).unwrap();
        let compiled = compile(&Inputs { prices: Some(&list), ..inputs });
        let pool = compiled.snapshot.pools.into_values().next();
        let pool = pool.unwrap_or_else(|| panic!("{findings:?} {:?}", compiled.verdicts));
        let (_, model) = pool.providers.into_iter().next().unwrap().models.pop_first().unwrap();
        model.price.map(|price| (price.rates.input.0, model.price_listed))
    }

    #[test]
    fn a_model_without_a_price_has_the_lists_by_its_name_and_without_its_date() {
        let listed = |price| Some((price, Some("2026-11-28".to_owned())));
        for (kind, model, expected) in [
            ("OpenAI", "{name: gpt-4o}", listed(2_500_000)),
            ("OpenAI", "{name: gpt-4o-2024-11-20}", listed(2_500_000)),
            ("OpenAI", "{name: gpt-4o-20241120}", listed(2_500_000)),
            ("OpenAI", "{name: gpt-4o-2024-05-13}", listed(5_000_000)),
            // The provider's own name counts, not the caller's.
            ("OpenAI", "{name: best, upstreamName: gpt-4o}", listed(2_500_000)),
            ("OpenAI", "{name: gpt-4o, upstreamName: own}", None),
            ("OpenAI", "{name: gpt-4o-mini}", None),
            ("OpenAICompatible", "{name: gpt-4o}", None),
            ("OpenAICompatible", "{name: llama}", None),
            (
                "OpenAI",
                "{name: gpt-4o, price: {inputPerMillion: \"7\", outputPerMillion: \"7\"}}",
                Some((7_000_000, None)),
            ),
        ] {
            assert_eq!(input(kind, model), expected, "{kind} {model}");
        }
        // Where any region may answer, and where one does.
        let vertex = |location: &str| format!("VertexAI, vertexAI: {{project: p, location: {location}}}");
        assert_eq!(input(&vertex("global"), "{name: gpt-4o@20241120}"), listed(2_500_000));
        assert_eq!(input(&vertex("us-east5"), "{name: gpt-4o}"), listed(2_750_000));
        for (name, price) in [
            ("global.anthropic.gpt-4o-20241120-v1:0", 2_500_000),
            ("eu.anthropic.gpt-4o-v1", 2_750_000),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.gpt-4o-20241120-v1:0", 2_500_000),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.gpt-4o-20241120-v1:0", 2_750_000),
        ] {
            assert_eq!(input("Bedrock", &format!("{{name: m, upstreamName: \"{name}\"}}")), listed(price), "{name}");
        }
        let groq = "OpenAICompatible, compatibility: {profile: Groq}";
        assert_eq!(input(groq, "{name: llama}"), listed(1_000_000));
    }

    #[test]
    fn a_pools_word_goes_over_the_lists_field_by_field() {
        let list = LIST.replace(
            "names: [gpt-4o],",
            "names: [gpt-4o], contextWindow: 128000, maxOutputTokens: 16384, inputModalities: [Text, Image],",
        );
        let list = PriceList::parse(&list).unwrap();
        let facts = |model: &str| {
            let manifest = format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
                 spec: {{providers: [{{name: one, type: OpenAI, url: \"https://api.example.com\", models: [{model}]}}]}}"
            );
            let (inputs, _) = manifests::read(&[("p.yaml".to_owned(), manifest)]);
            let pool = compile(&Inputs { prices: Some(&list), ..inputs }).snapshot.pools.into_values().next().unwrap();
            pool.providers.into_iter().next().unwrap().models.pop_first().unwrap().1
        };
        let both = vec![Modality::Text, Modality::Image];
        let listed = facts("{name: gpt-4o}");
        assert_eq!((listed.facts.context_window, listed.facts.max_output), (Some(128_000), Some(16_384)));
        assert_eq!(listed.facts.input, both);
        // What the list says of answers is told, and bounds no call.
        assert_eq!(listed.max_output_tokens, None);
        let own = facts("{name: gpt-4o, contextWindow: 32000, maxOutputTokens: 4096}");
        assert_eq!((own.facts.context_window, own.max_output_tokens), (Some(32_000), Some(4_096)));
        assert_eq!(own.facts.input, both);
        assert_eq!(facts("{name: own, inputModalities: [Image, Text]}").facts.input, both);
        assert!(facts("{name: own}").facts.is_none());
    }

    #[test]
    fn a_list_that_is_wrong_says_where() {
        for (from, to, said) in [
            ("PriceList", "Prices", "it is no PriceList"),
            ("2026-11-28", "soon", "date: \"soon\" is no day"),
            ("\"2.50\"", "\"2,50\"", "vendors[0].models[0].price.inputPerMillion"),
            ("names: [gpt-4o]", "names: [gpt-4o, gpt-4o]", "is there twice"),
            ("source: \"https://example.com\"", "source: \"\"", "vendors[0].source"),
            ("names: [gpt-4o]", "name: gpt-4o", "name"),
        ] {
            let error = PriceList::parse(&LIST.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_list_that_ships_is_right_and_says_where_each_figure_is_from() {
        let list = PriceList::parse(include_str!("../../../charts/sluicegate/files/prices.yaml")).unwrap();
        assert!(list.timestamp() > 1_760_000_000);
        let names: Vec<&String> = list.vendors.iter().flat_map(|vendor| vendor.models.keys()).collect();
        assert!(names.len() > 20, "{names:?}");
        let whole = |price: &Price| price.rates.input > PicoUsd(0) && price.rates.output >= price.rates.input;
        let listed = || list.vendors.iter().flat_map(|vendor| vendor.models.values());
        assert!(listed().filter_map(|listed| listed.price.as_deref()).all(whole));
        let fits =
            |facts: &ModelFacts| facts.max_output.zip(facts.context_window).is_none_or(|(most, all)| most <= all);
        assert!(listed().all(|listed| fits(&listed.facts)));
        assert!(listed().filter(|listed| listed.facts.context_window.is_some()).count() > 20);
    }
}
