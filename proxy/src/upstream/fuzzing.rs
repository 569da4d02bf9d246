//! A provider's answers over HTTP/1.1: any split reads like the whole, and nothing is read beyond the end.

use bytes::BytesMut;
use http::HeaderMap;

use super::framing::Piece;
use super::head::HeadReader;

/// The parts that were read: status and headers, body, whether that was all of it, and what came behind it.
type ReadAnswer = (u16, HeaderMap, Vec<u8>, bool, Vec<u8>);

/// The answer in bytes that came in these pieces; `None`: its head is not whole. Errors: it is none.
fn answer(pieces: &[&[u8]]) -> Result<Option<ReadAnswer>, ()> {
    let (mut come, mut headers, mut found) = (BytesMut::new(), HeaderMap::new(), None);
    let (mut body, mut reader) = (Vec::new(), HeadReader::default());
    for piece in pieces {
        come.extend_from_slice(piece);
        if found.is_none() {
            found = reader.read(&mut come, &mut headers).map_err(drop)?;
        }
        let Some(head) = &mut found else { continue };
        while let Piece::Data(data) = head.framing.take(&mut come).map_err(drop)? {
            assert!(!data.is_empty(), "an empty piece is no end");
            body.extend_from_slice(&data);
        }
    }
    Ok(found.map(|head| (head.status.as_u16(), head.headers, body, head.framing.is_over(), come.to_vec())))
}

/// A provider's answers: cut into these pieces, one is read as it is at once.
///
/// # Panics
/// When what must hold does not.
pub fn answers(data: &[u8], pieces: &[&[u8]]) {
    let whole = answer(&[data]);
    let cut = answer(pieces);
    // Of a head that is not whole it need not be known yet that it is broken.
    if (&cut, &whole) != (&Ok(None), &Err(())) {
        assert_eq!(cut, whole, "{}", String::from_utf8_lossy(data));
    }
    if let Ok(Some((_, _, body, over, rest))) = whole {
        assert!(body.len() + rest.len() <= data.len());
        assert!(over || rest.len() < 2 + (16 << 10), "what has come is taken");
    }
}
