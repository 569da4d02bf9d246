// The OpenAI SDK for Node as the judge of Chat Completions.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { PNG, arrived, direct, embeds, leaves, model, native, openai as client, steer, user } from "./setup.mjs";

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

const ask = (text = "How deep is the sea?", more = {}, options = {}) =>
  client.chat.completions.create({ model, messages: [user(text)], ...more }, options);

const cities = (message) => message.tool_calls.map((call) => JSON.parse(call.function.arguments).city).sort();

async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  return text;
}

test("whole", async () => {
  const { data, request_id } = await ask().withResponse();
  assert.match(data.choices[0].message.content, /How deep is the sea\?/);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.ok(request_id);
});

test("a long answer comes compressed and is read", async () => {
  const { data, response } = await ask("Hello", {}, steer({ tokens: 600 })).withResponse();
  assert.ok(data.choices[0].message.content.length > 1024);
  if (process.env.SLUICEGATE_PROVIDER) assert.match(response.headers.get("content-encoding"), /^(gzip|zstd)$/);
});

test("token limit", async () => {
  const reply = await ask("Hello", { max_completion_tokens: 3 });
  assert.equal(reply.choices[0].finish_reason, "length");
});

test("image", async () => {
  const url = `data:image/png;base64,${PNG}`;
  const reply = await ask([{ type: "text", text: "What?" }, { type: "image_url", image_url: { url } }]);
  assert.match(reply.choices[0].message.content, /image\/png image of 70 bytes/);
});

test("stream", async () => {
  assert.match(await textOf(await ask("Hello", { stream: true })), /Hello/);
});

test("stream in small pieces", async () => {
  assert.match(await textOf(await ask("Grüße 🦀", { stream: true }, steer({ chunk: 5 }))), /Grüße 🦀/);
});

test("stream with usage", async () => {
  const last = [];
  for await (const chunk of await ask("Hello", { stream: true, stream_options: { include_usage: true } })) last.push(chunk);
  assert.deepEqual(last.at(-1).choices, []);
  assert.ok(last.at(-1).usage.total_tokens > 0);
});

test("tool loop, run by the SDK", async () => {
  const asked = [];
  const get_weather = {
    ...weather.function,
    parse: JSON.parse,
    function: ({ city }) => {
      asked.push(city);
      return "21 degrees";
    },
  };
  const runner = client.chat.completions.runTools({
    model,
    messages: [user("Call get_weather for both Paris and Oslo")],
    tools: [{ type: "function", function: get_weather }],
  });
  assert.equal((await runner.finalContent()).match(/21 degrees/g).length, 2);
  assert.deepEqual(asked.sort(), ["Oslo", "Paris"]);
});

test("tool loop, run by the SDK, streamed", async () => {
  const get_weather = { ...weather.function, parse: JSON.parse, function: ({ city }) => `21 degrees in ${city}` };
  const runner = client.chat.completions.runTools({
    model,
    stream: true,
    messages: [user("Call get_weather for Paris")],
    tools: [{ type: "function", function: get_weather }],
  });
  assert.match(await runner.finalContent(), /21 degrees in Paris/);
});

test("streamed tools", async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: [user("Call get_weather for both Paris and Oslo")],
    tools: [weather],
  });
  const { choices } = await stream.finalChatCompletion();
  assert.equal(choices[0].finish_reason, "tool_calls");
  assert.deepEqual(cities(choices[0].message), ["Oslo", "Paris"]);
});

test("structured output", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 18 } },
    required: ["name", "age"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema } };
  const reply = await ask("Someone named John Smith", { response_format });
  const person = JSON.parse(reply.choices[0].message.content);
  assert.equal(typeof person.name, "string");
  // Anthropic takes no bounds: they are said in the description, and nobody holds the model to them.
  const bounded = process.env.SLUICEGATE_PROVIDER !== "anthropic";
  assert.ok(Number.isInteger(person.age) && (person.age >= 18 || !bounded));
});

const errors = {
  400: OpenAI.BadRequestError,
  401: OpenAI.AuthenticationError,
  404: OpenAI.NotFoundError,
  429: OpenAI.RateLimitError,
  500: OpenAI.InternalServerError,
};
for (const [status, kind] of Object.entries(errors)) {
  test(`error ${status}`, status === "401" ? direct() : {}, async () => {
    await assert.rejects(ask("Hello", {}, steer({ status })), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.ok(error.requestID && error.type);
      return true;
    });
  });
}

test("unknown model", async () => {
  await assert.rejects(ask("Hello", { model: "no-such-model" }), { status: 404, code: "model_not_found" });
});

test("bad request names the field", native("openai"), async () => {
  await assert.rejects(ask("Hello", { temperature: 3 }), { status: 400, param: "temperature" });
});

test("error in mid-stream", async () => {
  const stream = await ask("Hello", { stream: true }, steer({ fail: "stream-error", after: 3 }));
  await assert.rejects(textOf(stream), OpenAI.APIError);
});

test("cut stream is an error", async () => {
  const stream = await ask("Hello", { stream: true }, steer({ fail: "cut", after: 3 }));
  await assert.rejects(textOf(stream));
});

for (const status of [429, 500]) {
  test(`retries ${status} until it works`, async () => {
    const reply = await ask("Hello", {}, { maxRetries: 2, ...steer({ status, "retry-after": "10ms", times: 2 }) });
    assert.match(reply.choices[0].message.content, /Hello/);
  });
}

test("reset is a connection error", direct(), async () => {
  await assert.rejects(ask("Hello", {}, steer({ fail: "reset" })), OpenAI.APIConnectionError);
});

test("cancel in mid-stream", async () => {
  const steered = steer({ tokens: 1000, interval: "20ms" });
  const stream = await ask("Hello", { stream: true }, steered);
  for await (const chunk of stream) {
    assert.ok(chunk.choices);
    break;
  }
  assert.ok(await leaves(steered));
  assert.ok((await ask()).choices);
});

test("abort a call that gets no answer", async () => {
  const abort = new AbortController();
  const steered = steer({ fail: "silent" });
  const call = ask("Hello", {}, { signal: abort.signal, ...steered });
  const aborted = assert.rejects(call, OpenAI.APIUserAbortError);
  await arrived(steered);
  abort.abort();
  await aborted;
  assert.ok(await leaves(steered));
});

test("legacy completion", async () => {
  const reply = await client.completions.create({ model, prompt: "Once upon a time", max_tokens: 200 });
  assert.match(reply.choices[0].text, /Once upon a time/);
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
});

test("legacy completion, streamed", async () => {
  let text = "";
  const body = { model, prompt: "Grüße 🦀", max_tokens: 200, stream: true };
  for await (const chunk of await client.completions.create(body, steer({ chunk: 5 }))) text += chunk.choices[0]?.text ?? "";
  assert.match(text, /Grüße 🦀/);
});

test("legacy completion, an error", async () => {
  const failed = client.completions.create({ model, prompt: "Hi" }, steer({ status: 429, code: "insufficient_quota" }));
  await assert.rejects(failed, OpenAI.RateLimitError);
});

test("embeddings", embeds(), async () => {
  for (const encoding_format of ["float", "base64", undefined]) {
    const { data, usage } = await client.embeddings.create({ model, input: ["one", "two"], dimensions: 4, encoding_format });
    assert.deepEqual([data.length, usage.prompt_tokens], [2, 2]);
    if (encoding_format === "base64") assert.equal(typeof data[0].embedding, "string");
    else assert.equal(data[1].embedding.length, 4);
  }
});
