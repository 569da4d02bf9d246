"""The Anthropic SDK for Python as the judge of Messages."""

import asyncio
import json
import os

import anthropic
import pytest
from conftest import PNG, leaves, received, steer
from pydantic import BaseModel

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city"],
    },
}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}


class Contact(BaseModel):
    name: str
    email: str
    tags: list[str]
    subscribed: bool


def says(text):
    return {"role": "user", "content": text}


def ask(client, model, *messages, **more):
    messages = list(messages) or [says("How deep is the sea?")]
    return client.messages.create(model=model, messages=messages, **{"max_tokens": 1000, **more})


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message):
    return [block for block in message.content if block.type == "tool_use"]


# Whole answers


def test_a_long_answer_comes_compressed_and_is_read(anthropic_client, model):
    raw = anthropic_client.messages.with_raw_response.create(
        model=model, max_tokens=1000, messages=[says("Hello")], extra_headers=steer(tokens=600)
    )
    assert len(text_of(raw.parse())) > 1024
    if os.environ.get("SLUICEGATE_PROVIDER"):
        assert raw.headers["content-encoding"] in ("gzip", "zstd")


def test_whole(anthropic_client, model):
    message = ask(anthropic_client, model)
    assert message.type == "message" and message.role == "assistant" and message.id
    assert "How deep is the sea?" in text_of(message)
    assert message.stop_reason == "end_turn" and message.stop_sequence is None
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0


def test_the_request_id_is_there(anthropic_client, model):
    assert ask(anthropic_client, model)._request_id


def test_system_and_history_reach_the_model(anthropic_client, model):
    turns = [says("First"), {"role": "assistant", "content": "Yes?"}, says("Second")]
    text = text_of(ask(anthropic_client, model, *turns, system=[{"type": "text", "text": "Be brief."}]))
    assert "Second" in text and "turn 2" in text and "instructions" in text


def test_token_limit(anthropic_client, model):
    message = ask(anthropic_client, model, max_tokens=3)
    assert message.stop_reason == "max_tokens" and message.usage.output_tokens == 3


@pytest.mark.native
def test_stop_sequence(anthropic_client, model):
    message = ask(anthropic_client, model, says("one two three"), stop_sequences=["two"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "two")


def test_refusal(anthropic_client, model):
    assert ask(anthropic_client, model, says("SIMULATE_REFUSAL")).stop_reason == "refusal"


def test_unicode(anthropic_client, model):
    assert "Grüße 日本 🦀" in text_of(ask(anthropic_client, model, says("Grüße 日本 🦀")))


def test_image(anthropic_client, model):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    message = ask(anthropic_client, model, says([picture, {"type": "text", "text": "What is this?"}]))
    assert "image/png image of 70 bytes" in text_of(message)


def test_image_by_url(anthropic_client, model):
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}
    assert "https://example.com/cat.png" in text_of(ask(anthropic_client, model, says([picture])))


@pytest.mark.native
def test_document(anthropic_client, model):
    source = {"type": "text", "media_type": "text/plain", "data": "twelve bytes"}
    message = ask(anthropic_client, model, says([{"type": "document", "source": source}]))
    assert "text document of 12 bytes" in text_of(message)


@pytest.mark.native
def test_tokens_are_counted(anthropic_client, model):
    counted = anthropic_client.messages.count_tokens(model=model, messages=[says("How deep is the sea?")])
    assert counted.input_tokens == ask(anthropic_client, model).usage.input_tokens


@pytest.mark.native
def test_prompt_cache_is_counted(anthropic_client, model):
    mark = {"type": "ephemeral"}
    steered = steer()
    system = [{"type": "text", "text": f"{steered} and a long text " * 20, "cache_control": mark}]
    first = ask(anthropic_client, model, system=system).usage
    second = ask(anthropic_client, model, system=system).usage
    assert first.cache_creation_input_tokens > 0 and first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0 and second.input_tokens == first.input_tokens


@pytest.mark.gateway
def test_the_callers_key_stays_with_the_gateway(anthropic_client, model):
    steered = steer()
    ask(anthropic_client, model, extra_headers=steered)
    (call,) = received(steered)
    # Gemini's calls name the model in the path.
    assert json.loads(call["body"]).get("model") != model and model not in call["path"]
    sent = [call["headers"].get(name, "") for name in ("authorization", "x-api-key", "x-goog-api-key")]
    assert sum("providers-key" in key for key in sent) == 1
    assert not any("test" in key for key in sent)


# Streams


def test_stream(anthropic_client, model):
    events = list(ask(anthropic_client, model, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    text = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    assert "How deep is the sea?" in text
    assert events[-2].delta.stop_reason == "end_turn" and events[-2].usage.output_tokens > 0


def test_stream_helper(anthropic_client, model):
    with anthropic_client.messages.stream(model=model, max_tokens=1000, messages=[says("Hello")]) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert "Hello" in text and text_of(message) == text
    assert message.stop_reason == "end_turn" and message.usage.input_tokens > 0


def test_stream_in_small_pieces(anthropic_client, model):
    events = ask(anthropic_client, model, says("Grüße 🦀"), stream=True, extra_headers=steer(chunk=5))
    text = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    assert "Grüße 🦀" in text


# Thinking


@pytest.mark.parametrize("settings", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}])
def test_thinking_may_be_asked_of_any_model(anthropic_client, model, settings):
    message = ask(anthropic_client, model, says("Hello"), thinking=settings, max_tokens=2000)
    assert "Hello" in text_of(message) and message.stop_reason == "end_turn"


@pytest.mark.native
def test_thinking_and_its_signature_go_round(anthropic_client, model):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    first = ask(anthropic_client, model, thinking=thinking, max_tokens=2000)
    assert first.content[0].type == "thinking" and first.content[0].thinking and first.content[0].signature
    turns = [says("One"), {"role": "assistant", "content": first.content}, says("Two")]
    assert "Two" in text_of(ask(anthropic_client, model, *turns, thinking=thinking, max_tokens=2000))
    first.content[0].thinking += " changed"
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        ask(anthropic_client, model, *turns, thinking=thinking, max_tokens=2000)


@pytest.mark.native
@pytest.mark.parametrize("settings", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}])
def test_streamed_thinking(anthropic_client, model, settings):
    with anthropic_client.messages.stream(
        model=model, max_tokens=2000, messages=[says("Hello")], thinking=settings
    ) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_message()
    assert {"thinking", "signature", "text"} <= kinds
    assert [block.type for block in message.content] == ["thinking", "text"]
    turns = [says("Hello"), {"role": "assistant", "content": message.content}, says("Two")]
    assert ask(anthropic_client, model, *turns, thinking=settings, max_tokens=2000).content


@pytest.mark.native
def test_hidden_thinking_goes_round(anthropic_client, model):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    question = says("SIMULATE_REDACTED_THINKING")
    first = ask(anthropic_client, model, question, thinking=thinking, max_tokens=2000)
    assert first.content[0].type == "redacted_thinking"
    turns = [question, {"role": "assistant", "content": first.content}, says("Two")]
    assert ask(anthropic_client, model, *turns, thinking=thinking, max_tokens=2000)


@pytest.mark.native
def test_thinking_through_a_tool_loop(anthropic_client, model):
    more = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000, "tools": [WEATHER]}
    question = says("Please call get_weather for Paris")
    first = ask(anthropic_client, model, question, **more)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    results = says([result(call) for call in calls_of(first)])
    last = ask(anthropic_client, model, question, {"role": "assistant", "content": first.content}, results, **more)
    assert "21 degrees" in text_of(last)
    without = {"role": "assistant", "content": first.content[1:]}
    with pytest.raises(anthropic.BadRequestError, match="thinking"):
        ask(anthropic_client, model, question, without, results, **more)


# Tools


def test_message_threads_are_refused_in_the_vendors_words(anthropic_client, model):
    with pytest.raises(anthropic.BadRequestError) as raised:
        ask(anthropic_client, model, extra_body={"thread": {"type": "create"}})
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert raised.value.body["error"]["details"] == details


def result(call, **more):
    assert call.input["city"]
    return {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees", **more}


def test_tool_loop(anthropic_client, model):
    question = says("Please call get_weather for Paris")
    first = ask(anthropic_client, model, question, tools=[WEATHER, TIME])
    (call,) = calls_of(first)
    assert first.stop_reason == "tool_use" and call.name == "get_weather" and call.input["city"] == "Paris"
    turns = [question, {"role": "assistant", "content": first.content}, says([result(call)])]
    last = ask(anthropic_client, model, *turns, tools=[WEATHER, TIME])
    assert last.stop_reason == "end_turn" and "21 degrees" in text_of(last)


def test_tool_loop_run_by_the_sdk(anthropic_client, model):
    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"21 degrees in {city}"

    runner = anthropic_client.beta.messages.tool_runner(
        model=model, max_tokens=1000, tools=[get_weather], messages=[says("Please call get_weather for Paris")]
    )
    assert "21 degrees in Paris" in text_of(runner.until_done())


def test_parallel_tools(anthropic_client, model):
    question = says("Please call get_weather for both Paris and Oslo")
    first = ask(anthropic_client, model, question, tools=[WEATHER])
    calls = calls_of(first)
    assert {call.input["city"] for call in calls} == {"Paris", "Oslo"} and len({call.id for call in calls}) == 2
    turns = [question, {"role": "assistant", "content": first.content}, says([result(call) for call in calls])]
    assert text_of(ask(anthropic_client, model, *turns, tools=[WEATHER])).count("21 degrees") == 2


@pytest.mark.beyond_gemini("it has no word for it")
def test_one_tool_at_a_time(anthropic_client, model):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    question = says("Call get_weather for both Paris and Oslo")
    assert len(calls_of(ask(anthropic_client, model, question, tools=[WEATHER], tool_choice=choice))) == 1


@pytest.mark.native
def test_a_tool_that_failed(anthropic_client, model):
    question = says("Please call get_weather for Paris")
    first = ask(anthropic_client, model, question, tools=[WEATHER])
    failed = [result(call, is_error=True) for call in calls_of(first)]
    turns = [question, {"role": "assistant", "content": first.content}, says(failed)]
    assert "The tool failed" in text_of(ask(anthropic_client, model, *turns, tools=[WEATHER]))


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "none"}, None),
        ({"type": "any"}, "get_weather"),
        ({"type": "tool", "name": "get_time"}, "get_time"),
    ],
)
def test_tool_choice(anthropic_client, model, choice, called):
    message = ask(anthropic_client, model, tools=[WEATHER, TIME], tool_choice=choice)
    assert [call.name for call in calls_of(message)] == ([called] if called else [])


def test_streamed_tools(anthropic_client, model):
    question = says("Call get_weather for both Paris and Oslo")
    with anthropic_client.messages.stream(
        model=model, max_tokens=1000, messages=[question], tools=[WEATHER]
    ) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert "input_json" in kinds and message.stop_reason == "tool_use"
    assert {call.input["city"] for call in calls_of(message)} == {"Paris", "Oslo"}


# Structured output


def test_parse(anthropic_client, model):
    message = anthropic_client.messages.parse(
        model=model, max_tokens=1000, messages=[says("Ask John Smith")], output_format=Contact
    )
    assert isinstance(message.parsed_output, Contact)


def test_parse_streamed(anthropic_client, model):
    with anthropic_client.messages.stream(
        model=model, max_tokens=1000, messages=[says("Ask John Smith")], output_format=Contact
    ) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Contact)


# Errors


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        pytest.param(401, anthropic.AuthenticationError, "authentication_error", marks=pytest.mark.direct),
        pytest.param(403, anthropic.PermissionDeniedError, "permission_error", marks=pytest.mark.direct),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.RequestTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
    ],
)
def test_errors_are_typed(anthropic_client, model, status, error, word):
    with pytest.raises(error) as raised:
        ask(anthropic_client, model, extra_headers=steer(status=status))
    assert raised.value.body["type"] == "error" and raised.value.body["error"]["type"] == word
    assert raised.value.body["error"]["message"] and raised.value.request_id


@pytest.mark.gateway
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_gateways_and_not_worth_a_retry(anthropic_client, model, status):
    steered = steer(status=status)
    with pytest.raises(anthropic.InternalServerError, match="credential") as raised:
        ask(anthropic_client.with_options(max_retries=2), model, extra_headers=steered)
    assert raised.value.status_code == 502 and raised.value.request_id
    assert len(received(steered)) == 1


def test_overloaded(anthropic_client, model):
    with pytest.raises(anthropic.InternalServerError) as raised:
        ask(anthropic_client, model, extra_headers=steer(status=529))
    assert raised.value.body["error"]["type"] == "overloaded_error"


def test_errors_of_streams_are_typed(anthropic_client, model):
    with pytest.raises(anthropic.RateLimitError):
        ask(anthropic_client, model, stream=True, extra_headers=steer(status=429))


def test_unknown_model(anthropic_client):
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        ask(anthropic_client, "no-such-model")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, "at least one message"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"messages": [{"role": "wizard", "content": "y"}]}, "wizard"),
        ({"messages": [{"role": "assistant", "content": "y"}]}, "first message"),
        ({"messages": [says([{"type": "tool_result", "tool_use_id": "x"}])]}, "tool_use_id"),
        ({"sparkle": 1}, "sparkle: Extra inputs"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "1024"),
    ],
)
@pytest.mark.native
def test_bad_requests_name_the_field(anthropic_client, model, body, said):
    with pytest.raises(anthropic.BadRequestError, match=said):
        ask(anthropic_client, model, extra_body=body)


def test_error_in_mid_stream(anthropic_client, model):
    stream = ask(anthropic_client, model, stream=True, extra_headers=steer(fail="stream-error", after=3))
    with pytest.raises(anthropic.APIStatusError):
        list(stream)


def test_cut_stream_is_an_error(anthropic_client, model):
    stream = ask(anthropic_client, model, stream=True, extra_headers=steer(fail="cut", after=3))
    with pytest.raises(Exception) as raised:
        list(stream)
    assert not isinstance(raised.value, AssertionError)


# Retries


@pytest.mark.parametrize("status", [429, 500, 529])
def test_retries_until_it_works(anthropic_client, model, status):
    headers = steer(status=status, retry_after="10ms", times=2)
    assert text_of(ask(anthropic_client.with_options(max_retries=2), model, extra_headers=headers))


def test_retry_after_is_understood(anthropic_client, model):
    with pytest.raises(anthropic.RateLimitError) as raised:
        ask(anthropic_client, model, extra_headers=steer(status=429, retry_after=2))
    assert raised.value.response.headers["retry-after"] == "2"


@pytest.mark.beyond_gemini("it does not send x-should-retry")
def test_should_retry_is_obeyed(anthropic_client, model):
    with pytest.raises(anthropic.RateLimitError):
        headers = steer(status=429, retry_after="10ms", should_retry="false", times=1)
        ask(anthropic_client.with_options(max_retries=2), model, extra_headers=headers)


@pytest.mark.gateway
@pytest.mark.parametrize("told", [{"status": 500}, {"status": 529}, {"fail": "cut"}])
def test_a_gateway_that_has_tried_is_not_asked_again(anthropic_client, model, told):
    steered = steer(**told, times=1)
    with pytest.raises(anthropic.InternalServerError) as raised:
        ask(anthropic_client.with_options(max_retries=2), model, extra_headers=steered)
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(received(steered)) == 1


@pytest.mark.direct
def test_reset_is_a_connection_error_and_retried(anthropic_client, model):
    with pytest.raises(anthropic.APIConnectionError):
        ask(anthropic_client, model, extra_headers=steer(fail="reset"))
    assert ask(anthropic_client.with_options(max_retries=1), model, extra_headers=steer(fail="reset", times=1))


# Cancel and async


def test_cancel_in_mid_stream(anthropic_client, model):
    steered = steer(tokens=1000, interval="20ms")
    with ask(anthropic_client, model, stream=True, extra_headers=steered) as stream:
        assert next(iter(stream)).type == "message_start"
    assert leaves(steered)
    assert ask(anthropic_client, model).content


async def test_async(async_anthropic_client, model):
    messages = await asyncio.gather(*(ask(async_anthropic_client, model, says(f"Number {n}")) for n in range(8)))
    for number, message in enumerate(messages):
        assert f"Number {number}" in text_of(message)


async def test_async_stream(async_anthropic_client, model):
    async with async_anthropic_client.messages.stream(
        model=model, max_tokens=1000, messages=[says("Hello")]
    ) as stream:
        assert "Hello" in "".join([text async for text in stream.text_stream])


async def test_async_cancel(async_anthropic_client, model):
    steered = steer(fail="stall", after=2)
    stream = await ask(async_anthropic_client, model, stream=True, extra_headers=steered)
    assert await anext(stream)
    await stream.close()
    assert await asyncio.to_thread(leaves, steered)
    assert (await ask(async_anthropic_client, model)).content


@pytest.mark.native
def test_models(anthropic_client, model):
    assert model in [entry.id for entry in anthropic_client.models.list()]


@pytest.mark.native
def test_what_is_known_of_a_model(anthropic_client):
    # Page by page, one on each.
    known = {entry.id: entry for entry in anthropic_client.models.list(limit=1)}.get("described")
    if known is None:
        pytest.skip("nothing is known of any model here")
    assert (known.max_input_tokens, known.max_tokens, known.type) == (200_000, 64_000, "model")
    assert known.created_at.year >= 1970
    can = known.capabilities
    assert can.image_input.supported and can.thinking.supported and not can.pdf_input.supported
    assert can.effort.high.supported and can.thinking.types.enabled.supported
    assert anthropic_client.models.retrieve("described").max_tokens == 64_000
