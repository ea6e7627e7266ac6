/** The inline key set of a RequestAuthentication (Istio's validateJwtRule and warnPrivateJwksKeys). */
import { isUsable, keyError, parseJwks, privateKeys } from "../lib/jwks.ts";
import type { Report } from "./schema.ts";

export function checkJwks(text: string, report: Report): void {
  if (text === "") return;
  const parsed = parseJwks(text);
  const bad = "error" in parsed ? parsed.error : parsed.keys.flatMap((key, index) => keyError(key)?.replace(/^/, `key ${index} `) ?? [])[0];
  if ("error" in parsed || bad !== undefined) {
    report("badValue", `is no JSON Web Key Set: ${bad?.startsWith("key") ? "" : "it "}${bad}`, {
      help: 'write {"keys":[...]}, in quotes or as a block ("|")',
    });
    return;
  }
  if (!parsed.keys.some(isUsable)) {
    report("surprising", "holds no key by which Envoy could verify a token: every token is refused", { severity: "warning" });
  }
  for (const index of privateKeys(parsed.keys)) {
    report("surprising", `key ${index} holds private key material, which every reader of this policy sees; public keys are enough`, {
      severity: "warning",
    });
  }
}
