/**
 * The SVIDs of this node's workloads on its disk, keys and tokens too (0600, encrypted where the operator gives a key for that): a node that starts while no
 * authority can be asked goes on with them. One file each in DATA/svids, named by the hash of what it is for.
 */
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { type JwtSvid, nodeDisk, openKeyVault, type SecretSource, type X509Svid } from "../ca/index.ts";

export interface KeptSvids {
  readX509(spiffeId: string): Promise<X509Svid | undefined>;
  writeX509(svid: X509Svid): Promise<void>;
  readJwt(spiffeId: string, audience: readonly string[]): Promise<JwtSvid | undefined>;
  writeJwt(svid: JwtSvid): Promise<void>;
  /** Deletes all. */
  clear(): Promise<void>;
}

/** Deletes those that have expired by `now`, ms since the epoch. @throws WeftError as openKeyVault */
export async function openKeptSvids(dataDir: string, encryption: SecretSource | undefined, now: number): Promise<KeptSvids> {
  const dir = join(dataDir, "svids");
  const vault = await openKeyVault(nodeDisk, dir, encryption);
  const ids = (await nodeDisk.list(dir)).flatMap((name) => /^((?:x509|jwt)-[0-9a-f]{64})\.key$/.exec(name)?.[1] ?? []);
  // One that cannot be read is worth nothing: another is issued.
  const read = (id: string) => vault.read(id).catch(() => undefined);
  const good = await Promise.all(ids.map(async (id) => (isGood(parseAny(id, await read(id)), now) ? [id] : [])));
  await vault.keepOnly(new Set(good.flat()));
  return {
    readX509: async (spiffeId) => parseX509(spiffeId, await read(x509Id(spiffeId))),
    writeX509: (svid) => vault.write(x509Id(svid.spiffeId), `${svid.spiffeId} ${svid.authorityId}\n${svid.chainPem}${svid.privateKeyPem}`),
    readJwt: async (spiffeId, audience) => parseJwt(await read(jwtId(spiffeId, audience))),
    writeJwt: (svid) => vault.write(jwtId(svid.spiffeId, svid.audience), `[${JSON.stringify(svid)}]`),
    clear: () => vault.keepOnly(new Set()),
  };
}

const x509Id = (spiffeId: string) => `x509-${digest(spiffeId)}`;
const jwtId = (spiffeId: string, audience: readonly string[]) => `jwt-${digest([spiffeId, ...audience].join("\n"))}`;
const digest = (text: string) => createHash("sha256").update(text).digest("hex");

const isGood = (svid: { readonly notAfter: number } | JwtSvid | undefined, now: number): boolean =>
  svid !== undefined && now < ("expiresAt" in svid ? svid.expiresAt : svid.notAfter);

const parseAny = (id: string, text: string | undefined) =>
  id.startsWith("jwt-") ? parseJwt(text) : parseX509(text?.slice(0, text.indexOf(" ")) ?? "", text);

function parseX509(spiffeId: string, text: string | undefined): X509Svid | undefined {
  const [, id, authorityId = "", chainPem = "", privateKeyPem = ""] =
    /^(\S+) (\S+)\n((?:-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n)+)(-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n)$/.exec(
      text ?? "",
    ) ?? [];
  if (id === undefined || id !== spiffeId) return undefined;
  try {
    const leaf = new X509Certificate(chainPem);
    const [notBefore, notAfter] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
    return { spiffeId, chainPem, privateKeyPem, serial: leaf.serialNumber.toLowerCase(), notBefore, notAfter, authorityId };
  } catch {
    return undefined;
  }
}

function parseJwt(text: string | undefined): JwtSvid | undefined {
  try {
    const [svid]: readonly (Partial<JwtSvid> | undefined)[] = JSON.parse(text ?? "[]");
    const { spiffeId, audience, token, issuedAt, expiresAt, authorityId } = svid ?? {};
    const isWhole =
      [spiffeId, token, authorityId].every((one) => typeof one === "string") &&
      Array.isArray(audience) &&
      Number(issuedAt) > 0 &&
      Number(expiresAt) > 0;
    return isWhole ? (svid as JwtSvid) : undefined;
  } catch {
    return undefined;
  }
}
