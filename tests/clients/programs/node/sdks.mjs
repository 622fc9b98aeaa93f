// The JavaScript SDKs of OpenAI, Anthropic and Google: chat, stream and 429. Prints one JSON document.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const { GATEWAY_URL, GATEWAY_KEY: apiKey } = process.env;
const messages = [{ role: "user", content: "Hello!" }];
const ask = { model: "demo", messages };

async function joined(stream, text) {
  let said = "";
  for await (const event of stream) said += text(event) ?? "";
  return said;
}

const status = (call) => call.then(() => 200, (error) => error.status);

async function openai() {
  const [client, limited] = ["/v1", "/limited/v1"].map(
    (path) => new OpenAI({ baseURL: GATEWAY_URL + path, apiKey, maxRetries: 0 }),
  );
  return {
    chat: (await client.chat.completions.create(ask)).choices[0].message.content,
    stream: await joined(
      await client.chat.completions.create({ ...ask, stream: true }),
      (chunk) => chunk.choices[0]?.delta.content,
    ),
    limited: await status(limited.chat.completions.create(ask)),
  };
}

async function anthropic() {
  const [client, limited] = ["", "/limited"].map(
    (path) => new Anthropic({ baseURL: GATEWAY_URL + path, apiKey, maxRetries: 0 }),
  );
  const call = { ...ask, max_tokens: 20 };
  return {
    chat: (await client.messages.create(call)).content[0].text,
    stream: await joined(await client.messages.create({ ...call, stream: true }), (event) => event.delta?.text),
    limited: await status(limited.messages.create(call)),
  };
}

async function google() {
  const [client, limited] = ["", "/limited"].map(
    (path) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: GATEWAY_URL + path } }),
  );
  const call = { model: "demo", contents: "Hello!" };
  return {
    chat: (await client.models.generateContent(call)).text,
    stream: await joined(await client.models.generateContentStream(call), (chunk) => chunk.text),
    limited: await status(limited.models.generateContent(call)),
  };
}

console.log(JSON.stringify({ openai: await openai(), anthropic: await anthropic(), google: await google() }));
