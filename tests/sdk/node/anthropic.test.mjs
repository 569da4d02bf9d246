// The Anthropic SDK for Node as the judge of Messages.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { PNG, anthropic as client, arrived, direct, leaves, model, native, steer, user } from "./setup.mjs";

const weather = {
  name: "get_weather",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const ask = (text = "How deep is the sea?", more = {}, options = {}) =>
  client.messages.create({ model, max_tokens: 2000, messages: [user(text)], ...more }, options);

const textOf = (message) => message.content.map((block) => block.text ?? "").join("");
const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");
const cities = (message) => callsOf(message).map((call) => call.input.city).sort();

async function streamed(stream) {
  let text = "";
  for await (const event of stream) text += event.delta?.text ?? "";
  return text;
}

test("whole", async () => {
  const { data, request_id } = await ask().withResponse();
  assert.match(textOf(data), /How deep is the sea\?/);
  assert.equal(data.stop_reason, "end_turn");
  assert.ok(data.usage.input_tokens > 0 && data.usage.output_tokens > 0);
  assert.ok(request_id);
});

test("a long answer comes compressed and is read", async () => {
  const { data, response } = await ask("Hello", {}, steer({ tokens: 600 })).withResponse();
  assert.ok(textOf(data).length > 1024);
  if (process.env.SLUICEGATE_PROVIDER) assert.match(response.headers.get("content-encoding"), /^(gzip|zstd)$/);
});

test("token limit", async () => {
  assert.equal((await ask("Hello", { max_tokens: 3 })).stop_reason, "max_tokens");
});

test("image", async () => {
  const source = { type: "base64", media_type: "image/png", data: PNG };
  const reply = await ask([{ type: "image", source }, { type: "text", text: "What?" }]);
  assert.match(textOf(reply), /image\/png image of 70 bytes/);
});

test("stream", async () => {
  assert.match(await streamed(await ask("Hello", { stream: true })), /Hello/);
});

test("stream helper", async () => {
  const stream = client.messages.stream({ model, max_tokens: 2000, messages: [user("Grüße 🦀")] }, steer({ chunk: 5 }));
  assert.match(await stream.finalText(), /Grüße 🦀/);
});

test("thinking and its signature go round", native("anthropic"), async () => {
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const stream = client.messages.stream({ model, max_tokens: 2000, thinking, messages: [user("One")] });
  const { content } = await stream.finalMessage();
  assert.deepEqual(content.map((block) => block.type), ["thinking", "text"]);
  const messages = [user("One"), { role: "assistant", content }, user("Two")];
  assert.match(textOf(await ask("", { messages, thinking })), /Two/);
  content[0].thinking += " changed";
  await assert.rejects(ask("", { messages, thinking }), /signature/);
});

test("tool loop", async () => {
  const question = user("Call get_weather for both Paris and Oslo");
  const first = await ask("", { messages: [question], tools: [weather] });
  assert.equal(first.stop_reason, "tool_use");
  assert.deepEqual(cities(first), ["Oslo", "Paris"]);
  const results = callsOf(first).map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "21 degrees" }));
  const messages = [question, { role: "assistant", content: first.content }, user(results)];
  const last = await ask("", { messages, tools: [weather] });
  assert.equal(textOf(last).match(/21 degrees/g).length, 2);
});

test("tool loop, run by the SDK", async () => {
  const runner = client.beta.messages.toolRunner({
    model,
    max_tokens: 2000,
    messages: [user("Call get_weather for Paris")],
    tools: [{ ...weather, run: ({ city }) => `21 degrees in ${city}`, parse: (input) => input }],
  });
  assert.match(textOf(await runner.runUntilDone()), /21 degrees in Paris/);
});

test("streamed tools", async () => {
  const messages = [user("Call get_weather for both Paris and Oslo")];
  const message = await client.messages.stream({ model, max_tokens: 2000, messages, tools: [weather] }).finalMessage();
  assert.deepEqual(cities(message), ["Oslo", "Paris"]);
});

test("structured output", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" } },
    required: ["name", "age"],
    additionalProperties: false,
  };
  const output_config = { format: { type: "json_schema", schema } };
  const person = JSON.parse(textOf(await ask("Someone named John Smith", { output_config })));
  assert.equal(typeof person.name, "string");
  assert.ok(Number.isInteger(person.age));
});

const errors = {
  400: Anthropic.BadRequestError,
  401: Anthropic.AuthenticationError,
  404: Anthropic.NotFoundError,
  429: Anthropic.RateLimitError,
  500: Anthropic.InternalServerError,
  529: Anthropic.InternalServerError,
};
for (const [status, kind] of Object.entries(errors)) {
  test(`error ${status}`, status === "401" ? direct() : {}, async () => {
    await assert.rejects(ask("Hello", {}, steer({ status })), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.ok(error.requestID && error.error.error.type);
      return true;
    });
  });
}

test("unknown model", async () => {
  await assert.rejects(ask("Hello", { model: "no-such-model" }), { status: 404 });
});

test("bad request names the field", native("anthropic"), async () => {
  await assert.rejects(ask("Hello", { temperature: 3 }), /temperature/);
});

test("error in mid-stream", async () => {
  const stream = await ask("Hello", { stream: true }, steer({ fail: "stream-error", after: 3 }));
  await assert.rejects(streamed(stream), Anthropic.APIError);
});

test("cut stream is an error", async () => {
  const stream = await ask("Hello", { stream: true }, steer({ fail: "cut", after: 3 }));
  await assert.rejects(streamed(stream));
});

for (const status of [429, 529]) {
  test(`retries ${status} until it works`, async () => {
    const reply = await ask("Hello", {}, { maxRetries: 2, ...steer({ status, "retry-after": "10ms", times: 2 }) });
    assert.match(textOf(reply), /Hello/);
  });
}

test("reset is a connection error", direct(), async () => {
  await assert.rejects(ask("Hello", {}, steer({ fail: "reset" })), Anthropic.APIConnectionError);
});

test("cancel in mid-stream", async () => {
  const steered = steer({ tokens: 1000, interval: "20ms" });
  const stream = await ask("Hello", { stream: true }, steered);
  for await (const event of stream) {
    assert.ok(event.type);
    break;
  }
  assert.ok(await leaves(steered));
  assert.ok((await ask()).content);
});

test("abort a call that gets no answer", async () => {
  const abort = new AbortController();
  const steered = steer({ fail: "silent" });
  const call = ask("Hello", {}, { signal: abort.signal, ...steered });
  const aborted = assert.rejects(call, Anthropic.APIUserAbortError);
  await arrived(steered);
  abort.abort();
  await aborted;
  assert.ok(await leaves(steered));
});
