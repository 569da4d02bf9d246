//! A call in neutral words: read at most once, and only when a provider speaks another dialect.

use std::cell::RefCell;

use sluicegate_dialects::{Refusal, ToolNames, hub};

/// The place of a call in neutral words. Boxed: most calls have no use for the room.
#[derive(Default)]
pub(super) struct NeutralCell(RefCell<Option<Box<NeutralCall>>>);

struct NeutralCall {
    call: Result<hub::Call, Refusal>,
    /// The names of its tools that went out as others.
    names: ToolNames,
}

impl NeutralCell {
    /// Reads it where nobody has yet, and writes it: whatever an attempt puts into it stays until the next one.
    ///
    /// # Errors
    /// It can not be read, or `write` refuses it.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce() -> Result<hub::Call, Refusal>,
        write: impl FnOnce(&mut hub::Call, &mut ToolNames) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut neutral = self.0.borrow_mut();
        let read = || Box::new(NeutralCall { call: read(), names: ToolNames::default() });
        let NeutralCall { call, names } = &mut **neutral.get_or_insert_with(read);
        write(call.as_mut().map_err(|refusal| refusal.clone())?, names)
    }

    /// The names of its tools that went out as others.
    pub(super) fn tool_names(&self) -> ToolNames {
        self.0.borrow().as_ref().map(|neutral| neutral.names.clone()).unwrap_or_default()
    }
}
