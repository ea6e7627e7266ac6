/** The fields of a TokenInjection. */
import type { Json, Sample } from "./samples.ts";

export const TOKEN_INJECTION_BASE: Json = { hosts: ["orders"], audience: "orders" };

export const TOKEN_INJECTION_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^TokenInjection\.selector\.matchLabels$/, { value: { app: "web" } }],
  [/^TokenInjection\.hosts$/, { value: ["web"] }],
  [/^TokenInjection\.header$/, { value: "x-token" }],
  [/^TokenInjection\.prefix$/, { value: "Token " }],
];
