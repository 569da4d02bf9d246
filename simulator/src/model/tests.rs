//! What the model answers.

use serde_json::{Value, json};

use super::*;
use crate::ask::{Part, Tool, Turn};

fn asked(text: &str) -> Ask {
    let parts = vec![Part::Text(text.to_owned())];
    Ask { model: "m".to_owned(), turns: vec![Turn { user: true, parts }], parallel: true, ..Ask::default() }
}

fn weather() -> Tool {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    Tool { name: "get_weather".to_owned(), schema }
}

fn text(answer: &Answer) -> String {
    answer.said.iter().filter_map(|said| if let Said::Text(text) = said { Some(text.as_str()) } else { None }).collect()
}

#[test]
fn the_answer_is_about_the_request_and_repeatable() {
    let (ask, plan) = (asked("How deep is the sea?"), Plan::default());
    let first = one(&ask, &plan, 0);
    assert!(text(&first).contains("How deep is the sea?"));
    assert_eq!(text(&first), text(&one(&ask, &plan, 0)));
    assert_ne!(text(&first), text(&one(&ask, &plan, 1)));
    assert_eq!(first.stop, Stop::End);
}

#[test]
fn limits_and_stop_texts_end_it() {
    let ask = Ask { max_tokens: Some(3), ..asked("a question") };
    let short = one(&ask, &Plan::default(), 0);
    assert_eq!((short.stop.clone(), short.tokens, text(&short).len()), (Stop::Length, 3, 12));
    let ask = Ask { stop: vec!["zzz".into(), "deep".into()], ..asked("How deep?") };
    let stopped = one(&ask, &Plan::default(), 0);
    assert_eq!(stopped.stop, Stop::Sequence("deep".into()));
    assert!(text(&stopped).ends_with("How "));
    let long = one(&asked("x"), &Plan { tokens: Some(200), ..Plan::default() }, 0);
    assert_eq!((long.tokens, long.stop), (200, Stop::End));
}

#[test]
fn tools_are_called_when_asked_for() {
    let called = |ask: &Ask| -> Vec<String> {
        let answer = one(ask, &Plan::default(), 0);
        let calls = answer.said.iter();
        calls
            .filter_map(|said| if let Said::Call { arguments, .. } = said { Some(arguments.clone()) } else { None })
            .collect()
    };
    let with = |text: &str, choice| Ask { tools: vec![weather()], choice, ..asked(text) };
    assert_eq!(called(&with("Hello", ToolChoice::Auto)), Vec::<String>::new());
    assert_eq!(called(&with("Call get_weather for Paris", ToolChoice::Auto)), [r#"{"city":"Paris"}"#]);
    assert_eq!(
        called(&with("I want get_weather for both Paris and Oslo", ToolChoice::Auto)),
        [r#"{"city":"Paris"}"#, r#"{"city":"Oslo"}"#]
    );
    assert_eq!(called(&with("Hello", ToolChoice::Required)).len(), 1);
    assert_eq!(called(&with("get_weather", ToolChoice::None)), Vec::<String>::new());
    let mut after = with("get_weather for Paris", ToolChoice::Auto);
    let result = Part::Result { id: "1".into(), text: "21 degrees".into(), failed: false };
    after.turns.push(Turn { user: true, parts: vec![result] });
    assert!(text(&one(&after, &Plan::default(), 0)).contains("21 degrees"));
}

#[test]
fn values_conform() {
    let schema = json!({
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "blue"]},
            "count": {"type": "integer", "minimum": 10, "multipleOf": 4},
            "share": {"type": "number", "minimum": 0, "maximum": 1},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 3},
            "both": {"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"y": {"const": 5}}}]},
        },
        "$defs": {"a": {"type": "object", "properties": {"x": {"type": "boolean"}}}},
    });
    let value = schema::value(&schema, "words", 0);
    assert!(["red", "blue"].contains(&value["colour"].as_str().unwrap()));
    assert_eq!(value["count"], 12);
    assert_eq!(value["share"], 0.5);
    assert_eq!(value["tags"].as_array().unwrap().len(), 3);
    assert_eq!(value["both"]["y"], 5);
    assert!(value["both"]["x"].is_boolean());
    assert_ne!(value["next"], Value::Null);
}
