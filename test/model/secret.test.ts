import { describe, expect, test } from "bun:test";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { pairTrouble } from "../../src/lib/pem.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { FIXED } from "../fakes/certificates.ts";
import { accepts, documentWith, problemsOf, refuses } from "./support.ts";

const { a, b } = FIXED;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const pem = (type: "rsa" | "ed25519" | "ec", options: object): string =>
  // biome-ignore lint/suspicious/noExplicitAny: one call for every type of key
  (generateKeyPairSync as any)(type, options).privateKey.export({ type: "pkcs8", format: "pem" });

describe("A Secret", () => {
  accepts("Secret", {
    "a certificate and its key, in base64": {
      type: "kubernetes.io/tls",
      data: { "tls.crt": base64(a.certificate), "tls.key": base64(a.key) },
    },
    "the same as text": { type: "kubernetes.io/tls", stringData: { "tls.crt": a.certificate, "tls.key": a.key } },
    "Istio's own names of the keys, and no type": { stringData: { cert: a.certificate, key: a.key, cacert: b.certificate } },
    "CA certificates alone": { type: "Opaque", stringData: { "ca.crt": a.certificate + b.certificate } },
    "a chain": { stringData: { "tls.crt": a.certificate + b.certificate, "tls.key": a.key } },
    "base64 in lines": { stringData: { "tls.crt": a.certificate }, data: { "tls.key": base64(a.key).replaceAll(/(.{60})/g, "$1\n") } },
    nothing: {},
  });

  refuses("Secret", {
    "a key of another certificate": [
      { stringData: { "tls.crt": a.certificate, "tls.key": b.key } },
      "keyMismatch",
      'stringData["tls.key"]',
    ],
    "the key of the last certificate of a chain": [
      { stringData: { "tls.crt": b.certificate + a.certificate, "tls.key": a.key } },
      "keyMismatch",
      'stringData["tls.key"]',
    ],
    "half a pair": [
      { type: "kubernetes.io/tls", stringData: { "tls.crt": a.certificate } },
      "missing",
      "type kubernetes.io/tls needs tls.key",
    ],
    "what is no PEM": [{ data: { "ca.crt": base64("x") } }, "badPem", 'data["ca.crt"]: holds no certificate'],
    "a certificate cut short": [
      { stringData: { cacert: a.certificate.replace(/\n[^\n]*\n-----END/, "\n-----END") } },
      "badPem",
      "stringData.cacert: its certificate cannot be read",
    ],
    "no revocation list as one": [{ stringData: { cacert: a.certificate, crl: a.certificate } }, "badPem", "stringData.crl"],
    "text where base64 is due": [{ data: { "tls.crt": a.certificate } }, "badValue", 'data["tls.crt"]: is no base64'],
    "what weft shows in place of a key": [{ data: { "tls.key": "[redacted]" } }, "badValue", 'data["tls.key"]: is [redacted]'],
    "a number": [{ stringData: { "tls.key": 7 } }, "wrongType", 'stringData["tls.key"]: must be a string'],
    "a type that says nothing about TLS": [{ type: "kubernetes.io/dockerconfigjson" }, "notYet", "type"],
    "a spec": [{ spec: {} }, "unknownField", "spec"],
    immutable: [{ immutable: true }, "kubernetesOnly", "immutable"],
  });

  test("is warned of a key that nothing reads", () => {
    expect(problemsOf(documentWith("Secret", { stringData: { password: "x" } }))).toEqual([
      "warning noEffect stringData.password: nothing reads this key",
    ]);
  });

  test("is kept with all values in base64, stringData before data", () => {
    const { resources } = parseDocuments(
      documentWith("Secret", { data: { "ca.crt": base64(a.certificate) }, stringData: { "ca.crt": b.certificate } }),
      "x",
    );
    expect(resources[0]?.spec).toEqual({ data: { "ca.crt": base64(b.certificate) } });
  });

  test("may hold keys of the sorts that Envoy takes, and no others", () => {
    const trouble = (key: string) => pairTrouble(a.certificate, key)?.message;
    const other = "is the key of another certificate than the first of the chain";
    expect(trouble(pem("rsa", { modulusLength: 2048 }))).toBe(other);
    expect(trouble(pem("ec", { namedCurve: "P-384" }))).toBe(other);
    expect(trouble(pem("rsa", { modulusLength: 1024 }))).toStartWith("is an RSA key of 1024 bits");
    expect(trouble(pem("ed25519", {}))).toStartWith("is a key of type ed25519");
    expect(trouble(a.key + b.key)).toStartWith("holds 2 private keys");
    const locked = createPrivateKey(a.key).export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" });
    expect(trouble(String(locked))).toStartWith("is an encrypted key");
  });
});
