//! The vendor's endpoint that a request is for.

use http::Method;
use http::request::Parts;

use crate::kept::KeptRoute;
use crate::openai::responses::store::StoredRoute;
use crate::side::SideRoute;
use crate::vertex;

/// The vendor whose words an answer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    /// OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google.
    Google,
    /// Amazon.
    Amazon,
    /// Cohere.
    Cohere,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `POST …/chat/completions`
    Chat,
    /// `POST …/completions`
    Completions,
    /// `POST …/embeddings`
    Embeddings,
    /// `POST …/responses`
    Responses,
    /// `POST …/responses/input_tokens`
    CountItems,
    /// `…/responses/ID` and what is below it
    Stored(StoredRoute),
    /// `…/files`, `…/batches` and what is below them
    Kept(KeptRoute),
    /// `POST …/messages`
    Messages,
    /// `POST …/messages/count_tokens`
    CountTokens,
    /// `POST …/models/NAME:generateContent`, or `:streamGenerateContent`
    Generate {
        /// The model.
        model: String,
        /// `true`: the answer is streamed.
        stream: bool,
        /// `true`: the stream is one JSON array, as there is no `alt=sse`.
        array: bool,
    },
    /// `POST …/model/NAME/invoke`, or `/invoke-with-response-stream`
    Invoke {
        /// The model.
        model: String,
        /// `true`: the answer is streamed.
        stream: bool,
    },
    /// `POST …/v2/chat`
    CohereChat,
    /// `POST …/v2/embed`
    CohereEmbed,
    /// `POST …/publishers/anthropic/models/NAME:rawPredict`, or `:streamRawPredict`
    Predict(String),
    /// `POST …/publishers/anthropic/models/count-tokens:rawPredict`
    CountPredicted,
    /// `POST …/publishers/google/models/NAME:countTokens`
    CountAtVertex(String),
    /// `POST …/model/NAME/converse`, or `/converse-stream`
    Converse {
        /// The model.
        model: String,
        /// `true`: the answer is streamed.
        stream: bool,
    },
    /// `POST …/models/NAME:countTokens`
    CountContents(String),
    /// `POST …/models/NAME:embedContent`
    EmbedContent(String),
    /// `POST …/models/NAME:batchEmbedContents`
    EmbedContents(String),
    /// Something beside conversations
    Side(SideRoute),
    /// `GET …/models`
    Models,
    /// `GET …/models/NAME`
    Model(String),
    /// `GET …/publishers/google/models`
    PublisherModels,
    /// `GET …/publishers/google/models/NAME`
    PublisherModel(String),
    /// `GET /__journal`
    ReadJournal,
    /// `DELETE /__journal`
    ClearJournal,
    /// `GET /healthz`
    Health,
    /// The path is known, the method is not the one.
    WrongMethod,
    /// Nothing.
    Unknown,
}

/// The vendor whose words to use: by the path where it says so, else by the headers only Anthropic's callers send.
pub(crate) fn vendor(parts: &Parts) -> Vendor {
    let path = parts.uri.path();
    if amazon_method(path).is_some() {
        return Vendor::Amazon;
    }
    match SideRoute::of(path) {
        Some(SideRoute::RerankAtCohere) => return Vendor::Cohere,
        Some(_) => return Vendor::OpenAi,
        None => {}
    }
    if cohere_route(path).is_some() {
        return Vendor::Cohere;
    }
    if vertex::is_of_anthropic(path) {
        return Vendor::Anthropic;
    }
    if google_method(path).is_some() || parts.headers.contains_key("x-goog-api-key") || path.starts_with("/v1beta/") {
        return Vendor::Google;
    }
    if path.contains("/responses/") {
        return Vendor::OpenAi;
    }
    let named =
        path.ends_with("/messages") || path.contains("/messages/batches") || path.ends_with("/messages/count_tokens");
    let marked = parts.headers.contains_key("anthropic-version") || parts.headers.contains_key("x-api-key");
    if named
        || (marked
            && !path.ends_with("/completions")
            && !path.ends_with("/embeddings")
            && !path.ends_with("/responses")
            && !path.ends_with("/input_tokens"))
    {
        Vendor::Anthropic
    } else {
        Vendor::OpenAi
    }
}

/// The model and the method of a path of Google's.
fn google_method(path: &str) -> Option<(&str, &str)> {
    path.split_once("/models/")?.1.rsplit_once(':')
}

/// The endpoint that a path of Cohere's is.
fn cohere_route(path: &str) -> Option<Route> {
    match path.rsplit('/').next()? {
        "chat" => Some(Route::CohereChat),
        "embed" => Some(Route::CohereEmbed),
        _ => None,
    }
}

/// The model and the method of a path of Bedrock's.
fn amazon_method(path: &str) -> Option<(&str, &str)> {
    path.split_once("/model/")?.1.rsplit_once('/')
}

/// The endpoint that a path of Bedrock's is.
fn amazons(path: &str) -> Option<Route> {
    let (model, method) = amazon_method(path)?;
    let model = model.replace("%3A", ":").replace("%2F", "/");
    Some(match method {
        "invoke" => Route::Invoke { model, stream: false },
        "invoke-with-response-stream" => Route::Invoke { model, stream: true },
        "converse" => Route::Converse { model, stream: false },
        "converse-stream" => Route::Converse { model, stream: true },
        _ => return None,
    })
}

/// A parameter of the query.
pub(crate) fn parameter<'p>(parts: &'p Parts, wanted: &str) -> Option<&'p str> {
    let pairs = parts.uri.query().into_iter().flat_map(|query| query.split('&'));
    pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// The endpoint, with or without `/v1` or any other prefix.
pub(crate) fn route(parts: &Parts) -> Route {
    let path = parts.uri.path();
    let only = |method: Method, route: Route| if parts.method == method { route } else { Route::WrongMethod };
    if let Some(kept) = KeptRoute::of(parts) {
        return kept.map_or(Route::WrongMethod, Route::Kept);
    }
    let posted = [
        ("/chat/completions", Route::Chat),
        ("/completions", Route::Completions),
        ("/embeddings", Route::Embeddings),
        ("/responses", Route::Responses),
        ("/responses/input_tokens", Route::CountItems),
        ("/messages", Route::Messages),
        ("/messages/count_tokens", Route::CountTokens),
    ];
    let posted = posted.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, route)| route);
    let side = || SideRoute::of(path).map(Route::Side);
    if let Some(route) = posted.or_else(|| cohere_route(path)).or_else(side) {
        return only(Method::POST, route);
    }
    if let Some(stored) = StoredRoute::of(parts) {
        return stored.map_or(Route::WrongMethod, Route::Stored);
    }
    if path.ends_with("/publishers/google/models") {
        return only(Method::GET, Route::PublisherModels);
    }
    if path.ends_with("/models") {
        return only(Method::GET, Route::Models);
    }
    if path == "/__journal" {
        return if parts.method == Method::DELETE {
            Route::ClearJournal
        } else {
            only(Method::GET, Route::ReadJournal)
        };
    }
    if path == "/healthz" {
        return Route::Health;
    }
    if let Some(route) = amazons(path) {
        return only(Method::POST, route);
    }
    if let Some(found) = of_google(parts) {
        return only(Method::POST, found);
    }
    match path.split_once("/models/") {
        Some((_, name)) if !name.is_empty() && vertex::is_of_google(path) => {
            only(Method::GET, Route::PublisherModel(name.to_owned()))
        }
        Some((_, name)) if !name.is_empty() => only(Method::GET, Route::Model(name.to_owned())),
        _ => Route::Unknown,
    }
}

/// The endpoint of a method of Google's.
fn of_google(parts: &Parts) -> Option<Route> {
    let path = parts.uri.path();
    let (model, method) = google_method(path)?;
    let model = model.to_owned();
    let array = parameter(parts, "alt") != Some("sse");
    Some(match method {
        "generateContent" => Route::Generate { model, stream: false, array: false },
        "streamGenerateContent" => Route::Generate { model, stream: true, array },
        "embedContent" => Route::EmbedContent(model),
        "batchEmbedContents" => Route::EmbedContents(model),
        "rawPredict" if model == "count-tokens" => Route::CountPredicted,
        "rawPredict" | "streamRawPredict" => Route::Predict(model),
        "countTokens" if vertex::is_of_google(path) => Route::CountAtVertex(model),
        "countTokens" => Route::CountContents(model),
        _ => return None,
    })
}
