//! Tools that a vendor runs itself: what becomes of them, and of the traces they leave in a conversation, where another vendor is
//! asked.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::ServerTools;
use crate::json::kind_of;

impl ServerTools {
    /// True if a tool is left out. One that the model has to use is named in `tool_choice`, which is refused.
    pub(crate) fn leaves_out(self, tool: &RawValue) -> bool {
        match self {
            Self::Refuse => false,
            Self::Drop => true,
            Self::RefuseButSearch => {
                matches!(kind_of(tool.get()).as_str(), "web_search" | "web_search_2025_08_26" | "web_search_preview")
            }
        }
    }

    /// True if a block, item or part that tells of such a tool is left out.
    pub(crate) fn leaves_out_trace(self, part: &RawValue) -> bool {
        let kind = kind_of(part.get());
        match self {
            Self::Refuse => false,
            Self::Drop => tells_of_one(&kind),
            Self::RefuseButSearch => kind == "web_search_call",
        }
    }
}

/// A tool that a search for tools has found (`tool_reference`), as text: the tool itself stands among the call's tools.
pub(crate) fn found_tool(raw: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Reference {
        tool_name: Option<String>,
    }
    let name = serde_json::from_str::<Reference>(raw.get()).ok().and_then(|found| found.tool_name);
    format!("Found the tool `{}`; it can be called now.", name.as_deref().unwrap_or("unknown"))
}

/// True if a block, item or part of this kind tells of a tool that its vendor ran.
fn tells_of_one(kind: &str) -> bool {
    const SUFFIXES: [&str; 3] = ["_tool_result", "_call", "_call_output"];
    match kind {
        "server_tool_use" | "mcp_tool_use" | "mcp_list_tools" | "mcp_approval_request" => true,
        // Gemini's parts say by their one member what they are.
        "executableCode" | "codeExecutionResult" | "toolCall" | "toolResponse" => true,
        kind => SUFFIXES.iter().any(|suffix| kind.ends_with(suffix)),
    }
}
