//! Objects that come in pieces: some of their texts grow, everything else says the same wherever it is said.

use serde_json::value::RawValue;

use crate::codec::Unfolded;
use crate::hub::Raw;
use crate::json::{Object, Writer, string};

/// The deepest level at which values grow; anything deeper is one value.
const MOST_DEEP: usize = 4;
/// The most objects of one list.
const MOST_PIECES: usize = 128;
/// The cost of one of them beside its members.
const COST: usize = 64;

/// An object.
#[derive(Debug, Default)]
pub(super) struct Tree(Vec<(String, Node)>);

#[derive(Debug)]
enum Node {
    Grown(String),
    Value(Raw),
    Object(Tree),
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lays another piece over it; gives how many bytes are held for it.
    ///
    /// # Errors
    /// The two disagree.
    pub(super) fn merge(&mut self, piece: &Object<'_>, growing: &[&str]) -> Result<usize, Unfolded> {
        self.merge_at(piece, growing, 0)
    }

    /// The same, of one member.
    pub(super) fn member(&mut self, name: &str, raw: &RawValue, growing: &[&str]) -> Result<usize, Unfolded> {
        self.member_at(name, raw, growing, 0)
    }

    fn merge_at(&mut self, piece: &Object<'_>, growing: &[&str], depth: usize) -> Result<usize, Unfolded> {
        let mut members = piece.members();
        members.try_fold(0, |held, (name, raw)| Ok(held + self.member_at(name, raw, growing, depth)?))
    }

    fn member_at(&mut self, name: &str, raw: &RawValue, growing: &[&str], depth: usize) -> Result<usize, Unfolded> {
        let text = raw.get();
        if text == "null" {
            return Ok(0);
        }
        let inner = || serde_json::from_str::<Object<'_>>(text).map_err(|_| Unfolded::Malformed);
        let nests = text.starts_with('{') && depth < MOST_DEEP;
        if let Some((_, node)) = self.0.iter_mut().find(|(known, _)| known == name) {
            return match node {
                Node::Grown(grown) => {
                    let more = string(raw).ok_or(Unfolded::Unknown)?;
                    grown.push_str(&more);
                    Ok(more.len())
                }
                Node::Object(tree) if nests => tree.merge_at(&inner()?, growing, depth + 1),
                Node::Value(value) if value.get() == text || text == "\"\"" => Ok(0),
                // What was left empty is said now.
                Node::Value(value) if value.get() == "\"\"" => {
                    *value = raw.to_owned();
                    Ok(text.len())
                }
                _ => Err(Unfolded::Unknown),
            };
        }
        let (node, held) = if nests {
            let mut tree = Self::default();
            let held = tree.merge_at(&inner()?, growing, depth + 1)?;
            (Node::Object(tree), held)
        } else if growing.contains(&name) && text.starts_with('"') {
            let begun = string(raw).ok_or(Unfolded::Unknown)?;
            let held = begun.len();
            (Node::Grown(begun), held)
        } else {
            (Node::Value(raw.to_owned()), text.len())
        };
        self.0.push((name.to_owned(), node));
        Ok(held + name.len() + COST)
    }

    pub(super) fn write(&self, json: &mut Writer) {
        json.open(b'{');
        self.write_members(json);
        json.close(b'}');
    }

    pub(super) fn write_members(&self, json: &mut Writer) {
        self.0.iter().for_each(|member| write_member(member, json));
    }
}

fn write_member((name, node): &(String, Node), json: &mut Writer) {
    match node {
        Node::Grown(text) => json.text_field(name, text),
        Node::Value(raw) => json.raw_field(name, raw),
        Node::Object(tree) => {
            json.key(name);
            tree.write(json);
        }
    }
}

/// A list of objects in pieces: each piece says by its `index` which of them it belongs to.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<(Option<u64>, Tree)>);

impl Pieces {
    /// Lays more pieces over it. A piece without an index is one of its own, whole; `needs` is the field that it must
    /// have then.
    ///
    /// # Errors
    /// Pieces disagree, or it is not clear where one belongs.
    pub(super) fn merge(&mut self, list: &RawValue, growing: &[&str], needs: Option<&str>) -> Result<usize, Unfolded> {
        let list: Vec<Object<'_>> = serde_json::from_str(list.get()).map_err(|_| Unfolded::Unknown)?;
        let mut held = 0;
        for piece in list {
            let member = |wanted: &str| piece.members().find(|(name, _)| *name == wanted).map(|(_, raw)| raw.get());
            let index = match member("index").filter(|index| *index != "null") {
                Some(index) => Some(index.parse::<u64>().map_err(|_| Unfolded::Unknown)?),
                None => None,
            };
            let known = self.0.iter_mut().find(|(known, _)| index.is_some() && *known == index);
            if let Some((_, tree)) = known {
                held += tree.merge(&piece, growing)?;
                continue;
            }
            let lacking = needs.filter(|_| index.is_none()).is_some_and(|field| member(field).is_none_or(is_empty));
            if lacking || self.0.len() >= MOST_PIECES {
                return Err(Unfolded::Unknown);
            }
            let mut tree = Tree::default();
            held += tree.merge(&piece, growing)?;
            self.0.push((index, tree));
        }
        Ok(held)
    }

    /// Writes them as a member of this name. `numbered`: a whole answer's list, too, says each one's index.
    pub(super) fn write(&self, name: &str, numbered: bool, json: &mut Writer) {
        if self.0.is_empty() {
            return;
        }
        json.open_field(name, b'[');
        for (_, tree) in &self.0 {
            json.open(b'{');
            tree.0.iter().filter(|(name, _)| numbered || name != "index").for_each(|member| write_member(member, json));
            json.close(b'}');
        }
        json.close(b']');
    }
}

fn is_empty(text: &str) -> bool {
    matches!(text, "null" | "\"\"")
}
