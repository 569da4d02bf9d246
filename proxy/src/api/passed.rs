//! The operations whose bodies pass untouched, one row each: what their bodies may be, and the model that is asked where they name none.

use crate::account::Operation;

/// A row: an operation whose bodies and answers pass.
#[derive(Debug)]
pub(crate) struct PassedOperation {
    pub(crate) operation: Operation,
    /// Its body may be a form, with files in it.
    pub(crate) takes_forms: bool,
    /// The model that its vendor takes where a body names none; `None`: a body has to name one.
    pub(crate) default_model: Option<&'static str>,
}

const fn row(operation: Operation, takes_forms: bool, default_model: Option<&'static str>) -> PassedOperation {
    PassedOperation { operation, takes_forms, default_model }
}

/// OpenAI's, where images are asked for without naming a model.
const DRAWS: Option<&str> = Some("dall-e-2");

const PASSED: [PassedOperation; 8] = [
    row(Operation::ImageGeneration, false, DRAWS),
    row(Operation::ImageEdit, true, DRAWS),
    row(Operation::ImageVariation, true, DRAWS),
    row(Operation::Speech, false, None),
    row(Operation::Transcription, true, None),
    row(Operation::Translation, true, None),
    row(Operation::Moderation, false, Some("omni-moderation-latest")),
    row(Operation::Rerank, false, None),
];

/// The row of an operation; `None`: its bodies are read.
pub(crate) fn of(operation: Operation) -> Option<&'static PassedOperation> {
    PASSED.iter().find(|row| row.operation == operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::surfaces::SURFACES;

    #[test]
    fn every_operation_that_passes_has_a_row_and_no_other() {
        for surface in SURFACES {
            assert_eq!(of(surface.operation).is_some(), surface.operation.passes(), "{}", surface.path);
        }
    }
}
