/** An operator's PKI for tests: a root and an intermediate, made by openssl, which is somebody else's hand. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const openssl = Bun.which("openssl");

export interface PkiOptions {
  readonly dir: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** "rsa:2048", "ec:prime256v1" and so on. */
  readonly key?: string;
  /** Lines of the intermediate's extensions. */
  readonly intermediate?: readonly string[];
  /** Put the root into the certificate file, after the intermediate. */
  readonly rootInChain?: boolean;
}

export interface Pki {
  readonly certificate: string;
  readonly key: string;
  readonly roots: string;
}

const INTERMEDIATE = ["basicConstraints=critical,CA:TRUE,pathlen:1", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"];

/** Paths of the files. @throws Error with openssl's words */
export function makePki({
  dir,
  notBefore,
  notAfter,
  key = "ec:prime256v1",
  intermediate = INTERMEDIATE,
  rootInChain = false,
}: PkiOptions): Pki {
  mkdirSync(dir, { recursive: true });
  const path = (name: string) => join(dir, name);
  const stamp = (at: number) => new Date(at).toISOString().replace(/[-:T]|\.\d+/g, "");
  const times = ["-not_before", stamp(notBefore), "-not_after", stamp(notAfter)];
  const newKey = (name: string) => {
    const [sort, detail = ""] = key.split(":");
    const parameter = sort === "rsa" ? `rsa_keygen_bits:${detail}` : `ec_paramgen_curve:${detail}`;
    run("genpkey", "-algorithm", sort === "rsa" ? "RSA" : "EC", "-pkeyopt", parameter, "-out", path(name));
    Bun.spawnSync(["chmod", "600", path(name)]);
  };
  newKey("root.key");
  newKey("ca.key");
  const request = (name: string, subject: string) =>
    run("req", "-new", "-key", path(`${name}.key`), "-subj", subject, "-out", path(`${name}.csr`));
  writeFileSync(path("root.ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n");
  writeFileSync(path("ca.ext"), `${intermediate.join("\n")}\nauthorityKeyIdentifier=keyid\n`);
  request("root", "/O=corp/CN=corp root");
  request("ca", "/O=corp/CN=corp mesh CA");
  sign(dir, "root", ["-selfsign", "-keyfile", path("root.key")], times);
  sign(dir, "ca", ["-cert", path("root.pem"), "-keyfile", path("root.key")], times);
  if (rootInChain) run("x509", "-in", path("root.pem"), "-out", path("root.copy"));
  const chain = rootInChain ? Bun.spawnSync(["cat", path("ca.pem"), path("root.pem")]).stdout.toString() : undefined;
  if (chain !== undefined) writeFileSync(path("ca.pem"), chain);
  return { certificate: path("ca.pem"), key: path("ca.key"), roots: path("root.pem") };
}

/** `openssl ca`, because `openssl x509` cannot say when a certificate begins. */
function sign(dir: string, name: string, signer: readonly string[], times: readonly string[]): void {
  const config = join(dir, "openssl.cnf");
  const section = `[ca]\ndefault_ca=own\n[own]\ndatabase=${join(dir, "index.txt")}\nnew_certs_dir=${dir}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\nO=optional\nCN=supplied\n`;
  writeFileSync(config, section);
  writeFileSync(join(dir, "index.txt"), "");
  const files = ["-in", join(dir, `${name}.csr`), "-out", join(dir, `${name}.pem`), "-extfile", join(dir, `${name}.ext`)];
  run(
    "ca",
    "-batch",
    "-notext",
    "-config",
    config,
    ...times.map((one) => one.replace("-not_before", "-startdate").replace("-not_after", "-enddate")),
    ...signer,
    ...files,
  );
}

function run(...args: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([openssl ?? "", ...args]);
  if (exitCode !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}

/** What `openssl verify` says of a chain (leaf first) against roots; "" where it accepts it. */
export function verifyWithOpenssl(dir: string, chainPem: string, rootsPem: string, now: number): string {
  const [leaf, rest, roots] = ["leaf.pem", "rest.pem", "roots.pem"].map((name) => join(dir, name));
  const blocks = chainPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
  writeFileSync(leaf ?? "", blocks[0] ?? "");
  writeFileSync(rest ?? "", blocks.slice(1).join(""));
  writeFileSync(roots ?? "", rootsPem);
  const untrusted = blocks.length > 1 ? ["-untrusted", rest ?? ""] : [];
  for (const purpose of ["sslserver", "sslclient"]) {
    const time = String(Math.floor(now / 1_000));
    const command = ["verify", "-x509_strict", "-purpose", purpose, "-attime", time, "-CAfile", roots ?? "", ...untrusted, leaf ?? ""];
    const { exitCode, stdout, stderr } = Bun.spawnSync([openssl ?? "", ...command]);
    if (exitCode !== 0) return `${stdout}${stderr}`;
  }
  return "";
}
