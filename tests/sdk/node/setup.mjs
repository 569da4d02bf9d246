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

export const user = (content) => ({ role: "user", content });
