/**
 * Secret: Kubernetes' own, for what gateways and clients show and trust in TLS. Its keys are those that Istio reads
 * (pilot/pkg/credentials/kube/secrets.go). No message repeats a value.
 */
import * as v from "valibot";
import { certificateTrouble, isPublicPem, pairTrouble, revocationTrouble, type Trouble } from "../lib/pem.ts";
import { choice, kubernetesOnly, map, object, type Path, type Report } from "./schema.ts";
import { reporter, withRun } from "./schema-core.ts";

/** What stands in place of a value that is not shown. It is not base64, so it cannot be taken for one. */
export const REDACTED = "[redacted]";

/** Certificate, its key and its revocation list, under Istio's two sets of names; the first that is whole counts. */
const PAIRS = [
  { certificate: "cert", key: "key" },
  { certificate: "tls.crt", key: "tls.key" },
] as const;

const AUTHORITIES = [
  { certificates: "cacert", revocations: "crl" },
  { certificates: "ca.crt", revocations: "ca.crl" },
] as const;

const KEYS: readonly string[] = ["tls.crt", "tls.key", "ca.crt", "ca.crl", "cert", "key", "cacert", "crl"];

/** A string of which a wrong type says nothing but its type. */
const hidden = withRun(v.string(), (dataset) => {
  dataset.typed = typeof dataset.value === "string";
  if (!dataset.typed) reporter(dataset)("wrongType", "must be a string", { help: "put the value in quotes" });
  return dataset;
});

const ELSEWHERE = "weft keeps Secrets for TLS only";

export const SecretSchema = object(
  {
    type: choice(["kubernetes.io/tls", "Opaque"], {
      "kubernetes.io/dockerconfigjson": ELSEWHERE,
      "kubernetes.io/service-account-token": ELSEWHERE,
      "kubernetes.io/basic-auth": ELSEWHERE,
      "kubernetes.io/ssh-auth": ELSEWHERE,
    }),
    data: map(hidden),
    stringData: map(hidden),
    immutable: kubernetesOnly(
      "it spares Kubernetes' API server the watching",
      "leave it out: a renewed certificate is the same Secret, applied again",
    ),
  },
  checkSecret,
);

/** As weft keeps it: all values base64, under `data`. */
export interface SecretSpec {
  readonly type?: "kubernetes.io/tls" | "Opaque";
  readonly data: Readonly<Record<string, string>>;
}

interface Written {
  readonly type?: SecretSpec["type"];
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/** stringData goes before data (Kubernetes' API, Secret v1). */
export function secretSpec({ type, data = {}, stringData = {} }: Written): SecretSpec {
  const encoded = Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value, "utf8").toString("base64")] as const);
  const bare = Object.entries(data).map(([key, value]) => [key, value.replace(/\s/g, "")] as const);
  const all = new Map([...bare, ...encoded]);
  const sorted = Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...(type === undefined ? {} : { type }), data: sorted };
}

/** The text of a key; "" where it has none. */
export function secretText({ data }: Pick<SecretSpec, "data">, key: string): string {
  return Buffer.from(data[key] ?? "", "base64").toString("utf8");
}

/** Certificate and key (ExtractCertInfo), as written; undefined where the Secret has no whole pair. */
export function pairOf(spec: SecretSpec): { readonly certificates: string; readonly key: string } | undefined {
  for (const { certificate, key } of PAIRS) {
    const pair = { certificates: secretText(spec, certificate), key: secretText(spec, key) };
    if (pair.certificates && pair.key) return pair;
  }
  return undefined;
}

/** CA certificates and the list of what they revoked (ExtractRoot); undefined where it has none. */
export function authoritiesOf(spec: SecretSpec): { readonly certificates: string; readonly revocations: string } | undefined {
  for (const { certificates, revocations } of AUTHORITIES) {
    const found = { certificates: secretText(spec, certificates), revocations: secretText(spec, revocations) };
    if (found.certificates) return found;
  }
  return undefined;
}

/** Whether anybody may see the value: certificates and revocation lists, and nothing else. */
export function isPublicValue(key: string, base64: string): boolean {
  return KEYS.includes(key) && !key.endsWith("key") && BASE64.test(base64) && isPublicPem(Buffer.from(base64, "base64").toString("utf8"));
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function checkSecret(written: Written, report: Report): void {
  const { data = {}, stringData = {} } = written;
  let isReadable = true;
  for (const [key, value] of Object.entries(data)) {
    if (BASE64.test(value.replace(/\s/g, ""))) continue;
    isReadable = false;
    const isRedacted = value === REDACTED;
    const message = isRedacted ? `is ${REDACTED}, which stands for a value that is not shown` : "is no base64";
    report("badValue", message, { path: ["data", key], help: isRedacted ? "write the value itself" : "write text under stringData" });
  }
  for (const [key, value] of Object.entries(stringData)) {
    if (value !== REDACTED) continue;
    isReadable = false;
    report("badValue", `is ${REDACTED}, which stands for a value that is not shown`, {
      path: ["stringData", key],
      help: "write the value itself",
    });
  }
  if (isReadable) checkKeys(secretSpec(written), (key) => [Object.hasOwn(stringData, key) ? "stringData" : "data", key], report);
}

function checkKeys(spec: SecretSpec, placeOf: (key: string) => Path, report: Report): void {
  const tell = (key: string, trouble: Trouble | undefined) => {
    if (trouble) report(trouble.code, trouble.message, { path: placeOf(key) });
  };
  if (spec.type === "kubernetes.io/tls") {
    for (const key of ["tls.crt", "tls.key"]) if (!secretText(spec, key)) report("missing", `type kubernetes.io/tls needs ${key}`);
  }
  for (const { certificate, key } of PAIRS) {
    const [chain, secret] = [secretText(spec, certificate), secretText(spec, key)];
    const trouble = chain ? certificateTrouble(chain) : undefined;
    tell(certificate, trouble);
    if (secret && !trouble) tell(key, pairTrouble(chain, secret));
  }
  for (const { certificates, revocations } of AUTHORITIES) {
    const [chain, revoked] = [secretText(spec, certificates), secretText(spec, revocations)];
    if (chain) tell(certificates, certificateTrouble(chain));
    if (revoked) tell(revocations, revocationTrouble(revoked));
  }
  for (const key of Object.keys(spec.data).filter((name) => !KEYS.includes(name))) {
    report("noEffect", "nothing reads this key", {
      path: placeOf(key),
      atKey: true,
      severity: "warning",
      help: `known here: ${KEYS.join(", ")}`,
    });
  }
}
