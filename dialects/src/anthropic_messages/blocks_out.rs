//! Content blocks written to the wire, and the rules for content that Anthropic has no block for.

use super::place::part_path;
use crate::call_arguments::as_object;
use crate::call_id;
use crate::codec::ServerTools;
use crate::data_url::is_fetched;
use crate::dialect::Dialect;
use crate::hub::{Content, Fields, Part, Source, ToolCall};
use crate::json::serialize_text;
use crate::left_out::LeftOut;
use crate::spoke::PartPath;
use crate::thoughts::is_marked;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The reason why a part can not be said.
#[derive(Debug)]
pub(super) struct Unsaid {
    /// The piece of a tool's result that it is about.
    pub(super) inner: Option<usize>,
    /// The words that the caller is told.
    pub(super) why: String,
}

impl Unsaid {
    fn new(why: impl std::fmt::Display) -> Self {
        Self { inner: None, why: why.to_string() }
    }
}

/// A block on the wire.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum BlockOut<'a> {
    WrittenBlock(WrittenBlock<'a>),
    Raw(&'a RawValue),
}

#[derive(Serialize)]
pub(super) struct WrittenBlock<'a> {
    #[serde(flatten)]
    known: Known<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a RawValue>,
    #[serde(flatten)]
    extra: Option<&'a Fields>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Known<'a> {
    Text {
        #[serde(serialize_with = "serialize_text")]
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<&'a RawValue>,
    },
    Image {
        source: From<'a>,
    },
    Document {
        source: From<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<&'a RawValue>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Written<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum From<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    File { file_id: &'a str },
    Text { media_type: &'static str, data: Cow<'a, str> },
}

/// Content on the wire: a lone plain text as a string, else blocks.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Written<'a> {
    Text(#[serde(serialize_with = "serialize_text")] Cow<'a, str>),
    Blocks(Vec<BlockOut<'a>>),
}

impl<'a> Written<'a> {
    pub(super) fn of(mut blocks: Vec<BlockOut<'a>>) -> Self {
        if blocks.len() == 1
            && let Some(BlockOut::WrittenBlock(block)) = blocks.first_mut()
            && let WrittenBlock { known: Known::Text { text, citations: None }, cache_control: None, extra: None } =
                block
        {
            return Written::Text(std::mem::take(text));
        }
        Written::Blocks(blocks)
    }
}

impl<'a> BlockOut<'a> {
    /// A text of our own or of the system prompt.
    pub(super) fn text(
        text: impl Into<Cow<'a, str>>,
        cache_control: Option<&'a RawValue>,
        extra: Option<&'a Fields>,
    ) -> Self {
        BlockOut::WrittenBlock(WrittenBlock {
            known: Known::Text { text: text.into(), citations: None },
            cache_control,
            extra,
        })
    }

    /// True if it is a thought of the model's.
    pub(super) const fn is_thought(&self) -> bool {
        matches!(
            self,
            BlockOut::WrittenBlock(WrittenBlock { known: Known::Thinking { .. } | Known::RedactedThinking { .. }, .. })
        )
    }

    /// True if it is a tool's result.
    pub(super) const fn is_result(&self) -> bool {
        matches!(self, BlockOut::WrittenBlock(WrittenBlock { known: Known::ToolResult { .. }, .. }))
    }

    /// Cuts white space off the end of a text; `false`: nothing of it is left.
    pub(super) fn trim_end(&mut self) -> bool {
        if let BlockOut::WrittenBlock(WrittenBlock { known: Known::Text { text, .. }, .. }) = self {
            let kept = text.trim_end().len();
            match text {
                Cow::Borrowed(text) => *text = text.get(..kept).unwrap_or_default(),
                Cow::Owned(text) => text.truncate(kept),
            }
            return kept > 0;
        }
        true
    }
}

/// Writes parts as blocks, and remembers what it left out.
pub(super) struct BlockWriter {
    cross_dialect: bool,
    /// The name that the caller's dialect has for a part of a turn.
    pub(super) path: PartPath,
    reply: bool,
    /// The policy for traces of tools that another vendor ran.
    pub(super) server_tools: ServerTools,
    /// True if the model does not think for this call: beside that Anthropic refuses earlier thoughts.
    pub(super) rests: bool,
    dropped: LeftOut,
}

impl BlockWriter {
    /// For a request that came in the words of `origin`.
    pub(super) fn request(origin: Dialect, path: PartPath) -> Self {
        Self {
            cross_dialect: origin != Dialect::AnthropicMessages,
            path,
            reply: false,
            server_tools: ServerTools::default(),
            rests: false,
            dropped: LeftOut::default(),
        }
    }

    /// For an answer that came in the words of `origin`.
    pub(super) fn reply(origin: Dialect) -> Self {
        Self { reply: true, ..Self::request(origin, part_path) }
    }

    /// True if the words are another dialect's.
    pub(super) fn cross_dialect(&self) -> bool {
        self.cross_dialect
    }

    /// Remembers a field that a rule leaves out.
    pub(super) fn drop_field(&mut self, field: &str) {
        self.dropped.add(field);
    }

    /// Fields of `owner` that the hub has no word for: written to their own dialect, remembered as left out to another.
    pub(super) fn extra<'a>(&mut self, owner: &str, extra: &'a Fields) -> Option<&'a Fields> {
        if self.cross_dialect {
            self.dropped.add_fields(owner, extra);
        }
        Some(extra).filter(|extra| !self.cross_dialect && !extra.is_empty())
    }

    /// All that was left out, in order of the names.
    pub(super) fn dropped(self) -> Vec<String> {
        let mut names = self.dropped.into_names();
        names.sort_unstable();
        names
    }

    /// A part as its block; `None`: by a rule it is nothing. Errors: Anthropic can not be told this.
    pub(super) fn part<'a>(&mut self, part: &'a Part) -> Result<Option<BlockOut<'a>>, Unsaid> {
        let Part { content, cache, extra } = part;
        let known = match content {
            Content::Text { text, citations } => {
                if self.cross_dialect && text.trim().is_empty() {
                    return Ok(None);
                }
                if self.cross_dialect && citations.is_some() {
                    self.drop_field("annotations");
                }
                let citations = citations.as_deref().filter(|_| !self.cross_dialect);
                Known::Text { text: Cow::Borrowed(text), citations }
            }
            Content::Refusal(text) if text.trim().is_empty() => return Ok(None),
            Content::Refusal(text) => Known::Text { text: Cow::Borrowed(text), citations: None },
            Content::Image { source: Source::Base64 { media_type, data: _ }, detail: _ } if self.reply => {
                Known::Text { text: Cow::Owned(unshown(media_type)), citations: None }
            }
            Content::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.drop_field("image_url.detail");
                }
                self.picture(source)?
            }
            Content::Document { source, name, settings } => {
                if self.cross_dialect {
                    self.extra("messages.content.file", settings);
                }
                Known::Document {
                    source: self.document(source)?,
                    title: name.as_deref(),
                    context: self.own(settings, "context"),
                    citations: self.own(settings, "citations"),
                }
            }
            Content::Audio { data: _, format: _ } => {
                return Err(Unsaid::new("`input_audio`: Anthropic models take no sound; send its text"));
            }
            Content::ToolCall(ToolCall { id, name, arguments }) => {
                Known::ToolUse { id: self.id(id), name, input: input(arguments) }
            }
            Content::ToolResult { call_id, parts, is_error } => {
                Known::ToolResult { tool_use_id: self.id(call_id), content: self.result(parts)?, is_error: *is_error }
            }
            thought @ (Content::Thinking { .. } | Content::RedactedThinking(_)) => match self.thought(thought) {
                Some(known) => known,
                None => return Ok(None),
            },
            Content::Other { dialect, raw } => return self.other(*dialect, raw),
        };
        let cache_control = cache.as_ref().map(|mark| &*mark.0);
        let extra = self.extra("messages.content", extra);
        Ok(Some(BlockOut::WrittenBlock(WrittenBlock { known, cache_control, extra })))
    }

    /// The model's thoughts; `None`: Anthropic has not signed them, and refuses them, or the model does not think now.
    fn thought<'a>(&mut self, content: &'a Content) -> Option<Known<'a>> {
        let known = match content {
            _ if self.rests => None,
            Content::Thinking { text, signature } if self.reply || !self.is_foreign(signature.as_deref()) => {
                Some(Known::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() })
            }
            Content::RedactedThinking(data) if self.reply || !is_marked(data) => Some(Known::RedactedThinking { data }),
            _ => None,
        };
        if known.is_none() {
            self.drop_field("reasoning_content");
        }
        known
    }

    /// A block that the hub has no word for.
    fn other<'a>(&mut self, dialect: Dialect, raw: &'a RawValue) -> Result<Option<BlockOut<'a>>, Unsaid> {
        if dialect == Dialect::AnthropicMessages {
            return Ok(Some(BlockOut::Raw(raw)));
        }
        if self.server_tools.leaves_out_trace(raw) {
            self.drop_field("messages.content");
            return Ok(None);
        }
        let name = dialect.name();
        Err(Unsaid::new(format_args!("this {name} content part has no Anthropic counterpart")))
    }

    /// True if a signature over thoughts is none of Anthropic's.
    fn is_foreign(&self, signature: Option<&str>) -> bool {
        signature.map_or(self.cross_dialect, is_marked)
    }

    fn own<'a>(&self, settings: &'a Fields, name: &str) -> Option<&'a RawValue> {
        settings.get(name).filter(|_| !self.cross_dialect).map(|raw| &**raw)
    }

    fn result<'a>(&mut self, parts: &'a [Part]) -> Result<Option<Written<'a>>, Unsaid> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            blocks.extend(self.part(part).map_err(|unsaid| Unsaid { inner: Some(index), ..unsaid })?);
        }
        Ok((!blocks.is_empty()).then(|| Written::of(blocks)))
    }

    /// A picture; a document that came in a picture's place is a document all the same.
    fn picture<'a>(&self, source: &'a Source) -> Result<Known<'a>, Unsaid> {
        let (media_type, data) = match source {
            Source::Url(url) => match inline(url, "image_url")? {
                Some(inline) => inline,
                None => return Ok(Known::Image { source: self.fetched(url, "image_url")? }),
            },
            Source::Base64 { media_type, data } => (&**media_type, &**data),
            Source::File(file_id) => return Ok(Known::Image { source: self.file(file_id)? }),
            Source::Text(_) => return Err(Unsaid::new("an image cannot be given as text")),
        };
        let source = match image_type(media_type) {
            media_type @ ("image/jpeg" | "image/png" | "image/gif" | "image/webp") => From::Base64 { media_type, data },
            media_type if self.cross_dialect && is_document(media_type) => {
                let source = self.inline_document(media_type, data)?;
                return Ok(Known::Document { source, title: None, context: None, citations: None });
            }
            media_type if !self.cross_dialect => From::Base64 { media_type, data },
            "" => return Err(Unsaid::new("`image_url`: the `data:` URL does not say its media type")),
            other => {
                let why = format_args!("`image_url`: Anthropic takes JPEG, PNG, GIF and WebP pictures, not {other}");
                return Err(Unsaid::new(why));
            }
        };
        Ok(Known::Image { source })
    }

    fn document<'a>(&self, source: &'a Source) -> Result<From<'a>, Unsaid> {
        match source {
            Source::Url(url) => match inline(url, "file")? {
                Some((media_type, data)) => self.inline_document(media_type, data),
                None => self.fetched(url, "file"),
            },
            Source::Base64 { media_type, data } => self.inline_document(media_type, data),
            Source::File(file_id) => self.file(file_id),
            Source::Text(data) => Ok(From::Text { media_type: "text/plain", data: Cow::Borrowed(data) }),
        }
    }

    /// A document by its bytes; a plain text is said as text.
    fn inline_document<'a>(&self, media_type: &'a str, data: &'a str) -> Result<From<'a>, Unsaid> {
        match media_type {
            text if self.cross_dialect && text.starts_with("text/") => {
                let text = BASE64.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let text = text.ok_or_else(|| Unsaid::new("`file`: its data is not UTF-8 text in base64"))?;
                Ok(From::Text { media_type: "text/plain", data: Cow::Owned(text) })
            }
            "application/pdf" => Ok(From::Base64 { media_type, data }),
            _ if !self.cross_dialect => Ok(From::Base64 { media_type, data }),
            other => {
                let why = format_args!("`file`: Anthropic takes application/pdf and text inline, not {other}");
                Err(Unsaid::new(why))
            }
        }
    }

    /// An address from which the vendor fetches.
    fn fetched<'a>(&self, url: &'a str, field: &str) -> Result<From<'a>, Unsaid> {
        if self.cross_dialect && !is_fetched(url) {
            return Err(Unsaid::new(format_args!(
                "`{field}`: Anthropic fetches http and https addresses and no others"
            )));
        }
        Ok(From::Url { url })
    }

    fn file<'a>(&self, file_id: &'a str) -> Result<From<'a>, Unsaid> {
        if self.cross_dialect {
            return Err(Unsaid::new("`file_id`: a file kept at one provider cannot be read by another; send its data"));
        }
        Ok(From::File { file_id })
    }

    /// A tool call's id. Anthropic refuses ids with other characters than these; a changed one keeps a hash of what it was,
    /// so that two stay two, and a call and its result still meet.
    fn id<'a>(&self, id: &'a str) -> Cow<'a, str> {
        if self.cross_dialect { call_id::plain(id, usize::MAX) } else { Cow::Borrowed(id) }
    }
}

/// The words for a picture in an answer, which Anthropic has no block for.
pub(super) fn unshown(media_type: &str) -> String {
    format!("[The model answered with a picture ({media_type}), which this API can not show.]")
}

/// The media type and base64 data of a `data:` URL; `None`: another URL.
fn inline<'a>(url: &'a str, field: &str) -> Result<Option<(&'a str, &'a str)>, Unsaid> {
    let scheme = url.get(..5).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("data:") {
        return Ok(None);
    }
    let parts = url.get(5..).and_then(|rest| rest.split_once(','));
    let parts = parts.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    match parts {
        Some((head, data)) => Ok(Some((head.split(';').next().unwrap_or_default(), data))),
        None => Err(Unsaid::new(format_args!("`{field}`: this `data:` URL is not base64"))),
    }
}

/// True if Anthropic reads it as a document.
fn is_document(media_type: &str) -> bool {
    media_type == "application/pdf" || media_type.starts_with("text/")
}

/// `image/jpg` is written by many and registered by nobody.
fn image_type(media_type: &str) -> &str {
    if media_type == "image/jpg" { "image/jpeg" } else { media_type }
}

/// A call's arguments as the object that `input` must be.
pub(super) fn input(arguments: &str) -> Cow<'_, RawValue> {
    match as_object(arguments) {
        Cow::Borrowed(text) => serde_json::from_str(text).map(Cow::Borrowed).unwrap_or(Cow::Borrowed(RawValue::NULL)),
        Cow::Owned(text) => Cow::Owned(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())),
    }
}
