//! Data in the place of a URL, as pictures and files are sent inline.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hub::Source;

impl Source {
    /// A picture or document by its URL: a `data:` URL in base64 is inline, every other is the
    /// provider's to fetch. Its media type is lower-cased and loses its parameters, its data loses the line breaks that
    /// many encoders put in.
    #[must_use]
    pub fn of_url(url: String) -> Self {
        let inline =
            url.get(5..).filter(|_| is_data(&url)).and_then(|rest| rest.split_once(',')).and_then(|(head, data)| {
                let (head, coding) = head.rsplit_once(';')?;
                let media_type = head.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                let mut data = data.to_owned();
                data.retain(|byte| !byte.is_ascii_whitespace());
                coding.trim().eq_ignore_ascii_case("base64").then_some(Self::Base64 { media_type, data })
            });
        inline.unwrap_or(Self::Url(url))
    }

    /// The text of a document that is one, also where its bytes stand here; `None`: it is none, or stands elsewhere.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        /// Types of text beside `text/…`.
        const TEXTS: [&str; 4] = ["application/json", "application/xml", "application/yaml", "application/x-yaml"];
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Base64 { media_type, data } if media_type.starts_with("text/") || TEXTS.contains(&&**media_type) => {
                STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok()).map(Cow::Owned)
            }
            Self::Base64 { .. } | Self::Url(_) | Self::File(_) => None,
        }
    }

    /// A file's data, as a `data:` URL or in bare base64, which its name says the kind of: OpenAI takes little but PDF. OpenRouter takes an
    /// address in its place.
    #[must_use]
    pub fn of_file(data: String, name: Option<&str>) -> Self {
        let media_type = match name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension) {
            Some("txt" | "md") => "text/plain",
            _ => "application/pdf",
        };
        match Self::of_url(data) {
            // A `data:` URL in another coding stays one, for its writer to refuse.
            Self::Url(url) if is_fetched(&url) || is_data(&url) => Self::Url(url),
            Self::Url(data) => Self::Base64 { media_type: media_type.to_owned(), data },
            inline => inline,
        }
    }
}

/// True if a URL holds its data itself.
fn is_data(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// True if a URL is one that is fetched over HTTP.
pub(crate) fn is_fetched(url: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_the_place_of_data_is_one() {
        let of = |data: &str| Source::of_file(data.to_owned(), Some("a.pdf"));
        assert!(matches!(of("HTTPS://e.com/a.pdf"), Source::Url(url) if url == "HTTPS://e.com/a.pdf"));
        assert!(matches!(of("data:text/plain,hi"), Source::Url(url) if url == "data:text/plain,hi"));
        assert!(matches!(of("JVBERi0="), Source::Base64 { media_type, .. } if media_type == "application/pdf"));
        assert!(
            matches!(of("data:text/plain;base64,YQ=="), Source::Base64 { media_type, .. } if media_type == "text/plain")
        );
    }
}
