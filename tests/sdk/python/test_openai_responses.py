"""The OpenAI SDK for Python as the judge of the Responses API."""

import json

import openai
import pytest
from conftest import PNG, leaves, received, steer
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
KEPT_BY_NOBODY = {"store": False, "include": ["reasoning.encrypted_content"]}


class Person(BaseModel):
    name: str
    age: int


def says(text):
    return {"role": "user", "content": text}


def ask(client, model, text="How deep is the sea?", **more):
    return client.responses.create(model=model, input=text, **more)


def calls(response):
    return [item for item in response.output if item.type == "function_call"]


# Whole answers


def test_whole(openai_client, model):
    response = ask(openai_client, model, instructions="Be brief.", metadata={"team": "sea"})
    assert response.object == "response" and response.id.startswith("resp_") and response.created_at > 0
    assert response.status == "completed" and response.error is None and response.incomplete_details is None
    assert "How deep is the sea?" in response.output_text and "instructions" in response.output_text
    assert response.output[-1].role == "assistant" and response.output[-1].id
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    # What it was made with is said again.
    assert (response.instructions, response.metadata, response.tools) == ("Be brief.", {"team": "sea"}, [])


def test_the_request_id_is_there(openai_client, model):
    assert ask(openai_client, model)._request_id


def test_history_reaches_the_model(openai_client, model):
    history = [
        {"role": "developer", "content": "Be brief."},
        says("First"),
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [{"type": "input_text", "text": "Second"}]},
    ]
    text = openai_client.responses.create(model=model, input=history).output_text
    assert "Second" in text and "turn 2" in text and "instructions" in text


@pytest.mark.gateway
def test_an_answer_is_gone_on_from_by_its_id(openai_client, model):
    first = ask(openai_client, model, "Weather in Paris?", tools=[WEATHER], tool_choice="required")
    call = calls(first)[0]
    result = [{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}]
    second = openai_client.responses.create(model=model, input=result, tools=[WEATHER], previous_response_id=first.id)
    assert second.status == "completed" and second.id.startswith("resp_") and second.id != first.id
    third = ask(openai_client, model, "Third", previous_response_id=second.id)
    assert "Third" in third.output_text
    streamed = ask(openai_client, model, "Fourth", previous_response_id=third.id, stream=True)
    assert [event.type for event in streamed][-1] == "response.completed"
    with pytest.raises(openai.BadRequestError) as raised:
        ask(openai_client.with_options(api_key="another"), model, previous_response_id=second.id)
    assert raised.value.code == "previous_response_not_found"


def test_token_limit(openai_client, model):
    response = ask(openai_client, model, "Say much", max_output_tokens=16, extra_headers=steer(tokens=60))
    assert response.status == "incomplete" and response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 16 and response.output[-1].status == "incomplete"


def test_image(openai_client, model):
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
    ]
    response = openai_client.responses.create(model=model, input=[{"role": "user", "content": content}])
    assert "image/png image of 70 bytes" in response.output_text


def test_structured(openai_client, model):
    parsed = openai_client.responses.parse(model=model, input="Someone named John", text_format=Person).output_parsed
    assert parsed.name and isinstance(parsed.age, int)


@pytest.mark.native
def test_refusal(openai_client, model):
    response = ask(openai_client, model, extra_headers=steer(refuse=1))
    assert response.output[0].content[0].type == "refusal" and response.output[0].content[0].refusal


# Tools


def test_tools_over_turns(openai_client, model):
    history = [says("Call get_weather for both Paris and Oslo")]
    first = openai_client.responses.create(model=model, input=history, tools=[WEATHER], **KEPT_BY_NOBODY)
    assert sorted(json.loads(call.arguments)["city"] for call in calls(first)) == ["Oslo", "Paris"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{degrees} degrees"}
        for degrees, call in enumerate(calls(first), 21)
    ]
    history += [*first.output, *results]
    second = openai_client.responses.create(model=model, input=history, tools=[WEATHER], **KEPT_BY_NOBODY)
    assert "21 degrees" in second.output_text and "22 degrees" in second.output_text and not calls(second)


def test_thoughts_come_back_over_turns(openai_client, model):
    more = {"tools": [WEATHER], "reasoning": {"effort": "low", "summary": "auto"}, **KEPT_BY_NOBODY}
    history = [says("Call get_weather for Paris")]
    for degrees in (21, 22):
        response = openai_client.responses.create(model=model, input=history, **more)
        thoughts = [item for item in response.output if item.type == "reasoning"]
        assert all(item.encrypted_content for item in thoughts)
        history += response.output
        # A provider refuses thoughts that are not as it gave them.
        for call in calls(response):
            history.append({"type": "function_call_output", "call_id": call.call_id, "output": f"{degrees} degrees"})
    assert "21 degrees" in response.output_text


def test_custom_tool(openai_client, model):
    tool = {"type": "custom", "name": "apply", "description": "Applies a text."}
    history = [says("Do it")]
    more = {"model": model, "tools": [tool], **KEPT_BY_NOBODY}
    first = openai_client.responses.create(input=history, tool_choice={"type": "custom", "name": "apply"}, **more)
    (call,) = [item for item in first.output if item.type == "custom_tool_call"]
    assert call.name == "apply" and not call.input.startswith("{")
    history += [*first.output, {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "it is done"}]
    assert "it is done" in openai_client.responses.create(input=history, **more).output_text


# Streams


def test_stream(openai_client, model):
    with openai_client.responses.stream(model=model, input="Grüße 🦀", extra_headers=steer(chunk=5)) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.output_text and "Grüße 🦀" in text
    assert final.usage.total_tokens > 0 and final.id == events[0].response.id


def test_stream_of_tools(openai_client, model):
    ask = {"input": "Call get_weather for both Paris and Oslo", "tools": [WEATHER]}
    with openai_client.responses.stream(model=model, **ask) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert sorted(json.loads(call.arguments)["city"] for call in calls(final)) == ["Oslo", "Paris"]
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == [call.arguments for call in calls(final)]
    # Each item is told from its beginning to its end before the next one.
    items = [event for event in events if event.type.startswith("response.output_item.")]
    assert [event.output_index for event in items] == [at for at in range(len(final.output)) for _ in (0, 1)]


def test_stream_of_thoughts(openai_client, model):
    more = {"reasoning": {"effort": "low", "summary": "auto"}, **KEPT_BY_NOBODY}
    with openai_client.responses.stream(model=model, input="Think", **more) as stream:
        events = list(stream)
        final = stream.get_final_response()
    thoughts = [item for item in final.output if item.type == "reasoning"]
    told = "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta")
    assert told == "".join(part.text for item in thoughts for part in item.summary)


def test_stream_at_the_token_limit(openai_client, model):
    more = {"max_output_tokens": 16, "stream": True, "extra_headers": steer(tokens=60)}
    last = list(ask(openai_client, model, "Say much", **more))[-1]
    assert last.type == "response.incomplete" and last.response.incomplete_details.reason == "max_output_tokens"


def test_structured_stream(openai_client, model):
    with openai_client.responses.stream(model=model, input="Someone named John", text_format=Person) as stream:
        parsed = stream.get_final_response().output_parsed
    assert parsed.name and isinstance(parsed.age, int)


# Failures


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(openai_client, model, status, error, stream):
    with pytest.raises(error) as raised:
        ask(openai_client, model, stream=stream, extra_headers=steer(status=status))
    assert raised.value.body["message"] and raised.value.request_id


def test_an_error_in_mid_stream_is_raised(openai_client, model):
    told = []
    with pytest.raises(openai.APIError):
        for event in ask(openai_client, model, stream=True, extra_headers=steer(fail="stream-error", after=3)):
            told.append(event.type)
    assert "response.output_text.delta" in told and "response.completed" not in told


def test_a_stream_that_is_cut_is_no_whole_one(openai_client, model):
    told = []
    with pytest.raises((openai.APIError, openai.APIConnectionError)):
        for event in ask(openai_client, model, stream=True, extra_headers=steer(fail="cut", after=3)):
            told.append(event.type)
        # An SDK that takes the end of the body for an end has still not been told that the answer is whole.
        assert "response.completed" not in told
        raise openai.APIConnectionError(request=None)


def test_cancelled_in_mid_stream(openai_client, model):
    steered = steer(tokens=1000, interval="20ms")
    with ask(openai_client, model, stream=True, extra_headers=steered) as stream:
        assert next(event for event in stream if event.type == "response.output_text.delta")
    assert leaves(steered)


def test_what_is_kept_elsewhere_is_refused_by_name(openai_client, model):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(openai_client, model, previous_response_id="resp_1")
    assert raised.value.body["param"] == "previous_response_id"


def test_an_answer_is_fetched_listed_and_forgotten_by_its_id(openai_client, model):
    first = ask(openai_client, model, "My name is Ada.")
    second = ask(openai_client, model, "Say it.", previous_response_id=first.id)
    again = openai_client.responses.retrieve(second.id)
    assert (again.id, again.output_text, again.status) == (second.id, second.output_text, "completed")
    items = openai_client.responses.input_items.list(second.id, order="asc", limit=2)
    assert items.data[0].content[0].text == "My name is Ada." and items.has_more
    said = [item.content[0].text for item in openai_client.responses.input_items.list(second.id, limit=1)]
    assert said == ["Say it.", first.output_text, "My name is Ada."]
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        openai_client.responses.cancel(second.id)
    openai_client.responses.delete(second.id)
    for use in (openai_client.responses.retrieve, openai_client.responses.cancel, openai_client.responses.delete):
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{second.id}' not found"):
            use(second.id)
    with pytest.raises(openai.BadRequestError) as raised:
        ask(openai_client, model, "And?", previous_response_id=second.id)
    assert raised.value.code == "previous_response_not_found"
    assert openai_client.responses.retrieve(first.id).id == first.id


def test_an_item_is_named_by_its_id(openai_client, model):
    first = ask(openai_client, model, "My name is Ada.")
    named = {"type": "item_reference", "id": first.output[-1].id}
    second = ask(openai_client, model, [says("My name is Ada."), named, says("Say it.")])
    assert second.status == "completed" and second.usage.input_tokens > first.usage.input_tokens
    with pytest.raises(openai.NotFoundError, match="Item with id 'msg_none' not found"):
        ask(openai_client, model, [{"type": "item_reference", "id": "msg_none"}, says("Say it.")])


@pytest.mark.native
def test_an_answer_in_the_background_is_waited_for_or_ended(openai_client, model):
    queued = ask(openai_client, model, background=True)
    assert queued.status == "queued" and not queued.output
    assert openai_client.responses.retrieve(queued.id).status == "completed"
    ended = openai_client.responses.cancel(ask(openai_client, model, background=True).id)
    assert ended.status == "cancelled"
    assert openai_client.responses.retrieve(ended.id).status == "cancelled"


@pytest.mark.native
def test_bytes_reach_the_provider_as_they_were(openai_client, model):
    steered = steer(tokens=3)
    body = {"prompt_cache_key": "k", "truncation": "auto", "client_metadata": {"a": "b"}, "text": {"verbosity": "low"}}
    openai_client.responses.create(model=model, input="x", extra_body=body, extra_headers=steered)
    (call,) = received(steered)
    assert "/responses" in call["path"] and body.items() <= json.loads(call["body"]).items()
