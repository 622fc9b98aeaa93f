// A request as a command of curl. A record has no body, no query and no credential: they are to be added.
import { shellWord } from "../../kit/formats.js";

const HAS_BODY = ["POST", "PUT", "PATCH"];

/** The command for a request, in lines. */
export function curlOf({ method, path, model_asked: model, log }, scheme = location.protocol) {
  const url = `${scheme}//${log.host ?? "localhost:8081"}${path}`;
  const parts = [`curl -X ${shellWord(method)} ${shellWord(url)}`, '-H "Authorization: Bearer $API_KEY"'];
  if (log.user_agent) parts.push(`-A ${shellWord(log.user_agent)}`);
  if (HAS_BODY.includes(method)) {
    parts.push("-H 'Content-Type: application/json'");
    parts.push(model ? `-d ${shellWord(JSON.stringify({ model }))}` : "-d @body.json");
  }
  return parts.join(" \\\n  ");
}
