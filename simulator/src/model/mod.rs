//! The model itself: what it answers to what was asked. The same question always gets the same answer.

mod calls;
mod prose;
mod schema;

use serde_json::json;

use crate::ask::{Ask, Choice as ToolChoice, Format, Thinking};
use crate::plan::Plan;
use crate::tokens;

/// One of the answers.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The parts of it, in order.
    pub(crate) said: Vec<Said>,
    /// The reason why it ends.
    pub(crate) stop: Stop,
    /// Tokens of all of it, thoughts included.
    pub(crate) tokens: u64,
    /// Of them: thoughts.
    pub(crate) thought_tokens: u64,
}

/// A piece of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Thoughts.
    Thought(String),
    /// Thoughts that are hidden whole.
    Hidden(String),
    /// Text.
    Text(String),
    /// A refusal.
    Refusal(String),
    /// A call of a tool.
    Call {
        /// The tool.
        name: String,
        /// Its arguments, JSON.
        arguments: String,
    },
}

/// The reason why an answer ends.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) enum Stop {
    /// It was whole.
    #[default]
    End,
    /// The token limit.
    Length,
    /// Tools are called.
    Tools,
    /// This stop text came up.
    Sequence(String),
    /// It refuses.
    Refusal,
}

/// In the last words of the caller: the model refuses.
const REFUSE: &str = "SIMULATE_REFUSAL";

/// In the last words of the caller: thoughts are hidden whole.
const HIDE: &str = "SIMULATE_REDACTED_THINKING";

/// Answers; as many answers as were asked for.
pub(crate) fn answer(ask: &Ask, plan: &Plan) -> Vec<Answer> {
    (0..ask.answers.max(1)).map(|variant| one(ask, plan, variant)).collect()
}

fn one(ask: &Ask, plan: &Plan, variant: u32) -> Answer {
    let words = ask.last_words();
    if plan.refuse || words.contains(REFUSE) {
        let text = "I can't help with that.".to_owned();
        let tokens = tokens::count(&text);
        return Answer { said: vec![Said::Refusal(text)], stop: Stop::Refusal, tokens, thought_tokens: 0 };
    }
    let mut budget = Budget { left: ask.max_tokens.unwrap_or(u64::MAX), answer: Answer::default() };
    if think(ask, &words, &mut budget) && speak(ask, plan, variant, &words, &mut budget) {
        let Budget { answer, .. } = &mut budget;
        if answer.said.iter().any(|said| matches!(said, Said::Call { .. })) {
            answer.stop = Stop::Tools;
        }
    }
    budget.answer
}

/// The tokens that may still be said.
struct Budget {
    left: u64,
    answer: Answer,
}

impl Budget {
    /// Says as much of a text as there are tokens for; false when that was not all.
    fn text(&mut self, text: &str, wrap: fn(String) -> Said) -> bool {
        let (fits, cut) = tokens::first(text, self.left);
        self.spend(tokens::count(fits));
        self.answer.said.push(wrap(fits.to_owned()));
        if cut {
            self.answer.stop = Stop::Length;
        }
        !cut
    }

    fn spend(&mut self, tokens: u64) {
        self.left = self.left.saturating_sub(tokens);
        self.answer.tokens += tokens;
    }
}

fn think(ask: &Ask, words: &str, budget: &mut Budget) -> bool {
    let before = budget.answer.tokens;
    let all = match ask.thinking {
        Thinking::Off => true,
        Thinking::Counted(tokens) => {
            budget.spend(tokens.min(budget.left));
            if budget.left == 0 {
                budget.answer.stop = Stop::Length;
            }
            budget.left > 0
        }
        Thinking::Shown | Thinking::Withheld if words.contains(HIDE) => {
            budget.text(&prose::thought(words), Said::Hidden)
        }
        Thinking::Shown | Thinking::Withheld => budget.text(&prose::thought(words), Said::Thought),
    };
    budget.answer.thought_tokens = budget.answer.tokens - before;
    all
}

fn speak(ask: &Ask, plan: &Plan, variant: u32, words: &str, budget: &mut Budget) -> bool {
    let calls = calls::wanted(ask, words);
    if !calls.is_empty() {
        if ask.choice == ToolChoice::Auto && !budget.text(&prose::announcement(&calls), Said::Text) {
            return false;
        }
        for (name, arguments) in calls {
            let cost = tokens::count(&arguments) + tokens::count(&name);
            // Vendors leave a call that does not fit unfinished; here it is left out.
            if cost > budget.left {
                budget.answer.stop = Stop::Length;
                return false;
            }
            budget.spend(cost);
            budget.answer.said.push(Said::Call { name, arguments });
        }
        return true;
    }
    let mut text = match (&plan.text, &ask.format) {
        (Some(text), _) => text.clone(),
        (None, Format::Schema(schema)) => schema::value(schema, words, variant).to_string(),
        (None, Format::Json) => json!({ "answer": prose::reply(ask, words, variant) }).to_string(),
        (None, Format::Text) => prose::reply(ask, words, variant),
    };
    if let (Some(tokens), Format::Text) = (plan.tokens, &ask.format) {
        text = prose::stretched(text, words, u64::from(tokens));
    }
    let stopped = stop_text(&mut text, &ask.stop);
    let all = budget.text(&text, Said::Text);
    if let (true, Some(stop)) = (all, stopped) {
        budget.answer.stop = Stop::Sequence(stop);
    }
    all
}

/// Cuts the text before the first stop text in it.
fn stop_text(text: &mut String, stops: &[String]) -> Option<String> {
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| Some((text.find(stop.as_str())?, stop)));
    let (at, stop) = found.min_by_key(|(at, _)| *at)?;
    text.truncate(at);
    Some(stop.clone())
}

#[cfg(test)]
mod tests;
