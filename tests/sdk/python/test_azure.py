"""The OpenAI SDK for Python as Azure's customers use it: deployments in the path, the key in `api-key`."""

import asyncio

import openai
import pytest
from conftest import need, received, steer

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def settings(**more):
    url = need("SLUICEGATE_ANTHROPIC_BASE_URL")
    return {
        "azure_endpoint": url, "api_version": "2025-03-01-preview", "api_key": "test", "max_retries": 0, "timeout": 20,
        **more,
    }


@pytest.fixture(scope="module")
def client():
    return openai.AzureOpenAI(**settings())


@pytest.fixture(scope="module")
def v1():
    """As Microsoft documents its API v1: OpenAI's own client."""
    url = need("SLUICEGATE_ANTHROPIC_BASE_URL")
    return openai.OpenAI(base_url=f"{url}/openai/v1/", api_key="test", max_retries=0, timeout=20)


def ask(client, model, text="How deep is the sea?", **more):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def test_whole(client, model):
    reply = ask(client, model)
    assert "How deep is the sea?" in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop" and reply.usage.total_tokens > 0


def test_a_deployment_counts_and_not_the_model_beside_it(model):
    client = openai.AzureOpenAI(**settings(azure_deployment=model))
    assert "sea?" in ask(client, "no-such-model-1").choices[0].message.content
    with pytest.raises(openai.NotFoundError):
        ask(openai.AzureOpenAI(**settings(azure_deployment="no-such-model-1")), model)


def test_stream(client, model):
    pieces = list(ask(client, model, stream=True, stream_options={"include_usage": True}))
    assert "sea?" in "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert pieces[-1].usage.total_tokens > 0


def test_a_stream_without_usage_shows_none(client, model):
    assert all(piece.usage is None and piece.choices for piece in ask(client, model, stream=True))


def test_tools(client, model):
    forced = {"type": "function", "function": {"name": "get_weather"}}
    reply = ask(client, model, "Weather in Oslo?", tools=[WEATHER], tool_choice=forced)
    (call,) = reply.choices[0].message.tool_calls
    turns = [
        {"role": "user", "content": "Weather in Oslo?"},
        reply.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "3 degrees"},
    ]
    assert client.chat.completions.create(model=model, messages=turns, tools=[WEATHER]).choices[0].message.content


def test_async(model):
    async def main():
        async with openai.AsyncAzureOpenAI(**settings()) as client:
            return await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])

    assert "Hello" in asyncio.run(main()).choices[0].message.content


@pytest.mark.native
def test_embeddings(client, v1, model):
    for one in (client, v1):
        assert len(one.embeddings.create(model=model, input=["a", "b"]).data) == 2


def test_responses(client, v1, model):
    for one in (client, v1):
        assert "Hello" in one.responses.create(model=model, input="Hello").output_text


def test_v1(v1, model):
    assert "sea?" in ask(v1, model).choices[0].message.content
    assert "sea?" in "".join(piece.choices[0].delta.content or "" for piece in ask(v1, model, stream=True))


def test_models(v1, model):
    assert model in [one.id for one in v1.models.list()]
    assert v1.models.retrieve(model).id == model


def test_errors(client, model):
    with pytest.raises(openai.NotFoundError):
        ask(client, "no-such-model-1")
    with pytest.raises(openai.BadRequestError):
        ask(client, model, temperature=9)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, model, extra_headers=steer(status="429", retry_after="7"))
    assert raised.value.response.headers["retry-after"] == "7"


@pytest.mark.gateway
def test_a_callers_key_goes_nowhere(client, model):
    steered = steer()
    ask(client, model, extra_headers=steered)
    (call,) = received(steered)
    assert "test" not in call["headers"].values()
