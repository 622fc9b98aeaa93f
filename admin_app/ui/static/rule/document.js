// A rule as a document: what is new in it, and the whole of it with what is new.
import { isSame } from "../kit/fields.js";
import { POLICY } from "./schemas.js";

/** A rule that nobody has written yet. */
export const BLANK = {
  name: null,
  path: "",
  target: "",
  targets: null,
  ai: null,
  methods: [],
  match: "prefix",
  strip_path: false,
  preserve_host: false,
  active: true,
  public: false,
  headers: {},
  timeouts: {},
  limits: {},
  streams: "pass",
  encoded_slashes: "reject",
  ca: null,
  credential: "provider",
  identity_headers: null,
  trace_headers: null,
  upstream_headers: "drop",
  stream_keepalive: null,
  cors: null,
  plugin_chain: [],
};

const POLICY_MEMBERS = ["strategy", ...POLICY.map(([name]) => name)];

/** The members that differ from those that the form had at first. */
export const changedMembers = (saved, values) =>
  Object.fromEntries(Object.entries(values).filter(([name, value]) => !isSame(value, saved[name])));

/** The whole rule with the changes, as PUT takes it, without the times that the gateway writes. */
export function draftOf({ created_at, updated_at, ...rule }, changes) {
  const draft = { ...rule, ...changes };
  if (!draft.targets) for (const name of POLICY_MEMBERS) draft[name] = null;
  return draft;
}
