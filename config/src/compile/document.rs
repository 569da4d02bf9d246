//! YAML documents as trees that remember their lines.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The deepest that values may be nested: reading them takes stack. No object of ours goes deeper than 12.
const MAX_DEPTH: usize = 24;
/// The most values that a document may have, those that aliases repeat included.
const MAX_NODES: usize = 250_000;

/// A value and the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) content: NodeContent,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeContent {
    Null,
    Bool(bool),
    Int(i64),
    /// Any other number.
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    /// In the order of the document.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A field of a map.
    pub(super) fn get(&self, field: &str) -> Option<&Self> {
        let NodeContent::Map(fields) = &self.content else { return None };
        fields.iter().find(|(name, _)| name == field).map(|(_, node)| node)
    }

    /// A string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.content {
            NodeContent::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The line of each field below, by path.
    pub(super) fn lines(&self, path: &str, lines: &mut BTreeMap<String, u64>) {
        lines.insert(path.to_owned(), self.line);
        match &self.content {
            NodeContent::Map(fields) => {
                for (name, node) in fields {
                    node.lines(&join(path, name), lines);
                }
            }
            NodeContent::Seq(items) => {
                for (index, node) in items.iter().enumerate() {
                    node.lines(&format!("{path}[{index}]"), lines);
                }
            }
            _ => {}
        }
    }
}

/// A field's path.
pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// A document that cannot be read.
pub(super) struct Unreadable {
    pub(super) line: u64,
    pub(super) message: String,
}

/// The documents of a file that hold anything, each read for itself: a broken one leaves the others alone.
pub(super) fn parse(text: &str) -> Vec<Result<Node, Unreadable>> {
    // Some editors begin a file with a byte order mark.
    split(text.strip_prefix('\u{feff}').unwrap_or(text))
        .into_iter()
        .filter_map(|(line, text)| parse_one(line, &text))
        .collect()
}

/// Documents with the number of lines before them. A line that begins with `---` can be nothing but a boundary: YAML
/// allows it in no scalar.
fn split(text: &str) -> Vec<(u64, String)> {
    let mut documents = vec![(0, String::new())];
    for (number, line) in (0_u64..).zip(text.split_inclusive('\n')) {
        let bare = line.trim_end_matches(['\n', '\r']);
        let boundary = bare.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if let Some(rest) = boundary {
            documents.push((number, format!("{rest}\n")));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents
}

fn parse_one(before: u64, text: &str) -> Option<Result<Node, Unreadable>> {
    // Directives (`%YAML 1.2`) stand before the first boundary, in a document of their own here.
    let bare = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%');
    if text.lines().all(bare) {
        return None;
    }
    let options =
        serde_saphyr::options! { budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES } };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(spanned) => {
            let mut node = Node { line: spanned.referenced.line(), content: spanned.value.0 };
            shift(&mut node, before);
            (node.content != NodeContent::Null).then_some(Ok(node))
        }
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            let message = error.without_snippet().to_string();
            Some(Err(Unreadable { line: before.saturating_add(line), message: one_line(&message) }))
        }
    }
}

/// Errors of the YAML library may span lines, and end with a place counted from the document's beginning; findings have
/// one line, and the place in the file.
fn one_line(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message.get(..end).map(str::to_owned).unwrap_or_default()
}

fn shift(node: &mut Node, by: u64) {
    node.line = node.line.saturating_add(by);
    match &mut node.content {
        NodeContent::Map(fields) => fields.iter_mut().for_each(|(_, node)| shift(node, by)),
        NodeContent::Seq(items) => items.iter_mut().for_each(|node| shift(node, by)),
        _ => {}
    }
}

/// Reads whatever is there.
struct Raw(NodeContent);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor).map(Raw)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = NodeContent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<NodeContent, E> {
        Ok(NodeContent::Null)
    }

    fn visit_none<E: Error>(self) -> Result<NodeContent, E> {
        Ok(NodeContent::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeContent, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<NodeContent, E> {
        Ok(NodeContent::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<NodeContent, E> {
        Ok(NodeContent::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<NodeContent, E> {
        #[expect(clippy::cast_precision_loss, reason = "only told about: nothing takes a number that large")]
        Ok(i64::try_from(value).map_or(NodeContent::Float(value as f64), NodeContent::Int))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<NodeContent, E> {
        #[expect(clippy::cast_precision_loss, reason = "only told about: nothing takes a number that large")]
        Ok(i64::try_from(value).map_or(NodeContent::Float(value as f64), NodeContent::Int))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<NodeContent, E> {
        #[expect(clippy::cast_precision_loss, reason = "only told about: nothing takes a number that large")]
        Ok(i64::try_from(value).map_or(NodeContent::Float(value as f64), NodeContent::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<NodeContent, E> {
        Ok(NodeContent::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<NodeContent, E> {
        Ok(NodeContent::Str(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<NodeContent, E> {
        Ok(NodeContent::Str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeContent, A::Error> {
        let mut items = Vec::new();
        while let Some(Spanned { value: Raw(content), referenced, .. }) = seq.next_element()? {
            items.push(Node { line: referenced.line(), content });
        }
        Ok(NodeContent::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeContent, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, Spanned { value: Raw(content), .. })) =
            map.next_entry::<Spanned<String>, Spanned<Raw>>()?
        {
            // A field is looked for where its name stands.
            fields.push((key.value, Node { line: key.referenced.line(), content }));
        }
        Ok(NodeContent::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_where_yaml_splits_them() {
        let text = "%YAML 1.2\n---\na: 1\n--- # two\nb: |\n  --- no boundary\n---\n# nothing\n---\nc: [\n---\nd: 4\n";
        let read = parse(text);
        let lines: Vec<Result<u64, u64>> =
            read.iter().map(|d| d.as_ref().map(|node| node.line).map_err(|e| e.line)).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!((lines[0], lines[1], lines[3]), (Ok(3), Ok(5), Ok(12)));
        assert!(lines[2].is_err_and(|line| line >= 9), "{lines:?}");
    }

    #[test]
    fn hostile_documents_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(50_000), bomb, "a: 1\na: 2\n".to_owned()]
        {
            let read = parse(&text);
            assert!(read.iter().all(Result::is_err), "{}", text.get(..20).unwrap());
        }
    }
}
