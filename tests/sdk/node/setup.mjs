// Where the suites are pointed, and how they steer the simulated provider behind whatever answers them.
// The environment is the same as for the Python suites: see ../python/conftest.py.

import { randomUUID } from "node:crypto";

import Anthropic from "@anthropic-ai/sdk";
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

/** Options of a test of what a provider says itself to the owner of its key: a gateway has words of its own for it. */
export function direct() {
  return { skip: process.env.SLUICEGATE_PROVIDER ? "a gateway has words of its own for it" : false };
}

/** Whether the simulated provider sees the caller of the one call that these options steer go. */
export async function leaves({ headers }) {
  for (let tries = 0; tries < 400; tries++) {
    const calls = await (await fetch(need("SLUICEGATE_JOURNAL"))).json();
    const [call, ...more] = calls.filter((call) => call.headers["x-simulate"] === headers["x-simulate"]);
    if (!call || more.length) throw new Error(`${more.length + Boolean(call)} calls were received`);
    if (call.outcome !== "under way") return call.outcome === "gone";
    await new Promise((resume) => setTimeout(resume, 10));
  }
  return false;
}

export const user = (content) => ({ role: "user", content });
