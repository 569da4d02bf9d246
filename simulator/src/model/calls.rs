//! The tools that the model calls, and their arguments.

use serde_json::Value;

use super::schema;
use crate::ask::{Ask, Choice, Part, Tool};

/// The calls the model makes now: tool name and arguments.
///
/// It calls what it must. Left to itself it calls each tool whose name the caller's last words mention (`get_weather`
/// or `get weather`), or the first one when they ask for "a tool"; with "both", "twice" or "parallel" in them, and if
/// it may, it calls a single tool twice. When a tool has just answered, it answers in words.
pub(crate) fn wanted(ask: &Ask, words: &str) -> Vec<(String, String)> {
    let said = words.to_lowercase();
    let mut tools: Vec<&Tool> = match &ask.choice {
        Choice::None => Vec::new(),
        Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        Choice::Required | Choice::Auto => {
            let answered = ask.last_parts().iter().any(|part| matches!(part, Part::Result { .. }));
            if ask.choice == Choice::Auto && answered {
                return Vec::new();
            }
            let named: Vec<&Tool> = ask.tools.iter().filter(|tool| mentions(&said, &tool.name)).collect();
            let fallback = ask.choice == Choice::Required || said.contains("a tool") || said.contains("the tool");
            if named.is_empty() && fallback { ask.tools.first().into_iter().collect() } else { named }
        }
    };
    if !ask.parallel {
        tools.truncate(1);
    } else if tools.len() == 1 && ["both", "twice", "parallel"].iter().any(|word| said.contains(word)) {
        tools.extend(tools.first().copied());
    }
    let calls = tools.iter().enumerate();
    calls.map(|(variant, tool)| (tool.name.clone(), arguments(tool, words, variant))).collect()
}

fn mentions(said: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    said.contains(&name) || said.contains(&name.replace(['_', '-'], " "))
}

fn arguments(tool: &Tool, words: &str, variant: usize) -> String {
    let variant = u32::try_from(variant).unwrap_or(0);
    match schema::value(&tool.schema, words, variant) {
        Value::Object(fields) => Value::Object(fields).to_string(),
        _ => "{}".to_owned(),
    }
}
