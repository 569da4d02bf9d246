// What the model behind the agents does next, whatever the words it is asked in, and what its dialects have in common.

/** What the model has the shell write and read again. */
export const SECRET = "4711";

/** The words that make the model find its context too small until the agent has made the conversation shorter. */
export const TOO_LONG = "OVERFLOW-ONCE";

/** The words by which agents begin a conversation that they have made shorter. */
const SHORTENED = ["continued from a previous conversation", "summary produced by the other language model"];

/** The shells of the agents, by the names of their tools: what a command is told to each. */
const SHELLS = {
  Bash: (command, description) => ({ command, description }),
  bash: (command, description) => ({ command, description }),
  exec_command: (cmd) => ({ cmd }),
  run_shell_command: (command, description) => ({ command, description }),
};

/** What the model does next: refuse, call the shell, or speak. */
export function next({ prompt, results, tools, summary }) {
  if (summary) return { text: "<summary>The file note.txt was written and holds what was asked for.</summary>" };
  if (prompt.includes(TOO_LONG) && results.length === 1) return { overflow: true };
  const shell = tools.find((name) => SHELLS[name]);
  if (!shell || SHORTENED.some((sign) => prompt.includes(sign))) return { text: `The file says ${SECRET}.` };
  const call = (command, description) => ({ call: { name: shell, input: SHELLS[shell](command, description) } });
  if (results.length === 0) return call(`echo ${SECRET} > note.txt`, "Writes the note");
  if (results.length === 1) return call("cat note.txt", "Reads the note");
  const read = results.at(-1).includes(SECRET) ? SECRET : "nothing that I know";
  return { text: `The file says ${read}.` };
}

export const words = (content) =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("\n");
export const isSummary = (text) =>
  /summar/i.test(text) && /conversation so far|this conversation|detailed summary|checkpoint compaction|anchored summary/i.test(text);

export const pieces = (text) => text.match(/[^]{1,7}/g) ?? [""];

export function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
