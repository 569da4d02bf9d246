// opencode itself, from its package, without a terminal: through Anthropic's dialect and through OpenAI's, each in front of its
// own vendor and of the other.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { SECRET } from "./loop.mjs";
import { arrived, gateway, run } from "./setup.mjs";

const platform = `opencode-${process.platform}-${process.arch}`;
const program = fileURLToPath(new URL(`node_modules/${platform}/bin/opencode`, import.meta.url));
/** Its package names each platform's program; only this one is installed here. */
const skip = existsSync(program) ? false : `${platform} is not installed`;

const models = { "claude-sonnet-4-5": {}, "claude-through-openai": {}, "gpt-5.1": {}, "codex-through-anthropic": {} };
/** What docs/opencode.md says to write. */
const config = {
  autoupdate: false,
  share: "disabled",
  enabled_providers: ["anthropic", "openai"],
  provider: {
    anthropic: { options: { baseURL: `${gateway}/v1`, apiKey: "any" }, models },
    openai: { options: { baseURL: `${gateway}/v1`, apiKey: "any" }, models },
  },
};

function ask(prompt, model, work) {
  const prepare = (_, folder) => writeFile(`${folder}/opencode.json`, JSON.stringify(config));
  const environment = { OPENCODE_DISABLE_AUTOUPDATE: "1", OPENCODE_DISABLE_MODELS_FETCH: "1", OPENCODE_DISABLE_LSP_DOWNLOAD: "1" };
  return run(program, ["run", "--model", model, "--format", "json", prompt], environment, work, prepare);
}

const task = `Write ${SECRET} into note.txt with the shell, read it again and say what it holds.`;

/** The model that each is asked for, the one that the provider is, and the path it is asked at. */
const rows = [
  ["anthropic/claude-sonnet-4-5", "claude-sonnet-4-5", "/v1/messages"],
  ["anthropic/claude-through-openai", "gpt-4o", "/v1/chat/completions"],
  ["openai/gpt-5.1", "gpt-5.1", "/v1/responses"],
  ["openai/codex-through-anthropic", "claude-opus-4-5", "/v1/messages"],
];

test("opencode: a task with tools, over several turns", { skip }, async (context) => {
  await arrived();
  const work = async ({ code, out, err, read }) => {
    assert.equal(code, 0, `${out}\n${err}`);
    assert.match(out, new RegExp(`The file says ${SECRET}`), `${out}\n${err}`);
    assert.equal((await read("note.txt")).trim(), SECRET);
  };
  // At once: starting it takes longest.
  await Promise.all(rows.map(([model]) => ask(task, model, work)));
  const calls = (await arrived()).filter((call) => call.body?.stream && call.body.tools?.length);
  for (const [model, upstream, path] of rows) {
    await context.test(model, () => {
      const own = calls.filter((call) => call.body.model === upstream);
      assert.deepEqual([...new Set(own.map((call) => call.path))], [path]);
      assert.ok(own.length >= 3, `${own.length} calls`);
    });
  }
});
