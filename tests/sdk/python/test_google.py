"""Google's SDK for Python as the judge of the Gemini API."""

import asyncio
import base64
import json

import pytest
from conftest import PNG, leaves, received, steer
from google.genai import errors, types
from pydantic import BaseModel

WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather in a city.",
    parameters=types.Schema(
        type="OBJECT",
        properties={
            "city": types.Schema(type="STRING"),
            "unit": types.Schema(type="STRING", enum=["celsius", "fahrenheit"]),
        },
        required=["city"],
    ),
)
TIME = types.FunctionDeclaration(
    name="get_time", parameters_json_schema={"type": "object", "properties": {"zone": {"type": "string"}}}
)


class Step(BaseModel):
    explanation: str
    output: float


class Solution(BaseModel):
    steps: list[Step]
    final_answer: str


def config(steered=None, **more):
    options = types.HttpOptions(headers=steered) if steered else None
    return types.GenerateContentConfig(http_options=options, **more)


def ask(client, model, text="How deep is the sea?", steered=None, **more):
    return client.models.generate_content(model=model, contents=text, config=config(steered, **more))


def stream(client, model, text="How deep is the sea?", steered=None, **more):
    return client.models.generate_content_stream(model=model, contents=text, config=config(steered, **more))


def tools(*functions, mode=None, only=None):
    calling = types.FunctionCallingConfig(mode=mode, allowed_function_names=only) if mode else None
    return {
        "tools": [types.Tool(function_declarations=list(functions))],
        "tool_config": types.ToolConfig(function_calling_config=calling) if calling else None,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
    }


# Whole answers


def test_whole(google_client, model):
    reply = ask(google_client, model)
    assert "How deep is the sea?" in reply.text
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    assert reply.candidates[0].content.role == "model"
    usage = reply.usage_metadata
    assert usage.total_token_count >= usage.prompt_token_count + usage.candidates_token_count > 0
    assert reply.response_id and reply.model_version


def test_system_and_history_reach_the_model(google_client, model):
    contents = [
        types.UserContent("First"),
        types.ModelContent("Yes?"),
        types.UserContent("Second"),
    ]
    reply = google_client.models.generate_content(
        model=model, contents=contents, config=config(system_instruction="Be brief.")
    )
    assert "Second" in reply.text and "turn 2" in reply.text and "instructions" in reply.text


def test_token_limit(google_client, model):
    reply = ask(google_client, model, max_output_tokens=3)
    assert reply.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert reply.usage_metadata.candidates_token_count == 3


def test_stop(google_client, model):
    reply = ask(google_client, model, "one two three", stop_sequences=["two"])
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP and reply.text.endswith("one ")


@pytest.mark.native
def test_several_answers(google_client, model):
    reply = ask(google_client, model, candidate_count=3)
    assert [candidate.index for candidate in reply.candidates] == [0, 1, 2]


@pytest.mark.native
def test_thoughts_are_told(google_client, model):
    reply = ask(google_client, model, thinking_config=types.ThinkingConfig(include_thoughts=True))
    assert reply.candidates[0].content.parts[0].thought
    assert 0 < reply.usage_metadata.thoughts_token_count


def test_refusal(google_client, model):
    reply = ask(google_client, model, "SIMULATE_REFUSAL")
    assert reply.candidates[0].finish_reason in (types.FinishReason.SAFETY, types.FinishReason.STOP)


def test_unicode(google_client, model):
    assert "Grüße 日本 🦀" in ask(google_client, model, "Grüße 日本 🦀").text


def test_image(google_client, model):
    picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    reply = google_client.models.generate_content(model=model, contents=["What is this?", picture])
    assert "image/png image of 70 bytes" in reply.text


@pytest.mark.gateway
def test_the_callers_key_stays_with_the_gateway(google_client, model):
    steered = steer()
    ask(google_client, model, steered=steered)
    (call,) = received(steered)
    names = ("authorization", "x-api-key", "x-goog-api-key")
    sent = [call["headers"].get(name, "") for name in names]
    assert sum("providers-key" in key for key in sent) == 1
    assert not any("test" in key for key in sent)
    assert "test" not in call["path"]


# Streams


def test_stream(google_client, model):
    chunks = list(stream(google_client, model))
    assert "How deep is the sea?" in "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count > 0
    assert len(chunks) > 2


def test_stream_in_small_pieces(google_client, model):
    chunks = stream(google_client, model, "Grüße 🦀", steered=steer(chunk=5))
    assert "Grüße 🦀" in "".join(chunk.text or "" for chunk in chunks)


async def test_async_stream(async_google_client, model):
    text = ""
    chunks = await async_google_client.models.generate_content_stream(model=model, contents="Hello")
    async for chunk in chunks:
        text += chunk.text or ""
    assert "Hello" in text


def test_silence_before_the_first_token_is_no_error(google_client, model):
    chunks = stream(google_client, model, "Hello", steered=steer(first_token="1500ms"))
    assert "Hello" in "".join(chunk.text or "" for chunk in chunks)


def test_a_chat_remembers(google_client, model):
    chat = google_client.chats.create(model=model)
    list(chat.send_message_stream("First"))
    text = "".join(chunk.text or "" for chunk in chat.send_message_stream("Second"))
    assert "Second" in text and "turn 2" in text


# Tools


def test_tools(google_client, model):
    reply = ask(google_client, model, "Call get_weather for Paris", **tools(WEATHER, TIME))
    (call,) = reply.function_calls
    assert call.name == "get_weather" and call.args["city"] == "Paris"


def test_parallel_tools_and_their_results(google_client, model):
    more = tools(WEATHER, TIME)
    contents = [types.UserContent("Call get_weather for both Paris and Oslo")]
    reply = google_client.models.generate_content(model=model, contents=contents, config=config(**more))
    calls = reply.function_calls
    assert sorted(call.args["city"] for call in calls) == ["Oslo", "Paris"]
    results = [
        types.Part(
            function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "21 degrees"})
        )
        for call in calls
    ]
    contents += [reply.candidates[0].content, types.UserContent(results)]
    reply = google_client.models.generate_content(model=model, contents=contents, config=config(**more))
    assert reply.text.count("21 degrees") == 2


def test_streamed_tools(google_client, model):
    calls = []
    for chunk in stream(google_client, model, "Call get_weather for Paris", **tools(WEATHER)):
        calls += chunk.function_calls or []
    assert [call.args["city"] for call in calls] == ["Paris"]


def test_signed_thoughts_come_back(google_client, model):
    more = tools(WEATHER) | {"thinking_config": types.ThinkingConfig(include_thoughts=True)}
    chat = google_client.chats.create(model=model, config=config(**more))
    chunks = list(chat.send_message_stream("Call get_weather for Paris"))
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    result = types.Part(
        function_response=types.FunctionResponse(id=calls[0].id, name="get_weather", response={"output": "21 degrees"})
    )
    text = "".join(chunk.text or "" for chunk in chat.send_message_stream([result]))
    assert "21 degrees" in text


def test_a_tool_must_be_called(google_client, model):
    reply = ask(google_client, model, "Hello", **tools(WEATHER, TIME, mode="ANY", only=["get_time"]))
    assert [call.name for call in reply.function_calls] == ["get_time"]


def test_automatic_calls(google_client, model):
    asked = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "21 degrees"

    reply = ask(google_client, model, "Call get_weather for Paris", tools=[get_weather])
    assert asked == ["Paris"] and "21 degrees" in reply.text


# Structured output


def test_structured(google_client, model):
    reply = ask(google_client, model, response_mime_type="application/json", response_schema=Solution)
    assert isinstance(reply.parsed, Solution)


def test_structured_by_json_schema(google_client, model):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    reply = ask(google_client, model, response_mime_type="application/json", response_json_schema=schema)
    assert isinstance(json.loads(reply.text)["a"], int)


# Counting, models


def test_count_tokens(google_client, model):
    assert google_client.models.count_tokens(model=model, contents="How deep is the sea?").total_tokens > 0


def test_models(google_client, model):
    names = [listed.name for listed in google_client.models.list()]
    assert f"models/{model}" in names
    assert google_client.models.get(model=model).name == f"models/{model}"


def test_what_is_known_of_a_model(google_client):
    listed = {one.name: one for one in google_client.models.list(config={"page_size": 1})}
    known = listed.get("models/described")
    if known is None:
        pytest.skip("nothing is known of any model here")
    assert (known.input_token_limit, known.output_token_limit) == (200_000, 64_000)
    assert "generateContent" in known.supported_actions


# Errors


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", errors.ClientError),
        (429, "RESOURCE_EXHAUSTED", errors.ClientError),
        (500, "INTERNAL", errors.ServerError),
        (503, "UNAVAILABLE", errors.ServerError),
    ],
)
def test_errors(google_client, model, status, word, kind):
    with pytest.raises(kind) as caught:
        ask(google_client, model, steered=steer(status=status))
    assert (caught.value.code, caught.value.status) == (status, word)
    assert caught.value.message


def test_a_streams_error_has_its_status(google_client, model):
    with pytest.raises(errors.ClientError) as caught:
        list(stream(google_client, model, steered=steer(status=429, retry_after=7)))
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    details = caught.value.details["error"]["details"]
    assert [detail["retryDelay"] for detail in details if "retryDelay" in detail] == ["7s"]


def test_unknown_model(google_client):
    with pytest.raises(errors.ClientError) as caught:
        ask(google_client, "no-such-model")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_an_error_in_mid_stream_is_raised(google_client, model):
    with pytest.raises(errors.APIError):
        list(stream(google_client, model, steered=steer(fail="stream-error", after=2)))


# Embeddings


@pytest.mark.embeds
def test_embeddings(google_client, model):
    settings = types.EmbedContentConfig(output_dimensionality=4, task_type="RETRIEVAL_DOCUMENT")
    # As turns: of texts in a list the SDK makes one for models that read pictures, which it tells by their name.
    two = [types.UserContent("one"), types.UserContent("two")]
    reply = google_client.models.embed_content(model=model, contents=two, config=settings)
    first, second = (embedding.values for embedding in reply.embeddings)
    assert len(first) == len(second) == 4 and abs(sum(x * x for x in first) - 1) < 1e-5
    again = google_client.models.embed_content(model=model, contents="two", config=settings)
    assert again.embeddings[0].values == second


@pytest.mark.embeds
def test_embeddings_errors(google_client, model):
    with pytest.raises(errors.ClientError) as caught:
        google_client.models.embed_content(model=model, contents="")
    assert caught.value.code == 400


# Leaving


async def test_cancel(async_google_client, model):
    steered = steer(interval="50ms", tokens=400)
    options = config(steered)

    async def read():
        chunks = await async_google_client.models.generate_content_stream(model=model, contents="Hello", config=options)
        async for _ in chunks:
            pass

    task = asyncio.create_task(read())
    while not received(steered):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(leaves, steered)
