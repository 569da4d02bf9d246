//! The choice of a tool, as the provider takes it: several vendors let nobody force one while the model thinks.

use std::borrow::Cow;

use super::writer::RequestWriter;
use crate::format_in_words::must_in_words;
use crate::hub::{Call, ToolChoice};
use crate::vendors::{self, FieldAction};

/// The way in which the choice of a tool is told.
#[derive(Default)]
pub(super) struct ToldChoice<'a> {
    /// By the field.
    pub(super) field: Option<&'a ToolChoice>,
    /// By an instruction.
    pub(super) words: Option<Cow<'static, str>>,
    /// By this one tool's being the only one.
    pub(super) alone: Option<&'a str>,
    /// True if the model is told not to think: it takes the choice then.
    pub(super) rests: bool,
    /// True if nothing holds the model to it.
    pub(super) is_lost: bool,
}

/// The choice of another dialect's caller. A model that can not be told to rest is asked in words.
pub(super) fn told_choice<'a>(call: &'a Call, writer: &RequestWriter<'_>) -> ToldChoice<'a> {
    let said = ToldChoice { field: call.tool_choice.as_ref(), ..ToldChoice::default() };
    let Some(choice) = said.field.filter(|choice| choice.is_a_must() && writer.cross_dialect) else { return said };
    let row = writer.look_alike().filter(|row| !row.must_beside_thoughts);
    let passes = writer.policy("tool_choice") == Some(&FieldAction::Pass);
    let Some((row, thinker)) = row.filter(|_| !passes).zip(vendors::thinker(writer.model)) else { return said };
    match choice {
        _ if thinker.rests && row.off.is_some() => ToldChoice { rests: true, ..said },
        ToolChoice::Named(name) if thinker.takes_required => {
            ToldChoice { field: Some(&ToolChoice::Required), alone: Some(name), ..said }
        }
        _ if thinker.takes_required => said,
        _ => ToldChoice {
            field: Some(&ToolChoice::Auto),
            words: must_in_words(choice),
            is_lost: true,
            ..ToldChoice::default()
        },
    }
}

/// Instructions of the gateway's own, as one.
pub(super) fn joined(words: [Option<Cow<'static, str>>; 2]) -> Option<Cow<'static, str>> {
    words.into_iter().flatten().reduce(|one, other| Cow::Owned(format!("{one}\n\n{other}")))
}
