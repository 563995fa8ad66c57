// Server-sent events over fetch: EventSource cannot send the header with the token.

/**
 * Yield the events of a stream of bytes as `{event, id, data}`, and null for a comment, by which the agent shows
 * that it is still there. What was cut off before its empty line is no event.
 */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let fields = {};
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith(":")) yield null;
        else if (line !== "") addField(fields, line);
        else if ("data" in fields) {
          yield { event: fields.event ?? "message", id: fields.id ?? null, data: JSON.parse(fields.data) };
          fields = {};
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function addField(fields, line) {
  const colon = line.indexOf(":");
  fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
}
