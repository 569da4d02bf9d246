"""Mistral's SDK for Python, whose wire is Chat Completions: against the simulated provider, and through the gateway to any."""

import pytest
from conftest import PNG, need, steer
from mistralai.client import Mistral
from mistralai.client.errors import MistralError

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def client():
    return Mistral(api_key="test", server_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"), timeout_ms=20_000)


def ask(content, **more):
    return {"messages": [{"role": "user", "content": content}], **more}


def test_a_whole_answer(client, model):
    answer = client.chat.complete(model=model, **ask("Hello"), http_headers=steer(text="Hello there."))
    assert answer.choices[0].message.content == "Hello there." and answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0


def test_a_streamed_answer(client, model):
    events = list(client.chat.stream(model=model, **ask("Hello"), http_headers=steer(text="Hello there.")))
    choices = [choice for event in events for choice in event.data.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Hello there."
    assert choices[-1].finish_reason == "stop"


def test_pictures(client, model):
    picture = {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}
    picture["image_url"] = {"url": picture["image_url"]}
    answer = client.chat.complete(model=model, **ask([{"type": "text", "text": "What is this?"}, picture]))
    assert "image/png" in answer.choices[0].message.content


def test_tools_and_their_results(client, model):
    asked = ask("Weather in Rome?", tools=[WEATHER], tool_choice="required")
    answer = client.chat.complete(model=model, **asked)
    message = answer.choices[0].message
    (call,) = message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "get_weather"
    messages = [
        *asked["messages"],
        {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "30 degrees"},
    ]
    answer = client.chat.complete(model=model, messages=messages, tools=[WEATHER], http_headers=steer(text="Warm."))
    assert answer.choices[0].message.content == "Warm."


def test_errors(client, model):
    with pytest.raises(MistralError) as raised:
        client.chat.complete(model="nobody-knows-it", **ask("Hello"))
    assert raised.value.status_code == 404
    with pytest.raises(MistralError) as raised:
        client.chat.complete(model=model, **ask("Hello"), http_headers=steer(status=400))
    assert raised.value.status_code == 400
