// undici, which is also Node's own fetch: chat, stream, upload, 413 and 429. Prints one JSON document.
import { Readable } from "node:stream";
import { request } from "undici";

const { GATEWAY_URL, GATEWAY_KEY, UPLOAD_BYTES, TOO_LARGE_BYTES } = process.env;
const question = { model: "demo", messages: [{ role: "user", content: "Hello!" }] };

// A body of a given length that takes no memory.
function zeros(size) {
  const piece = Buffer.alloc(65536);
  return Readable.from(
    (function* () {
      for (let left = size; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
    })(),
    { objectMode: false },
  );
}

async function send(path, kind, body, length) {
  const headers = { authorization: `Bearer ${GATEWAY_KEY}`, "content-type": kind };
  if (length) headers["content-length"] = String(length);
  const response = await request(GATEWAY_URL + path, { method: "POST", headers, body });
  return [response.statusCode, await response.body.text()];
}

const ask = (path, more) => send(path, "application/json", JSON.stringify({ ...question, ...more }));
const upload = (size) => send("/upload", "application/octet-stream", zeros(size), size);

const [, chat] = await ask("/v1/chat/completions");
const [, stream] = await ask("/v1/chat/completions", { stream: true });
const [, received] = await upload(Number(UPLOAD_BYTES));
const [rejected] = await upload(Number(TOO_LARGE_BYTES)).catch((error) => [String(error)]);
const [limited] = await ask("/limited/v1/chat/completions");
console.log(
  JSON.stringify({
    chat: chat.includes("You said: Hello!"),
    stream: [...stream.matchAll(/"content": ?"([^"]*)"/g)].map((found) => found[1]).join(""),
    upload: received.trim(),
    too_large: rejected,
    limited,
  }),
);
