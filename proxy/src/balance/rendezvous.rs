//! Rendezvous hashing with bounded load: calls of one conversation find the same endpoint on every proxy, without anything that proxies
//! would have to tell each other, and an endpoint that goes takes no other's conversations with it.

use super::candidate::Candidate;

/// A conversation that looks for its endpoint.
#[derive(Debug, Clone, Copy)]
pub struct ConversationKey {
    /// The hash of what it is known by.
    pub key: u64,
    /// The most that an endpoint has at once, in thousandths of its fair share.
    pub max_load_milli: u32,
    /// True if it has several calls under way at once: an agent with its sub-agents, which one endpoint is not to bear alone.
    pub is_crowd: bool,
}

/// The endpoint of the highest rank that has room; if none has, the one with least to do.
pub(super) fn choose<'a, I>(conversation: ConversationKey, members: impl Fn() -> I) -> Option<usize>
where
    I: Iterator<Item = (usize, &'a Candidate)>,
{
    let (calls, weights) = members()
        .fold((1.0, 0.0), |(calls, weights), (_, c)| (calls + f64::from(c.calls()), weights + f64::from(c.weight)));
    let has_room =
        |c: &Candidate| f64::from(c.calls()) + 1.0 <= bound(conversation, calls * f64::from(c.weight) / weights);
    let ranked = members().filter(|(_, c)| has_room(c));
    let best = ranked.max_by(|(_, a), (_, b)| rank(conversation.key, a).total_cmp(&rank(conversation.key, b)));
    let load = |c: &Candidate| (f64::from(c.calls()) + 1.0) / f64::from(c.weight);
    best.or_else(|| members().min_by(|(_, a), (_, b)| load(a).total_cmp(&load(b)))).map(|(index, _)| index)
}

/// The place where a conversation is at home as long as all are well: the first by rank of the first tier.
#[must_use]
pub fn home(conversation: ConversationKey, candidates: &[Candidate]) -> Option<usize> {
    let able = || candidates.iter().enumerate().filter(|(_, c)| c.serves && c.weight > 0);
    let tier = able().map(|(_, c)| c.tier()).min()?;
    let members = able().filter(|(_, c)| c.tier() == tier);
    let key = conversation.key;
    members.max_by(|(_, a), (_, b)| rank(key, a).total_cmp(&rank(key, b))).map(|(index, _)| index)
}

/// The most calls that an endpoint has at once whose fair share of them is this. Calls of many conversations come together by chance:
/// as much as chance explains is no crowd, or conversations would move for nothing.
fn bound(conversation: ConversationKey, share: f64) -> f64 {
    let strict = (share * f64::from(conversation.max_load_milli) / 1_000.0).floor().max(1.0);
    if conversation.is_crowd { strict } else { strict.max((share + 2.0 * share.sqrt() + 1.0).floor()) }
}

/// Its rank for a conversation: over many of them each endpoint is first as often as its weight says.
fn rank(key: u64, candidate: &Candidate) -> f64 {
    // The upper 53 bits, which a float holds exactly, and never 0.
    let drawn = ((mixed(key ^ candidate.identity) >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    f64::from(candidate.weight) / -drawn.min(1.0 - f64::EPSILON).ln()
}

/// Spreads what differs in one bit over all of them (the finaliser of SplitMix64).
const fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
