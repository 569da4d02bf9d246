// The OpenAI SDK for Node as the judge of the Responses API.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { leaves, model, openai as client, steer } from "./setup.mjs";

const weather = {
  type: "function",
  name: "get_weather",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};
const nobodys = { store: false, include: ["reasoning.encrypted_content"] };

const ask = (input = "How deep is the sea?", more = {}, options = {}) =>
  client.responses.create({ model, input, ...more }, options);

const calls = (response) => response.output.filter((item) => item.type === "function_call");

test("responses: whole", async () => {
  const { data, request_id } = await ask().withResponse();
  assert.match(data.output_text, /How deep is the sea\?/);
  assert.equal(data.status, "completed");
  assert.equal(data.usage.total_tokens, data.usage.input_tokens + data.usage.output_tokens);
  assert.ok(request_id);
});

test("responses: stream", async () => {
  const stream = client.responses.stream({ model, input: "Grüße 🦀" }, steer({ chunk: 5 }));
  let text = "";
  for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
  const final = await stream.finalResponse();
  assert.match(text, /Grüße 🦀/);
  assert.equal(final.output_text, text);
  assert.ok(final.usage.output_tokens > 0);
});

test("responses: tools over turns, streamed", async () => {
  const input = [{ role: "user", content: "Call get_weather for both Paris and Oslo" }];
  const reasoning = { effort: "low", summary: "auto" };
  const first = await client.responses.stream({ model, input, tools: [weather], reasoning, ...nobodys }).finalResponse();
  assert.deepEqual(calls(first).map((call) => JSON.parse(call.arguments).city).sort(), ["Oslo", "Paris"]);
  input.push(...first.output);
  for (const { call_id } of calls(first)) input.push({ type: "function_call_output", call_id, output: "21 degrees" });
  assert.match((await ask(input, { tools: [weather], reasoning, ...nobodys })).output_text, /21 degrees/);
});

test("responses: structured", async () => {
  const format = zodTextFormat(z.object({ name: z.string(), age: z.number().int() }), "person");
  const { output_parsed } = await client.responses.parse({ model, input: "Someone named John", text: { format } });
  assert.equal(typeof output_parsed.name, "string");
});

for (const [status, kind] of [[400, OpenAI.BadRequestError], [429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError]]) {
  test(`responses: error ${status}`, async () => {
    await assert.rejects(ask("x", {}, steer({ status })), kind);
    await assert.rejects(ask("x", { stream: true }, steer({ status })), kind);
  });
}

test("responses: an error in mid-stream", async () => {
  const stream = await ask("x", { stream: true }, steer({ fail: "stream-error", after: 3 }));
  await assert.rejects(async () => {
    for await (const event of stream) assert.notEqual(event.type, "response.completed");
  }, OpenAI.APIError);
});

test("responses: cancelled in mid-stream", async () => {
  const steered = steer({ tokens: 1000, interval: "20ms" });
  const stream = await ask("x", { stream: true }, steered);
  for await (const event of stream) if (event.type === "response.output_text.delta") break;
  assert.ok(await leaves(steered));
});
