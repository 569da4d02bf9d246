//! The coding that a caller likes best, by its `accept-encoding` (RFC 9110 12.5.3).

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL};

use super::answer_coding::AnswerCoding;

/// The amount that each is liked, in thousandths; 0: not at all.
#[derive(Default)]
struct Likes {
    zstd: Option<u16>,
    gzip: Option<u16>,
    plain: Option<u16>,
    any: Option<u16>,
}

impl AnswerCoding {
    /// The one to answer this request in; `None`: as it is. Of two that are liked as much it is the cheaper one.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut likes = Likes::default();
        for value in headers.get_all(ACCEPT_ENCODING) {
            value.as_bytes().split(|byte| *byte == b',').for_each(|item| likes.read(item));
        }
        likes.best().filter(|_| !forbids(headers))
    }
}

/// True if a message says that nobody on its way may change its form (RFC 9111 5.2.1.6 and 5.2.2.6).
#[must_use]
pub fn forbids(headers: &HeaderMap) -> bool {
    let said =
        headers.get_all(CACHE_CONTROL).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    said.map(<[u8]>::trim_ascii).any(|word| word.eq_ignore_ascii_case(b"no-transform"))
}

impl Likes {
    fn read(&mut self, item: &[u8]) {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let like = if name.eq_ignore_ascii_case(b"zstd") {
            &mut self.zstd
        } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            &mut self.gzip
        } else if name.eq_ignore_ascii_case(b"identity") {
            &mut self.plain
        } else if name == b"*" {
            &mut self.any
        } else {
            return;
        };
        *like = Some(parts.next().map_or(1000, weight));
    }

    fn best(&self) -> Option<AnswerCoding> {
        // Who takes any may still have meant those of its day.
        let (zstd, gzip) = (self.zstd.unwrap_or(0), self.gzip.or(self.any).unwrap_or(0));
        let (coding, like) = if zstd >= gzip { (AnswerCoding::Zstd, zstd) } else { (AnswerCoding::Gzip, gzip) };
        (like > 0 && like >= self.plain.unwrap_or(0)).then_some(coding)
    }
}

/// `q=0.8`, in thousandths; what can not be read is 0: nothing is sent that may not be wanted.
fn weight(parameter: &[u8]) -> u16 {
    let read = || {
        let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
        let (whole, decimals) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
        let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
        let decimals = format!("{decimals:0<3}").parse().ok().filter(|_| is_number)?;
        match (name.trim(), whole) {
            ("q" | "Q", "0") => Some(decimals),
            ("q" | "Q", "1") if decimals == 0 => Some(1000),
            _ => None,
        }
    };
    read().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn accepted(lines: &[(HeaderName, &'static str)]) -> Option<AnswerCoding> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        AnswerCoding::accepted(&headers)
    }

    #[test]
    fn the_coding_is_the_one_that_is_liked_best() {
        let (zstd, gzip) = (Some(AnswerCoding::Zstd), Some(AnswerCoding::Gzip));
        for (said, expected) in [
            ("gzip, deflate, br, zstd", zstd),
            ("gzip, deflate", gzip),
            ("GZIP", gzip),
            ("x-gzip", gzip),
            ("zstd;q=0.5, gzip", gzip),
            ("zstd ; q=0.9 , gzip;q=0.899", zstd),
            ("gzip;q=1.000", gzip),
            ("*", gzip),
            ("*;q=0", None),
            ("gzip;q=0, *", None),
            ("gzip;q=0,zstd", zstd),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", gzip),
            ("identity;q=0", None),
            ("br", None),
            ("deflate, compress", None),
            ("", None),
            ("gzip;q=2", None),
            ("gzip;q=0.5000", None),
            ("gzip;q=+1", None),
            ("gzip;q", None),
            ("gzip;level=1", None),
            ("q=1", None),
        ] {
            assert_eq!(accepted(&[(ACCEPT_ENCODING, said)]), expected, "{said}");
        }
        assert_eq!(accepted(&[]), None);
        assert_eq!(accepted(&[(ACCEPT_ENCODING, "br"), (ACCEPT_ENCODING, "gzip")]), gzip, "in two lines");
        assert_eq!(accepted(&[(ACCEPT_ENCODING, "gzip"), (CACHE_CONTROL, "no-store, no-transform")]), None);
    }
}
