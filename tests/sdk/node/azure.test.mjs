// The OpenAI SDK for Node as Azure's customers use it: deployments in the path, the key in `api-key`.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { AzureOpenAI } from "openai";
import { model, native, steer, user } from "./setup.mjs";

const endpoint = process.env.SLUICEGATE_ANTHROPIC_BASE_URL;
const common = { apiKey: "test", maxRetries: 0, timeout: 20_000 };
const azure = new AzureOpenAI({ ...common, endpoint, apiVersion: "2025-03-01-preview" });
const v1 = new OpenAI({ ...common, baseURL: `${endpoint}/openai/v1/` });

const ask = (client, more = {}, options = {}) =>
  client.chat.completions.create({ model, messages: [user("How deep is the sea?")], ...more }, options);

test("azure: whole", async () => {
  for (const client of [azure, v1]) {
    const reply = await ask(client);
    assert.match(reply.choices[0].message.content, /How deep is the sea\?/);
    assert.ok(reply.usage.total_tokens > 0);
  }
});

test("azure: stream", async () => {
  for (const client of [azure, v1]) {
    let text = "";
    for await (const chunk of await ask(client, { stream: true })) text += chunk.choices[0]?.delta.content ?? "";
    assert.match(text, /sea\?/);
  }
});

test("azure: a deployment counts and not the model beside it", async () => {
  const client = new AzureOpenAI({ ...common, endpoint, apiVersion: "2024-10-21", deployment: model });
  assert.match((await ask(client, { model: "no-such-model-1" })).choices[0].message.content, /sea\?/);
});

test("azure: embeddings", native("openai"), async () => {
  for (const client of [azure, v1]) {
    assert.equal((await client.embeddings.create({ model, input: ["a", "b"] })).data.length, 2);
  }
});

test("azure: responses", async () => {
  for (const client of [azure, v1]) {
    assert.match((await client.responses.create({ model, input: "Hello" })).output_text, /Hello/);
  }
});

test("azure: errors", async () => {
  await assert.rejects(ask(azure, { model: "no-such-model-1" }), { status: 404 });
  await assert.rejects(ask(azure, {}, steer({ status: 429, "retry-after": 7 })), { status: 429 });
});
