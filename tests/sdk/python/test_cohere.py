"""Cohere's SDK for Python, version 2 of its API: against the simulated provider, and through the gateway to any."""

import cohere
import httpx
import pytest
from conftest import PNG, need, steer

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def client():
    return cohere.ClientV2(
        api_key="test", base_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"), httpx_client=httpx.Client(timeout=20)
    )


def ask(content, **more):
    return {"messages": [{"role": "user", "content": content}], **more}


def told(steered):
    return {"additional_headers": steered, "max_retries": 0}


def test_a_whole_answer(client, model):
    answer = client.chat(model=model, **ask("Hello"), request_options=told(steer(text="Hello there.")))
    assert answer.message.content[-1].text == "Hello there."
    assert answer.finish_reason == "COMPLETE"
    assert answer.usage.billed_units.input_tokens > 0 and answer.usage.billed_units.output_tokens > 0


def test_a_streamed_answer(client, model):
    events = list(client.chat_stream(model=model, **ask("Hello"), request_options=told(steer(text="Hello there."))))
    text = "".join(event.delta.message.content.text for event in events if event.type == "content-delta")
    assert text == "Hello there."
    assert events[0].type == "message-start" and events[-1].type == "message-end"
    assert events[-1].delta.finish_reason == "COMPLETE" and events[-1].delta.usage.billed_units.output_tokens > 0


def test_a_limit_is_kept(client, model):
    answer = client.chat(model=model, **ask("Hello"), max_tokens=3, request_options=told(steer(tokens=30)))
    assert answer.finish_reason == "MAX_TOKENS"


def test_pictures(client, model):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    answer = client.chat(model=model, **ask([{"type": "text", "text": "What is this?"}, picture]))
    assert "image/png" in answer.message.content[-1].text


def test_tools_and_their_results(client, model):
    asked = ask("Weather in Rome?", tools=[WEATHER], tool_choice="REQUIRED")
    answer = client.chat(model=model, **asked)
    (call,) = answer.message.tool_calls
    assert answer.finish_reason == "TOOL_CALL" and call.function.name == "get_weather"
    messages = [
        *asked["messages"],
        {"role": "assistant", "tool_plan": "Look.", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "30 degrees"},
    ]
    answer = client.chat(model=model, messages=messages, tools=[WEATHER], request_options=told(steer(text="Warm.")))
    assert answer.message.content[-1].text == "Warm."


def test_streamed_tools(client, model):
    events = list(client.chat_stream(model=model, **ask("Weather in Rome?", tools=[WEATHER], tool_choice="REQUIRED")))
    (start,) = [event for event in events if event.type == "tool-call-start"]
    assert start.delta.message.tool_calls.function.name == "get_weather" and start.delta.message.tool_calls.id
    pieces = [event.delta.message.tool_calls.function.arguments for event in events if event.type == "tool-call-delta"]
    assert "city" in "".join(pieces)
    assert events[-1].delta.finish_reason == "TOOL_CALL"


def test_errors(client, model):
    with pytest.raises(cohere.core.ApiError) as raised:
        client.chat(model="nobody-knows-it", **ask("Hello"), request_options={"max_retries": 0})
    assert raised.value.status_code == 404 and raised.value.body["message"]
    with pytest.raises(cohere.core.ApiError) as raised:
        client.chat(model=model, **ask("Hello"), request_options=told(steer(status=429, retry_after=7)))
    assert raised.value.status_code == 429


@pytest.mark.embeds
def test_vectors(client, model):
    answer = client.embed(model=model, input_type="search_document", texts=["a", "b"], embedding_types=["float"])
    assert len(answer.embeddings.float_) == 2 and answer.embeddings.float_[0] != answer.embeddings.float_[1]
