// Where the suites are pointed, and how they steer the simulated provider behind whatever answers them.
// The environment is the same as for the Python suites: see ../python/conftest.py.

import { randomUUID } from "node:crypto";

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}: see tests/sdk/python/conftest.py`);
  return value;
}

export const model = need("SLUICEGATE_MODEL");

export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

export const openai = new OpenAI({
  baseURL: need("SLUICEGATE_OPENAI_BASE_URL"),
  apiKey: "test",
  maxRetries: 0,
  timeout: 20_000,
});

export const anthropic = new Anthropic({
  baseURL: need("SLUICEGATE_ANTHROPIC_BASE_URL"),
  apiKey: "test",
  maxRetries: 0,
  timeout: 20_000,
});

export const google = new GoogleGenAI({
  apiKey: "test",
  httpOptions: { baseUrl: need("SLUICEGATE_GEMINI_BASE_URL"), timeout: 20_000 },
});

/** The header that steers one call; unique, so that `times` counts this call's tries only. */
export function steer(told) {
  const pairs = Object.entries({ ...told, id: randomUUID() });
  return { headers: { "x-simulate": pairs.map(([key, value]) => `${key}=${value}`).join("; ") } };
}

/** Options of a test that needs a provider which speaks the SDK's own dialect. */
export function native(dialect) {
  const provider = process.env.SLUICEGATE_PROVIDER;
  return { skip: provider && provider !== dialect ? `means something to ${dialect} only` : false };
}

/** Options of a test of embeddings: Anthropic has none. */
export function embeds() {
  return { skip: process.env.SLUICEGATE_PROVIDER === "anthropic" ? "this provider has no embeddings" : false };
}

/** Options of a test of what a provider says itself to the owner of its key: a gateway has words of its own for it. */
export function direct() {
  return { skip: process.env.SLUICEGATE_PROVIDER ? "a gateway has words of its own for it" : false };
}

/** What the simulated provider received of the one call that these options steer. */
async function received({ headers }) {
  const calls = await (await fetch(need("SLUICEGATE_JOURNAL"))).json();
  return calls.filter((call) => call.headers["x-simulate"] === headers["x-simulate"]);
}

const pause = () => new Promise((resume) => setTimeout(resume, 10));

/** Waits until the simulated provider has received the call. */
export async function arrived(steered) {
  for (let tries = 0; tries < 400; tries++) {
    if ((await received(steered)).length) return;
    await pause();
  }
  throw new Error("no call was received");
}

/** Whether the simulated provider sees the caller of the one call that these options steer go. */
export async function leaves(steered) {
  for (let tries = 0; tries < 400; tries++) {
    const [call, ...more] = await received(steered);
    if (!call || more.length) throw new Error(`${more.length + Boolean(call)} calls were received`);
    if (call.outcome !== "under way") return call.outcome === "gone";
    await pause();
  }
  return false;
}

export const user = (content) => ({ role: "user", content });
