"""The OpenAI SDK for Python as the judge of Chat Completions."""

import asyncio
import json
import os

import openai
import pytest
from conftest import PNG, leaves, received, steer
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}},
}


class Step(BaseModel):
    explanation: str
    output: float


class Solution(BaseModel):
    steps: list[Step]
    final_answer: str
    certain: bool | None


def says(text):
    return [{"role": "user", "content": text}]


def ask(client, model, text="How deep is the sea?", **more):
    return client.chat.completions.create(model=model, messages=says(text), **more)


# Whole answers


def test_whole(openai_client, model):
    reply = ask(openai_client, model)
    choice = reply.choices[0]
    assert reply.object == "chat.completion" and reply.id and reply.created > 0
    assert "How deep is the sea?" in choice.message.content
    assert choice.message.role == "assistant" and choice.finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_a_long_answer_comes_compressed_and_is_read(openai_client, model):
    raw = openai_client.chat.completions.with_raw_response.create(
        model=model, messages=says("Hello"), extra_headers=steer(tokens=600)
    )
    assert len(raw.parse().choices[0].message.content) > 1024
    if os.environ.get("SLUICEGATE_PROVIDER"):
        assert raw.headers["content-encoding"] in ("gzip", "zstd")


def test_the_request_id_is_there(openai_client, model):
    assert ask(openai_client, model)._request_id


def test_system_and_history_reach_the_model(openai_client, model):
    messages = [
        {"role": "system", "content": "Be brief."},
        *says("First"),
        {"role": "assistant", "content": "Yes?"},
        *says("Second"),
    ]
    text = openai_client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    assert "Second" in text and "turn 2" in text and "instructions" in text


def test_token_limit(openai_client, model):
    reply = ask(openai_client, model, max_completion_tokens=3)
    assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 3


def test_stop(openai_client, model):
    reply = ask(openai_client, model, "one two three", stop=["two"])
    assert reply.choices[0].finish_reason == "stop" and reply.choices[0].message.content.endswith("one ")


@pytest.mark.native
def test_several_answers(openai_client, model):
    reply = ask(openai_client, model, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in reply.choices}) == 3


def test_reasoning_is_counted(openai_client, model):
    usage = ask(openai_client, model, reasoning_effort="medium").usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


@pytest.mark.native
def test_refusal(openai_client, model):
    message = ask(openai_client, model, "SIMULATE_REFUSAL").choices[0].message
    assert message.refusal and message.content is None


def test_unicode(openai_client, model):
    assert "Grüße 日本 🦀" in ask(openai_client, model, "Grüße 日本 🦀").choices[0].message.content


def test_image(openai_client, model):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
    ]
    messages = [{"role": "user", "content": parts}]
    text = openai_client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    assert "image/png image of 70 bytes" in text


def test_image_by_url(openai_client, model):
    parts = [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}, {"type": "text", "text": "?"}]
    messages = [{"role": "user", "content": parts}]
    text = openai_client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    assert "https://example.com/cat.png" in text


@pytest.mark.gateway
def test_the_callers_key_stays_with_the_gateway(openai_client, model):
    steered = steer()
    ask(openai_client, model, extra_headers=steered)
    (call,) = received(steered)
    # Gemini's calls name the model in the path.
    assert json.loads(call["body"]).get("model") != model and model not in call["path"]
    sent = [call["headers"].get(name, "") for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key")]
    assert sum("providers-key" in key for key in sent) == 1
    assert not any("test" in key for key in sent)


# Streams


def test_stream(openai_client, model):
    chunks = list(ask(openai_client, model, stream=True))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert "How deep is the sea?" in text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1 and len(chunks) > 5
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_stream_with_usage(openai_client, model):
    chunks = list(ask(openai_client, model, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_in_small_pieces(openai_client, model):
    chunks = list(ask(openai_client, model, "Grüße 🦀", stream=True, extra_headers=steer(chunk=5)))
    assert "Grüße 🦀" in "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_stream_helper(openai_client, model):
    with openai_client.chat.completions.stream(model=model, messages=says("Hello")) as stream:
        kinds = {event.type for event in stream}
        assert "content.delta" in kinds and "content.done" in kinds
        assert "Hello" in stream.get_final_completion().choices[0].message.content


# Tools


def run_tool(call):
    assert json.loads(call.function.arguments)["city"]
    return {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}


def test_tool_loop(openai_client, model):
    messages = says("Please call get_weather for Paris")
    first = openai_client.chat.completions.create(model=model, messages=messages, tools=[WEATHER, TIME])
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"] == "Paris"
    messages += [choice.message, run_tool(call)]
    last = openai_client.chat.completions.create(model=model, messages=messages, tools=[WEATHER, TIME]).choices[0]
    assert last.finish_reason == "stop" and "21 degrees" in last.message.content


def test_parallel_tools(openai_client, model):
    messages = says("Please call get_weather for both Paris and Oslo")
    choice = openai_client.chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0]
    calls = choice.message.tool_calls
    assert {json.loads(call.function.arguments)["city"] for call in calls} == {"Paris", "Oslo"}
    assert len({call.id for call in calls}) == 2
    messages += [choice.message, *map(run_tool, calls)]
    last = openai_client.chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0]
    assert last.message.content.count("21 degrees") == 2


@pytest.mark.beyond_gemini("it has no word for it")
def test_one_tool_at_a_time(openai_client, model):
    text = "Call get_weather for both Paris and Oslo"
    reply = ask(openai_client, model, text, tools=[WEATHER], parallel_tool_calls=False)
    assert len(reply.choices[0].message.tool_calls) == 1


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", None),
        ("required", "get_weather"),
        ({"type": "function", "function": {"name": "get_time"}}, "get_time"),
    ],
)
def test_tool_choice(openai_client, model, choice, called):
    calls = ask(openai_client, model, tools=[WEATHER, TIME], tool_choice=choice).choices[0].message.tool_calls
    assert [call.function.name for call in calls or []] == ([called] if called else [])


def test_streamed_tools(openai_client, model):
    with openai_client.chat.completions.stream(
        model=model, messages=says("Call get_weather for both Paris and Oslo"), tools=[WEATHER]
    ) as stream:
        kinds = [event.type for event in stream]
        choice = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in kinds
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and [call.function.name for call in calls] == ["get_weather"] * 2
    assert {json.loads(call.function.arguments)["city"] for call in calls} == {"Paris", "Oslo"}


# Structured output


def test_parse(openai_client, model):
    reply = openai_client.chat.completions.parse(model=model, messages=says("8x + 7 = -23"), response_format=Solution)
    assert isinstance(reply.choices[0].message.parsed, Solution)


def test_parse_streamed(openai_client, model):
    with openai_client.chat.completions.stream(
        model=model, messages=says("8x + 7 = -23"), response_format=Solution
    ) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Solution)


@pytest.mark.native
def test_json_object(openai_client, model):
    reply = ask(openai_client, model, "Answer in JSON", response_format={"type": "json_object"})
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


# Errors


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        pytest.param(401, openai.AuthenticationError, marks=pytest.mark.direct),
        pytest.param(403, openai.PermissionDeniedError, marks=pytest.mark.direct),
        (404, openai.NotFoundError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_errors_are_typed(openai_client, model, status, error):
    with pytest.raises(error) as raised:
        ask(openai_client, model, extra_headers=steer(status=status))
    assert raised.value.body["message"] and raised.value.type and raised.value.request_id
    assert raised.value.status_code == status


@pytest.mark.gateway
def test_overloaded_by_anothers_word(openai_client, model):
    with pytest.raises(openai.InternalServerError):
        ask(openai_client, model, extra_headers=steer(status=529))


@pytest.mark.gateway
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_gateways_and_not_worth_a_retry(openai_client, model, status):
    steered = steer(status=status)
    with pytest.raises(openai.InternalServerError, match="credential") as raised:
        ask(openai_client.with_options(max_retries=2), model, extra_headers=steered)
    assert raised.value.status_code == 502 and raised.value.request_id
    assert len(received(steered)) == 1


def test_errors_of_streams_are_typed(openai_client, model):
    with pytest.raises(openai.RateLimitError):
        ask(openai_client, model, stream=True, extra_headers=steer(status=429))


def test_unknown_model(openai_client):
    with pytest.raises(openai.NotFoundError) as raised:
        ask(openai_client, "no-such-model")
    assert raised.value.code == "model_not_found" and "no-such-model" in raised.value.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, "messages.[0].role"),
        ({"messages": [{"role": "wizard", "content": "y"}]}, "messages[0].role"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"sparkle": 1}, "sparkle"),
    ],
)
@pytest.mark.native
def test_bad_requests_name_the_field(openai_client, model, body, param):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(openai_client, model, extra_body=body)
    assert raised.value.param == param


def test_error_in_mid_stream(openai_client, model):
    stream = ask(openai_client, model, stream=True, extra_headers=steer(fail="stream-error", after=3))
    with pytest.raises(openai.APIError):
        list(stream)


def test_cut_stream_is_an_error(openai_client, model):
    stream = ask(openai_client, model, stream=True, extra_headers=steer(fail="cut", after=3))
    with pytest.raises(Exception) as raised:
        list(stream)
    assert not isinstance(raised.value, AssertionError)


# Retries


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retries_until_it_works(openai_client, model, status):
    headers = steer(status=status, retry_after="10ms", times=2)
    reply = ask(openai_client.with_options(max_retries=2), model, extra_headers=headers)
    assert reply.choices[0].message.content


def test_retry_after_is_understood(openai_client, model):
    with pytest.raises(openai.RateLimitError) as raised:
        ask(openai_client, model, extra_headers=steer(status=429, retry_after=2))
    assert raised.value.response.headers["retry-after"] == "2"


@pytest.mark.native
def test_retry_after_is_there_to_the_millisecond(openai_client, model):
    with pytest.raises(openai.RateLimitError) as raised:
        ask(openai_client, model, extra_headers=steer(status=429, retry_after=2))
    assert raised.value.response.headers["retry-after-ms"] == "2000"


@pytest.mark.beyond_gemini("it does not send x-should-retry")
def test_should_retry_is_obeyed(openai_client, model):
    with pytest.raises(openai.RateLimitError):
        headers = steer(status=429, retry_after="10ms", should_retry="false", times=1)
        ask(openai_client.with_options(max_retries=2), model, extra_headers=headers)


@pytest.mark.gateway
@pytest.mark.parametrize("told", [{"status": 500}, {"status": 503}, {"fail": "cut"}])
def test_a_gateway_that_has_tried_is_not_asked_again(openai_client, model, told):
    steered = steer(**told, times=1)
    with pytest.raises(openai.InternalServerError) as raised:
        ask(openai_client.with_options(max_retries=2), model, extra_headers=steered)
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(received(steered)) == 1


@pytest.mark.direct
def test_reset_is_a_connection_error_and_retried(openai_client, model):
    with pytest.raises(openai.APIConnectionError):
        ask(openai_client, model, extra_headers=steer(fail="reset"))
    assert ask(openai_client.with_options(max_retries=1), model, extra_headers=steer(fail="reset", times=1))


# Cancel and async


def test_cancel_in_mid_stream(openai_client, model):
    steered = steer(tokens=1000, interval="20ms")
    with ask(openai_client, model, stream=True, extra_headers=steered) as stream:
        assert next(iter(stream)).choices
    assert leaves(steered)
    assert ask(openai_client, model).choices


async def test_async(async_openai_client, model):
    replies = await asyncio.gather(*(ask(async_openai_client, model, f"Number {n}") for n in range(8)))
    for number, reply in enumerate(replies):
        assert f"Number {number}" in reply.choices[0].message.content


async def test_async_stream(async_openai_client, model):
    stream = await ask(async_openai_client, model, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert "How deep is the sea?" in text


async def test_async_cancel(async_openai_client, model):
    steered = steer(fail="stall", after=2)
    stream = await ask(async_openai_client, model, stream=True, extra_headers=steered)
    assert await anext(stream)
    await stream.close()
    assert await asyncio.to_thread(leaves, steered)
    assert (await ask(async_openai_client, model)).choices


def test_models(openai_client, model):
    assert model in [entry.id for entry in openai_client.models.list()]


def test_what_is_known_of_a_model(openai_client):
    known = {entry.id: entry for entry in openai_client.models.list()}.get("described")
    if known is None:
        pytest.skip("nothing is known of any model here")
    assert known.object == "model" and known.context_length == 200_000
    assert known.pricing["prompt"] == "0.0000025"
    assert openai_client.models.retrieve("described").max_completion_tokens == 64_000
    filtered = openai_client.models.list(extra_query={"capability": "tools,vision", "provider": "openai"})
    assert [entry.id for entry in filtered] == ["described"]


# Legacy completions


@pytest.mark.parametrize("prompt", ["Once upon a time", ["Once upon a time"]])
def test_completion(openai_client, model, prompt):
    reply = openai_client.completions.create(model=model, prompt=prompt, max_tokens=200)
    choice = reply.choices[0]
    assert reply.object == "text_completion" and reply.id and reply.created > 0
    assert "Once upon a time" in choice.text and choice.finish_reason == "stop" and choice.logprobs is None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_completion_streamed(openai_client, model):
    options = {"include_usage": True}
    chunks = list(
        openai_client.completions.create(
            model=model, prompt="Grüße 🦀", max_tokens=200, stream=True, stream_options=options, extra_headers=steer(chunk=5)
        )
    )
    assert "Grüße 🦀" in "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 0


def test_completion_without_a_limit_has_sixteen_tokens(openai_client, model):
    reply = openai_client.completions.create(model=model, prompt="Go on", extra_headers=steer(tokens=60))
    assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 16


@pytest.mark.native
def test_completions_of_several_prompts_and_of_tokens_pass(openai_client, model):
    assert openai_client.completions.create(model=model, prompt=["one", "two"], suffix="!", echo=True).choices
    assert openai_client.completions.create(model=model, prompt=[1, 2, 3], best_of=2, n=2).choices


def test_completion_errors(openai_client, model):
    with pytest.raises(openai.RateLimitError):
        openai_client.completions.create(model=model, prompt="Hi", extra_headers=steer(status=429, code="insufficient_quota"))
    with pytest.raises(openai.BadRequestError):
        openai_client.completions.create(model=model, prompt="Hi", max_tokens=-1)
    with pytest.raises(openai.APIError):
        list(
            openai_client.completions.create(
                model=model, prompt="Hi", max_tokens=200, stream=True, extra_headers=steer(fail="stream-error", after=2)
            )
        )


# Embeddings


@pytest.mark.embeds
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(openai_client, model, encoding):
    more = {"encoding_format": encoding} if encoding else {}
    reply = openai_client.embeddings.create(model=model, input=["one", "two"], dimensions=4, **more)
    assert [one.index for one in reply.data] == [0, 1] and reply.usage.prompt_tokens == reply.usage.total_tokens == 2
    vectors = [one.embedding for one in reply.data]
    if encoding == "base64":
        assert all(isinstance(vector, str) for vector in vectors)
    else:
        # Without a word about it the SDK asks for base64 and reads it.
        assert all(len(vector) == 4 and abs(sum(x * x for x in vector) - 1) < 1e-5 for vector in vectors)
    again = openai_client.embeddings.create(model=model, input="two", dimensions=4, **more)
    assert again.data[0].embedding == vectors[1]


@pytest.mark.native
def test_embeddings_errors(openai_client, model):
    with pytest.raises(openai.BadRequestError):
        openai_client.embeddings.create(model=model, input="")
    with pytest.raises(openai.RateLimitError):
        openai_client.embeddings.create(model=model, input="Hi", extra_headers=steer(status=429, code="insufficient_quota"))


@pytest.mark.gateway
def test_embeddings_of_a_provider_without_them_are_refused_in_clear_words(openai_client, model):
    if os.environ["SLUICEGATE_PROVIDER"] != "anthropic":
        pytest.skip("this provider has them")
    steered = steer()
    with pytest.raises(openai.BadRequestError, match="do not offer embeddings"):
        openai_client.embeddings.create(model=model, input="Hi", extra_headers=steered)
    assert received(steered) == []
