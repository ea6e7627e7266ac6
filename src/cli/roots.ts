/** The roots of a mesh, from its SPIFFE bundle (SPIFFE Trust Domain and Bundle, 4.2). */
import { X509Certificate } from "node:crypto";
import { WeftError } from "../lib/errors.ts";
import type { AdminClient } from "./client.ts";

interface Bundle {
  readonly keys: readonly { readonly use?: string; readonly x5c?: readonly string[] }[];
}

/** PEM, in the bundle's order. @throws WeftError as AdminClient.call, "unavailable" where there is none */
export async function fetchRoots(client: AdminClient): Promise<string> {
  const { keys } = await client.call<Bundle>("/v1/bundle");
  const encoded = keys.flatMap(({ use, x5c = [] }) => (use === "x509-svid" ? x5c.slice(0, 1) : []));
  if (encoded.length === 0) throw new WeftError("unavailable", `${client.target} has no root certificate in its bundle`);
  return encoded.map((der) => new X509Certificate(Buffer.from(der, "base64")).toString()).join("");
}

/**
 * The roots that are true now, for as long as `client` is used: it trusts those from then on, and so does whoever asks. Undefined where it talks to a
 * server on this machine, without TLS.
 */
export function followRoots(client: AdminClient, onTrouble: (message: string) => void): (() => Promise<string>) | undefined {
  const { trust } = client;
  if (!trust) return undefined;
  let told = false;
  return async () => {
    const roots = await fetchRoots(client);
    await trust.learn(roots).catch((reason) => {
      if (!told) onTrouble(WeftError.from(reason).message);
      told = true;
    });
    return roots;
  };
}
