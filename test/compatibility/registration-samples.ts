/** The fields of a WorkloadRegistration. What a selector changes for a process is held in test/workload-api. */
import type { Json, Sample } from "./samples.ts";

const unix = { uid: 1001 };

export const REGISTRATION_BASE: Json = { serviceAccount: "orders", selectors: { unix } };

export const REGISTRATION_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^WorkloadRegistration\.workload$/, { value: "web-1", base: { selectors: { unix } } }],
  [/^WorkloadRegistration\.serviceAccount$/, { base: { selectors: { unix } } }],
  [/^WorkloadRegistration\.selectors\.unix\.(user|uid)$/, { base: { serviceAccount: "orders", selectors: { unix: { gid: 5 } } } }],
  [/^WorkloadRegistration\.selectors\.unix\.path$/, { value: "/usr/bin/orders" }],
  [/^WorkloadRegistration\.selectors\.unix\.sha256$/, { value: "a".repeat(64) }],
];
