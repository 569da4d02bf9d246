// Gemini CLI itself, from its package, without a terminal: against Google's API and against a provider of OpenAI's dialect.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { SECRET } from "./loop.mjs";
import { arrived, gateway, run } from "./setup.mjs";

const program = fileURLToPath(new URL("node_modules/@google/gemini-cli/bundle/gemini.js", import.meta.url));

function ask(prompt, model, work) {
  const args = [program, "-p", prompt, "-m", model, "-y", "--skip-trust", "-o", "json"];
  const prepare = async (home) => {
    await mkdir(`${home}/.gemini`);
    const settings = {
      security: { auth: { selectedType: "gemini-api-key" } },
      general: { disableAutoUpdate: true },
      privacy: { usageStatisticsEnabled: false },
    };
    await writeFile(`${home}/.gemini/settings.json`, JSON.stringify(settings));
  };
  const environment = { GOOGLE_GEMINI_BASE_URL: gateway, GEMINI_API_KEY: "any", NO_BROWSER: "1", CI: "1" };
  return run(process.execPath, args, environment, work, prepare);
}

const task = `Write ${SECRET} into note.txt with the shell, read it again and say what it holds.`;
/** The model that each is asked for, and the one that the provider is. */
const models = { gemini: ["gemini-2.5-pro", "gemini-2.5-pro"], openai: ["gemini-through-openai", "gpt-4o"] };

/** A call's model: in Google's dialect it stands in the path. */
const modelOf = (call) => call.body?.model ?? /models\/([^:]+):/.exec(call.path)?.[1];

test("gemini cli: a task with tools, over several turns", async (context) => {
  await arrived();
  const work = async ({ code, out, err, read }) => {
    assert.equal(code, 0, `${out}\n${err}`);
    const { response } = JSON.parse(out.slice(out.indexOf("{")));
    assert.match(response, new RegExp(`The file says ${SECRET}`), out);
    assert.equal((await read("note.txt")).trim(), SECRET);
  };
  // At once: starting it takes longest.
  await Promise.all(Object.values(models).map(([model]) => ask(task, model, work)));
  const calls = await arrived();
  for (const [dialect, [, upstream]] of Object.entries(models)) {
    await context.test(`in front of ${dialect}`, () => {
      const own = calls.filter((call) => modelOf(call) === upstream);
      const path = dialect === "gemini" ? /^\/v1beta\/models\/gemini-2\.5-pro:/ : /^\/v1\/chat\/completions$/;
      assert.ok(own.length >= 3 && own.every((call) => path.test(call.path)), own.map((call) => call.path).join(" "));
      if (dialect === "gemini") {
        const last = own.at(-1).body.contents.flatMap(({ parts }) => parts);
        assert.ok(last.filter((part) => part.functionCall).every((part) => part.thoughtSignature), "calls come back signed");
      }
    });
  }
});
