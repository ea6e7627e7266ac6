/** Checks of the values in an AuthorizationPolicy's rules, as Istio's pkg/config/security makes them. */
import { checkIpBlock } from "./check.ts";
import { type Report, suggestion } from "./schema.ts";

type Check = (values: readonly string[], report: Report) => void;

/** `check` for each value that is not empty; the empty ones are refused. */
const each =
  (check: (value: string, refuse: (message: string) => void, report: Report, index: number) => void): Check =>
  (values, report) => {
    for (const [index, value] of values.entries()) {
      if (value === "") report("badValue", "must not be empty", { path: [index] });
      else check(value, (message) => report("badPattern", message, { path: [index] }), report, index);
    }
  };

export const checkIps: Check = each((value, _refuse, report, index) => checkIpBlock(value, report, [index]));

/** Ports are strings here, as Istio's API has it. 0 is one (Istio's ValidatePorts). */
export const checkPorts: Check = each((value, refuse) => {
  if (!/^[0-9]+$/.test(value) || Number(value) > 65535) refuse(`must be a port from 0 to 65535, not ${JSON.stringify(value)}`);
});

/** "account" or "namespace/account", 16 at most (CheckServiceAccount). */
export const checkAccounts: Check = (values, report) => {
  if (values.length > 16) report("outOfRange", `may have 16 values, not ${values.length}`);
  each((value, refuse) => {
    if (value.includes("*")) refuse("wildcards are not allowed here");
    else if (value.length > 320) refuse("must not be longer than 320 characters");
    else if (!/^[^/]+(?:\/[^/]+)?$/.test(value)) refuse(`must be SERVICEACCOUNT or NAMESPACE/SERVICEACCOUNT, not ${JSON.stringify(value)}`);
  })(values, report);
};

/** At most one wildcard, at the start or the end (CheckWildcardValues). */
const checkWildcards: Check = each((value, refuse) => {
  if (!/^(?:\*?[^*]*|[^*]*\*)$/.test(value)) refuse("may have one '*', at its start or its end");
});

export const checkTrustDomains: Check = (values, report) => {
  checkWildcards(values, report);
  for (const [index, value] of values.entries()) {
    if (value.includes("/")) report("badPattern", "a trust domain has no '/'", { path: [index] });
  }
};

/** Envoy's path templates, {*} and {**}, each a whole segment, {**} the last of them (CheckValidPathTemplate). */
export const checkPaths: Check = each((value, refuse) => {
  const isTemplate = value.includes("{*}") || value.includes("{**}");
  let anySeen = false;
  for (const segment of value.replace(/^\/+|\/+$/g, "").split("/")) {
    const template = segment === "{*}" || segment === "{**}";
    let error: string | undefined;
    if (template && anySeen) error = "{**} must be the last template of a path";
    else if (!template && /[{}]/.test(segment)) error = "{ and } may stand in {*} and {**} only, each a whole segment";
    else if (!template && isTemplate && !/^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/.test(segment)) {
      error = `beside a template, ${JSON.stringify(segment)} may hold a path's characters only, and no wildcard`;
    }
    if (error) {
      refuse(error);
      break;
    }
    anySeen ||= segment === "{**}";
  }
});

const filled: Check = each(() => {});

const KEYS: Readonly<Record<string, Check>> = {
  "source.ip": checkIps,
  "remote.ip": checkIps,
  "source.namespace": filled,
  "source.serviceAccount": checkAccounts,
  "source.principal": filled,
  "source.trustDomain": checkWildcards,
  "request.auth.principal": filled,
  "request.auth.audiences": filled,
  "request.auth.presenter": filled,
  "destination.ip": checkIps,
  "destination.port": checkPorts,
  "connection.sni": filled,
};

/** Keys with a name in brackets, as Istio's validateMapKey has them. */
const MAPS: Readonly<Record<string, string>> = {
  "request.headers": "request.headers[NAME]",
  "request.auth.claims": "request.auth.claims[NAME], or request.auth.claims[NAME][NAME] for a claim inside a claim",
  "experimental.envoy.filters.": "experimental.envoy.filters.NAME[KEY]",
};

const REPLACED: Readonly<Record<string, string>> = {
  "destination.namespace": "a policy holds for its own namespace",
  "destination.labels": "select workloads with selector.matchLabels",
  "destination.name": "select workloads with selector.matchLabels",
  "destination.user": "select workloads with selector.matchLabels",
};

interface Condition {
  readonly key: string;
  readonly values?: readonly string[];
  readonly notValues?: readonly string[];
}

/** Istio's ValidateAttribute. */
export function checkCondition({ key, values, notValues }: Condition, report: Report): void {
  const refusal = refusalOf(key);
  if (refusal) report(refusal.name, refusal.message, { path: ["key"], help: refusal.help });
  if (!values?.length && !notValues?.length) report("missing", "needs values or notValues");
  const check = Object.hasOwn(KEYS, key) ? KEYS[key] : filled;
  for (const [name, list] of Object.entries({ values, notValues })) {
    if (list) check?.(list, (code, message, options = {}) => report(code, message, { ...options, path: [name, ...(options.path ?? [])] }));
  }
}

/** Why `key` is no condition, or undefined where it is one. */
function refusalOf(key: string): { readonly name: "badValue"; readonly message: string; readonly help?: string } | undefined {
  if (Object.hasOwn(KEYS, key)) return undefined;
  if (key === "") return { name: "badValue", message: "must not be empty" };
  for (const [prefix, form] of Object.entries(MAPS)) {
    if (!key.startsWith(prefix)) continue;
    return /^[^[]+\[.+\]$/.test(key) ? undefined : { name: "badValue", message: `must be ${form}` };
  }
  const replaced = REPLACED[key.replace(/\[.*$/, "")];
  const help = replaced ?? suggestion(key, [...Object.keys(KEYS), "request.headers[NAME]", "request.auth.claims[NAME]"]);
  return { name: "badValue", message: `${JSON.stringify(key)} is no condition`, help };
}
