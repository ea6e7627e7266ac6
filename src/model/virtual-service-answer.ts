/**
 * What a VirtualService's route answers by itself, or lets another VirtualService answer: directResponse, corsPolicy, delegate. istio/api
 * virtual_service.proto, checked as Istio's pkg/config/validation does.
 */
import type * as v from "valibot";
import { checkDuration, regexError } from "./check.ts";
import { headerNameError } from "./check-header.ts";
import { answerStatus, onlyOne } from "./common.ts";
import { choice, flag, list, needed, object, type Report, text } from "./schema.ts";

/** Istio's limit for a body, and the size from which it warns. */
const LONGEST_BODY = 1024 * 1024;
const LONG_BODY = 100 * 1024;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const body = object(
  {
    string: text(),
    bytes: text((value, report) => {
      if (!BASE64.test(value)) report("badValue", "must be base64");
    }),
  },
  (value, report) => {
    onlyOne(value, ["string", "bytes"], report);
    const size = value.string === undefined ? Math.floor(((value.bytes ?? "").length * 3) / 4) : Buffer.byteLength(value.string);
    if (size > LONGEST_BODY) report("outOfRange", `has ${size} bytes; at most ${LONGEST_BODY} may be`);
    else if (size > LONG_BODY) report("surprising", `has ${size} bytes, which every proxy keeps in memory`, { severity: "warning" });
  },
);

export const directResponse = object({ status: needed(answerStatus()), body });

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"] as const;

function checkHeaders(names: readonly string[], report: Report): void {
  for (const [index, name] of names.entries()) {
    const error = name === "*" ? undefined : headerNameError(name);
    if (error) report("badHeader", error, { path: [index] });
  }
}

const origin = object({ exact: text(), prefix: text(), regex: text() }, (value, report) => {
  onlyOne(value, ["exact", "prefix", "regex"], report);
  if (!value.exact && !value.prefix && !value.regex) report("badPattern", "must not be empty");
  const error = value.regex ? regexError(value.regex) : undefined;
  if (error) report("badRegex", error, { path: ["regex"] });
});

export const corsPolicy = object(
  {
    allowOrigin: list(text()),
    allowOrigins: list(origin),
    allowMethods: list(choice(METHODS)),
    allowHeaders: list(text(), checkHeaders),
    exposeHeaders: list(text(), checkHeaders),
    maxAge: text((value, report) => {
      checkDuration({ atLeastMs: 1 })(value, report);
      if (/\dms|\.\d/.test(value)) report("badDuration", "must be whole seconds");
    }),
    allowCredentials: flag(),
    unmatchedPreflights: choice(["UNSPECIFIED", "FORWARD", "IGNORE"]),
  },
  (value, report) => {
    if (!value.allowOrigin?.length) return;
    const ignored = value.allowOrigins !== undefined;
    report("deprecated", ignored ? "is deprecated, and not looked at beside allowOrigins" : "is deprecated", {
      path: ["allowOrigin"],
      atKey: true,
      severity: "warning",
      help: "write allowOrigins: [{exact: ...}]",
    });
  },
);

/** Istio takes any name here, also one that no VirtualService can have: then none is found, which `weft validate` tells. */
export const delegate = object({ name: text(), namespace: text() }, (value, report) => {
  if (!value.name)
    report("noEffect", "names no VirtualService, so nothing takes its requests", { severity: "warning", help: "write name" });
});

export type DirectResponse = v.InferOutput<typeof directResponse>;
export type CorsPolicy = v.InferOutput<typeof corsPolicy>;
