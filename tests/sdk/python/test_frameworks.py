"""LangChain and LlamaIndex as judges of both dialects, with the SDK versions that they bring."""

import gc

import pytest

pytest.importorskip("langchain_openai", reason="the frameworks have an environment of their own")

from conftest import leaves, need, steer
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

DIALECTS = ["openai", "anthropic"]
QUESTION = "How deep is the sea?"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"21 degrees in {city}"


# LangChain


def chain(dialect, headers=None):
    common = {"model": need("SLUICEGATE_MODEL"), "api_key": "test", "max_retries": 0, "timeout": 20, "max_tokens": 2000}
    if dialect == "openai":
        return ChatOpenAI(base_url=need("SLUICEGATE_OPENAI_BASE_URL"), default_headers=headers, stream_usage=True, **common)
    return ChatAnthropic(base_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"), default_headers=headers, **common)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_langchain_whole(dialect):
    answer = chain(dialect).invoke(QUESTION)
    assert QUESTION in answer.text
    assert answer.usage_metadata["input_tokens"] > 0 and answer.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_langchain_streamed(dialect):
    whole = None
    for piece in chain(dialect, steer(chunk=5)).stream("Grüße 🦀"):
        whole = piece if whole is None else whole + piece
    assert "Grüße 🦀" in whole.text
    assert whole.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("streamed", [False, True])
def test_langchain_tools(dialect, streamed):
    model = chain(dialect).bind_tools([get_weather])
    asked = HumanMessage("Call get_weather for both Paris and Oslo")

    def ask(messages):
        if not streamed:
            return model.invoke(messages)
        pieces = list(model.stream(messages))
        return sum(pieces[1:], start=pieces[0])

    first = ask([asked])
    assert sorted(call["args"]["city"] for call in first.tool_calls) == ["Oslo", "Paris"]
    told = [ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
    assert "21 degrees" in ask([asked, first, *told]).text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_langchain_structured(dialect):
    person = chain(dialect).with_structured_output(Person, method="json_schema").invoke("Someone named John Smith")
    assert isinstance(person, Person) and person.name


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_langchain_errors(dialect, status):
    with pytest.raises(Exception) as raised:
        chain(dialect, steer(status=status)).invoke(QUESTION)
    assert raised.value.status_code == status


@pytest.mark.parametrize("dialect", DIALECTS)
def test_langchain_cancelled(dialect):
    steered = steer(tokens=1000, interval="20ms")
    pieces = chain(dialect, steered).stream("Hello")
    next(pieces)
    pieces.close()
    assert leaves(steered)


# LlamaIndex: its client for OpenAI's dialect. The one for Anthropic's does not run with any SDK that it admits.


def index(headers=None):
    return OpenAILike(
        api_base=need("SLUICEGATE_OPENAI_BASE_URL"),
        model=need("SLUICEGATE_MODEL"),
        api_key="test",
        max_retries=0,
        timeout=20,
        max_tokens=2000,
        is_chat_model=True,
        is_function_calling_model=True,
        default_headers=headers,
    )


def says(text):
    return [ChatMessage(role="user", content=text)]


def test_llamaindex_whole():
    assert QUESTION in index().chat(says(QUESTION)).message.content


def test_llamaindex_streamed():
    pieces = list(index(steer(chunk=5)).stream_chat(says("Grüße 🦀")))
    assert "Grüße 🦀" in pieces[-1].message.content


def test_llamaindex_tools():
    tool = FunctionTool.from_defaults(fn=get_weather)
    answer = index().predict_and_call([tool], "Call get_weather for Paris")
    assert "21 degrees in Paris" in str(answer)


def test_llamaindex_structured():
    person = index().as_structured_llm(Person).chat(says("Someone named John Smith")).raw
    assert isinstance(person, Person) and person.name


def test_llamaindex_errors():
    with pytest.raises(Exception) as raised:
        index(steer(status=400)).chat(says(QUESTION))
    assert raised.value.status_code == 400


def test_llamaindex_cancelled():
    steered = steer(tokens=1000, interval="20ms")
    pieces = index(steered).stream_chat(says("Hello"))
    next(pieces)
    pieces.close()
    # What holds the answer's connection is let go with the generator.
    del pieces
    gc.collect()
    assert leaves(steered)
