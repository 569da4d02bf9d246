//! The operations of vendors beside conversations: images, speech and its text, moderation, ranking.

mod audio;
mod form;
mod images;
mod moderation;
mod ranking;
mod request;

use crate::clock::unix_seconds;
use crate::fault::Checked;

pub(crate) use request::{SideAnswer, SideRequest};

/// The endpoint of such an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SideRoute {
    /// `POST …/images/generations`
    Draw,
    /// `POST …/images/edits`
    EditImage,
    /// `POST …/images/variations`
    VaryImage,
    /// `POST …/audio/speech`
    Speak,
    /// `POST …/audio/transcriptions`
    Transcribe,
    /// `POST …/audio/translations`
    Translate,
    /// `POST …/moderations`
    Moderate,
    /// `POST …/rerank`, as Jina has it
    Rerank,
    /// `POST …/v2/rerank`, as Cohere has it
    RerankAtCohere,
}

/// The endpoints by how their paths end.
const ENDS: [(&str, SideRoute); 9] = [
    ("/images/generations", SideRoute::Draw),
    ("/images/edits", SideRoute::EditImage),
    ("/images/variations", SideRoute::VaryImage),
    ("/audio/speech", SideRoute::Speak),
    ("/audio/transcriptions", SideRoute::Transcribe),
    ("/audio/translations", SideRoute::Translate),
    ("/moderations", SideRoute::Moderate),
    ("/v2/rerank", SideRoute::RerankAtCohere),
    ("/rerank", SideRoute::Rerank),
];

impl SideRoute {
    /// The endpoint that a path is.
    pub(crate) fn of(path: &str) -> Option<Self> {
        ENDS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, route)| *route)
    }
}

/// The model that is asked for, and the answer.
pub(crate) fn answer(route: SideRoute, request: &SideRequest, id: &str) -> Checked<(String, SideAnswer)> {
    let answered = match route {
        SideRoute::Draw => images::answer(request, images::ImageRequest::Generation, unix_seconds()),
        SideRoute::EditImage => images::answer(request, images::ImageRequest::Edit, unix_seconds()),
        SideRoute::VaryImage => images::answer(request, images::ImageRequest::Variation, unix_seconds()),
        SideRoute::Speak => audio::speech(request),
        SideRoute::Transcribe => audio::text(request, false),
        SideRoute::Translate => audio::text(request, true),
        SideRoute::Moderate => moderation::answer(request, id),
        SideRoute::Rerank => ranking::at_jina(request),
        SideRoute::RerankAtCohere => return ranking::at_cohere(request, id),
    }?;
    let default = match route {
        SideRoute::Moderate => "omni-moderation-latest",
        SideRoute::Draw | SideRoute::EditImage | SideRoute::VaryImage => "dall-e-2",
        _ => request.required("model")?,
    };
    Ok((request.text("model")?.unwrap_or(default).to_owned(), answered))
}
