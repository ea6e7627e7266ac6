/** The doors that prove who a proxy is, on real Envoys: TLS with a token, TLS with an X.509-SVID, and the user at the Unix socket. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { openNetwork } from "../../scripts/lib/lab/network.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { sidecarOf, untilLive } from "../../scripts/lib/lab/workload.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { callFrom, describeMesh, type Lab, type Member, serviceEntryYaml } from "./harness.ts";

const ROOT = join(import.meta.dir, "../..");
const WEFT = process.env.WEFT_BINARY ?? join(ROOT, "dist/weft");
/** A user of nobody's: only its number matters. */
const UID = 47_001;
const OTHER_UID = 47_002;
const canChangeUser = process.getuid?.() === 0 && Bun.which("setpriv") !== null;
if (!canChangeUser) console.error("SKIPPED: Envoys of other users, which need root and setpriv");

/** Reachable by every user; the data directory is not. */
const open = mkdtempSync(join(tmpdir(), "weft-doors-"));
chmodSync(open, 0o755);
afterAll(() => rmSync(open, { recursive: true, force: true }));
const socket = join(open, "ads.sock");

/** Ports that stay over a restart: proxies come back to them. */
const network = await openNetwork();
const place = network.nextAddress();
const [adsPort, adminPort] = [await network.freePort(place), await network.freePort(place)];
const DOORS = ["--ads-tls", `${place}:${adsPort}`, "--admin-tls", `${place}:${adminPort}`, "--ads-socket", socket];

/** Envoy prints a grpc-message as it came: in words, not percent-encoded. */
const saysTo = (log: string, message: string) => log.includes(message);

interface Listening {
  readonly ads_tls: string;
  readonly admin_tls: string;
}
const listeningOf = (lab: Lab): Listening => JSON.parse(readFileSync(join(lab.weft.data, "listening.json"), "utf8"));

interface ProxyItem {
  readonly id: string;
  readonly connected: boolean;
}
const isConnected = async (lab: Lab, id: string) =>
  (JSON.parse((await lab.weft.cli(["proxies", "-o", "json"])).stdout).items as ProxyItem[]).some((one) => one.id === id && one.connected);

describeMesh(
  "a proxy",
  (lab) => {
    let web: Member;
    let orders: Member;
    let local: Member;

    beforeAll(async () => {
      [web, orders, local] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "orders-1", service: "orders" }),
        lab().workload({ name: "local-1", service: "local" }),
      ]);
      const annotated = local.yaml.replace('"annotations":{', `"annotations":{"weft.dev/unix-user":"${UID}",`);
      await lab().weft.apply(
        [...["web", "orders", "local"].map((name) => serviceEntryYaml({ name })), web.yaml, orders.yaml, annotated].join("---\n"),
      );
    });

    const admin = (args: readonly string[]) => {
      const { admin_tls: address } = listeningOf(lab());
      return ["--server", `https://${address}`, ...args];
    };

    test("on another host reaches ADS and the admin API by TLS, with a token, and both survive a forced rotation of the CA and a restart", async () => {
      const made = await lab().weft.cli(["access", "create", "web-host", "--role", "editor", "--namespace", "default"]);
      expect(made.code).toBe(0);
      const roots = join(open, "roots.pem");
      writeFileSync(roots, (await lab().weft.cli(["ca", "roots"])).stdout);
      const before = readFileSync(roots, "utf8");
      const { ads_tls: ads } = listeningOf(lab());
      const flags = admin(["--ca", roots, "--ads", ads]);
      const proxy = lab().processes.start("proxy-web-tls", [WEFT, "proxy", "run", "default/web-1", ...flags, "--", "--concurrency", "1"], {
        env: { WEFT_ENVOY: lab().envoy, WEFT_TOKEN: made.stdout.trim() },
      });
      const other = lab().startSidecar(orders);
      const sidecar = sidecarOf(web.place, proxy);
      await Promise.all([untilLive(sidecar), untilLive(other)]);
      await waitFor(
        "a call",
        () => callFrom(web, "orders"),
        ({ status }) => status === 200,
      );
      const dump = await sidecar.admin("/config_dump");
      expect(dump).not.toContain("weft_access_");
      expect(dump).toContain("spiffe://mesh.local/ns/weft-system/sa/weft");

      const rotated = await lab().weft.cli(["ca", "rotate", "--wait", "100s"]);
      expect([rotated.code, rotated.stderr]).toEqual([0, ""]);
      await waitFor("the new root in the file of --ca", () => readFileSync(roots, "utf8") !== before, Boolean, { limitMs: 30_000 });
      // Another process serves with a certificate under the new root from the first moment.
      lab().weft.process().signal("SIGKILL");
      await lab().weft.process().exited;
      await lab().weft.start();
      await waitFor("the proxy at the new weft", () => isConnected(lab(), "default/web-1"), Boolean, { limitMs: 60_000 });
      // It asks for a token with one that it was given by the same door.
      await lab().weft.cli(["token", "--workload", "web-1", "--revoke"]);
      await waitFor("the end of the old token", async () => !(await isConnected(lab(), "default/web-1")), Boolean, { limitMs: 30_000 });
      await waitFor("the proxy with a new token", () => isConnected(lab(), "default/web-1"), Boolean, { limitMs: 60_000 });
      expect((await callFrom(web, "orders")).status).toBe(200);
      await lab().weft.cli(["access", "revoke", "web-host"]);
    }, 240_000);

    test("proves itself by its X.509-SVID over TLS, and is no other workload for what its node.id says", async () => {
      const { ads_tls: ads } = listeningOf(lab());
      const svid = await svidOf(lab(), "default/orders-1");
      const bootstrap = JSON.parse((await lab().weft.cli(["proxy", "bootstrap", "orders-1", "--ads", ads])).stdout);
      const run = (name: string, node: string) => {
        const proved = bySvid(bootstrap, svid, join(open, name), node);
        const file = join(open, `${name}.json`);
        writeFileSync(file, JSON.stringify(proved));
        return lab().processes.start(name, [
          lab().envoy,
          "-c",
          file,
          "--disable-hot-restart",
          "--concurrency",
          "1",
          "--log-level",
          "warning",
        ]);
      };
      const forged = run("forged-svid", "sidecar~default/web-1");
      await waitFor(
        "its refusal",
        () => forged.tail(),
        (log) => saysTo(log, "is not that of a workload default/web-1"),
        { limitMs: 30_000 },
      );
      forged.signal("SIGKILL");
      await forged.exited;
      expect(await lab().weft.metric("weft_streams_refused_total", { reason: "forbidden" })).toBeGreaterThan(0);
      for (const one of lab().processes.running()) if (one.log.includes("proxy-orders-1")) one.signal("SIGTERM");
      await waitFor("the old proxy's end", async () => !(await isConnected(lab(), "default/orders-1")), Boolean, { limitMs: 60_000 });
      run("svid", "sidecar~default/orders-1");
      await waitFor("the proxy with an SVID", () => isConnected(lab(), "default/orders-1"), Boolean, { limitMs: 30_000 });
      await waitFor(
        "a call",
        () => callFrom(web, "orders"),
        ({ status }) => status === 200,
        { limitMs: 30_000 },
      );
    }, 180_000);

    test.skipIf(!canChangeUser)(
      "of the user that its WorkloadEntry names needs no token at the Unix socket; another user's is refused, as is a forged node.id",
      async () => {
        const printed = await lab().weft.cli(["proxy", "bootstrap", "local-1", "--unix"]);
        expect([printed.code, printed.stderr]).toEqual([0, ""]);
        expect(printed.stdout).not.toContain("authorization");
        const refused = await lab().weft.cli(["proxy", "bootstrap", "web-1", "--unix"]);
        expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("weft.dev/unix-user")]);
        const run = (name: string, uid: number, node?: string) => {
          const bootstrap = JSON.parse(printed.stdout);
          if (node !== undefined) bootstrap.node.id = node;
          const file = join(open, `${name}.json`);
          writeFileSync(file, JSON.stringify(bootstrap));
          const envoy = [lab().envoy, "-c", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"];
          return lab().processes.start(name, ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--", ...envoy]);
        };
        const stranger = run("stranger", OTHER_UID);
        await waitFor(
          "the stranger's refusal",
          () => stranger.tail(),
          (log) => saysTo(log, `uid ${OTHER_UID} runs no workload's proxy`),
          { limitMs: 30_000 },
        );
        stranger.signal("SIGKILL");
        await stranger.exited;
        const forged = run("forged-user", UID, "sidecar~default/web-1");
        await waitFor(
          "the forger's refusal",
          () => forged.tail(),
          (log) => saysTo(log, `uid ${UID} is not that of a workload default/web-1`),
          { limitMs: 30_000 },
        );
        forged.signal("SIGKILL");
        await forged.exited;
        run("own-user", UID);
        await waitFor("the proxy of the user", () => isConnected(lab(), "default/local-1"), Boolean, { limitMs: 30_000 });
        await waitFor(
          "a call",
          () => callFrom(web, "local"),
          ({ status }) => status === 200,
          { limitMs: 30_000 },
        );
      },
      120_000,
    );
  },
  { runCommand: [WEFT, "run", ...DOORS] },
);

interface Svid {
  readonly chain: string;
  readonly key: string;
}

/** As a proxy with a token gets it. */
async function svidOf(lab: Lab, workload: string): Promise<Svid> {
  const { ads } = JSON.parse(readFileSync(join(lab.weft.data, "listening.json"), "utf8")) as { ads: string };
  const token = (await lab.weft.cli(["token", "--workload", workload])).stdout.trim();
  const colon = ads.lastIndexOf(":");
  const client = new DeltaClient({ address: ads.slice(0, colon), port: Number(ads.slice(colon + 1)) }, { token });
  try {
    client.subscribe(TYPE.secret, "default");
    const { bodies } = await client.next(TYPE.secret);
    const { type } = fromBinary(SecretSchema, bodies[0] ?? new Uint8Array());
    const text = (source: { specifier: { case?: string; value?: unknown } } | undefined) => {
      const { value } = source?.specifier ?? {};
      return typeof value === "string" ? value : new TextDecoder().decode(value as Uint8Array);
    };
    if (type.case !== "tlsCertificate") throw new Error(`no certificate: ${type.case}`);
    return { chain: text(type.value.certificateChain), key: text(type.value.privateKey) };
  } finally {
    client.close();
  }
}

/** A bootstrap for TLS without its token, whose Envoy presents the SVID in files of `directory`. */
function bySvid(bootstrap: Record<string, never>, { chain, key }: Svid, directory: string, node: string): unknown {
  mkdirSync(directory);
  writeFileSync(join(directory, "svid.pem"), chain);
  writeFileSync(join(directory, "svid_key.pem"), key, { mode: 0o600 });
  const copy = structuredClone(bootstrap) as never as {
    node: { id: string };
    admin: { address: { socket_address: { port_value: number } } };
    dynamic_resources: { ads_config: { grpc_services: { initial_metadata?: unknown }[] } };
    static_resources: { clusters: { transport_socket: { typed_config: { common_tls_context: Record<string, unknown> } } }[] };
  };
  copy.node.id = node;
  // The workload's own may still be another Envoy's.
  copy.admin.address.socket_address.port_value = 0;
  delete copy.dynamic_resources.ads_config.grpc_services[0]?.initial_metadata;
  const context = copy.static_resources.clusters[0]?.transport_socket.typed_config.common_tls_context;
  if (!context) throw new Error("the bootstrap is not for TLS");
  context.tls_certificates = [
    { certificate_chain: { filename: join(directory, "svid.pem") }, private_key: { filename: join(directory, "svid_key.pem") } },
  ];
  return copy;
}
