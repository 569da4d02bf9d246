//! Blocks held back while another is on the wire, within bounds.

use std::collections::VecDeque;

/// The most that is held back of one stream.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The most blocks that are held back of one stream.
const MOST_BLOCKS: usize = 128;
/// The cost of a delta beside its bytes.
const OVERHEAD: usize = 32;

/// A block held back.
#[derive(Debug)]
pub(super) struct HeldBlock {
    pub(super) part: u32,
    /// True if its text is thoughts.
    pub(super) thinks: bool,
    /// Its beginning, as JSON.
    pub(super) begins: Vec<u8>,
    /// Its deltas so far, each as JSON.
    pub(super) deltas: Vec<Vec<u8>>,
    /// True if it has ended.
    pub(super) whole: bool,
}

/// More was to be held back than the bounds allow.
#[derive(Debug)]
pub(super) struct Overflow;

/// The blocks held back, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Held {
    blocks: VecDeque<HeldBlock>,
    bytes: usize,
}

impl Held {
    pub(super) fn begin(&mut self, part: u32, thinks: bool, begins: Vec<u8>) -> Result<(), Overflow> {
        self.grow(begins.len())?;
        if self.blocks.len() >= MOST_BLOCKS {
            return Err(Overflow);
        }
        self.blocks.push_back(HeldBlock { part, thinks, begins, deltas: Vec::new(), whole: false });
        Ok(())
    }

    /// The block that this part is, if it is held back and goes on.
    fn find(&mut self, part: u32) -> Option<&mut HeldBlock> {
        self.blocks.iter_mut().find(|block| block.part == part && !block.whole)
    }

    /// True if a part held back is thoughts; `None`: it is not held back.
    pub(super) fn thinks(&mut self, part: u32) -> Option<bool> {
        self.find(part).map(|block| block.thinks)
    }

    pub(super) fn push(&mut self, part: u32, delta: Vec<u8>) -> Result<(), Overflow> {
        self.grow(delta.len())?;
        if let Some(block) = self.find(part) {
            block.deltas.push(delta);
        }
        Ok(())
    }

    pub(super) fn end(&mut self, part: u32) {
        if let Some(block) = self.find(part) {
            block.whole = true;
        }
    }

    /// The block whose turn it is.
    pub(super) fn next(&mut self) -> Option<HeldBlock> {
        let block = self.blocks.pop_front()?;
        let deltas: usize = block.deltas.iter().map(|delta| delta.len() + OVERHEAD).sum();
        self.bytes = self.bytes.saturating_sub(block.begins.len() + OVERHEAD + deltas);
        Some(block)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Overflow> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(OVERHEAD);
        if self.bytes > MOST_BYTES { Err(Overflow) } else { Ok(()) }
    }
}
