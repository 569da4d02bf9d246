//! All that is known of models, from what pools and the list say to the compiled form.

use sluicegate_crds as crds;

use crate::{Modality, ModelCapability, ModelFacts};

/// That which a pool says of a model. The most tokens that it answers with are a bound of calls, and stand for themselves.
pub(super) fn of_model(from: &crds::Model) -> ModelFacts {
    ModelFacts {
        context_window: from.context_window,
        max_output: None,
        input: modalities(&from.input_modalities),
        output: modalities(&from.output_modalities),
        capabilities: capabilities(&from.capabilities),
    }
}

/// That which the list says of models.
pub(super) fn of_listed(from: &crds::ListedModel) -> ModelFacts {
    ModelFacts {
        context_window: from.context_window,
        max_output: from.max_output_tokens,
        input: modalities(&from.input_modalities),
        output: modalities(&from.output_modalities),
        capabilities: capabilities(&from.capabilities),
    }
}

fn modalities(from: &[crds::Modality]) -> Vec<Modality> {
    let modality = |from: &crds::Modality| match from {
        crds::Modality::Text => Modality::Text,
        crds::Modality::Image => Modality::Image,
        crds::Modality::Audio => Modality::Audio,
        crds::Modality::Video => Modality::Video,
        crds::Modality::File => Modality::File,
    };
    sorted(from.iter().map(modality).collect())
}

fn capabilities(from: &[crds::ModelCapability]) -> Vec<ModelCapability> {
    let capability = |from: &crds::ModelCapability| match from {
        crds::ModelCapability::Tools => ModelCapability::Tools,
        crds::ModelCapability::StructuredOutput => ModelCapability::StructuredOutput,
        crds::ModelCapability::Thinking => ModelCapability::Thinking,
        crds::ModelCapability::Embeddings => ModelCapability::Embeddings,
    };
    sorted(from.iter().map(capability).collect())
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}
