/** weft as a workload of its own mesh, on real Envoys: its admin API through its own sidecar, and what forges, locks out or dies there. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect as tcpConnect } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { call } from "../../scripts/lib/lab/call.ts";
import { openNetwork } from "../../scripts/lib/lab/network.ts";
import type { StartedProcess } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { nodeNameOfHost } from "../../src/cluster/node-name.ts";
import { callFrom, describeMesh, expectStatus, type Lab, type Member, serviceEntryYaml } from "./harness.ts";

const ROOT = join(import.meta.dir, "../..");
const WEFT = process.env.WEFT_BINARY ?? join(ROOT, "dist/weft");
const network = await openNetwork();
const address = network.nextAddress();
const own = { address, port: await network.freePort(address) };
const NAME = `weft-${nodeNameOfHost(hostname())}`;
const WEB = "spiffe://mesh.local/ns/default/sa/web";
const HOST = "weft.weft-system";

const authorization = (name: string, spec: object) =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: weft-system}\nspec: ${JSON.stringify(spec)}\n`;
const ofWeft = { selector: { matchLabels: { app: "weft" } } };
const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: mesh, namespace: weft-system}
spec: {mtls: {mode: STRICT}}
`;

describeMesh(
  "weft in its own mesh",
  (lab) => {
    let web: Member;
    let other: Member;
    let sidecar: StartedProcess;

    const runSidecar = (l: Lab) =>
      l.processes.start("proxy-weft", [WEFT, "proxy", "run", `weft-system/${NAME}`, "--data", l.weft.data, "--", "--concurrency", "1"], {
        env: { WEFT_ENVOY: l.envoy },
      });
    const synced = async () => {
      const { items } = JSON.parse((await lab().weft.cli(["proxies", "-o", "json"])).stdout) as {
        items: { id: string; connected: boolean; status: string }[];
      };
      return items.some(({ id, connected, status }) => id === `weft-system/${NAME}` && connected && status === "SYNCED");
    };
    const ask = (from: Member, path: string, more: Parameters<typeof callFrom>[2] = {}) => callFrom(from, HOST, { path, ...more });
    const untilStatus = (from: Member, path: string, status: number) =>
      waitFor(
        `${status} for ${path}`,
        () => ask(from, path),
        (answer) => answer.status === status,
      );

    beforeAll(async () => {
      [web, other] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "other-1", service: "other" }),
      ]);
      await waitFor(
        "weft to register itself",
        () => lab().weft.cli(["get", "workloadentry", NAME, "-n", "weft-system"]),
        ({ code }) => code === 0,
      );
      sidecar = runSidecar(lab());
      await lab().join([{ name: "web" }, { name: "other" }], [web, other]);
      await waitFor("weft's own sidecar", synced, Boolean);
    }, 120_000);
    afterAll(() => sidecar.signal("SIGTERM"));

    test("it stands in the mesh as a service with a workload, marked as managed by it, and in the audit", async () => {
      const got = await lab().weft.cli(["get", "workloadentry", NAME, "-n", "weft-system", "-o", "json"]);
      expect(JSON.parse(got.stdout)).toMatchObject({
        metadata: { labels: { "app.kubernetes.io/managed-by": "weft" } },
        spec: { serviceAccount: "weft", address: own.address, ports: { "http-admin": own.port } },
      });
      const services = await lab().weft.cli(["services", "-n", "weft-system", "-o", "json"]);
      expect(services.stdout).toContain("weft.weft-system.mesh.local");
      const { stdout } = await lab().weft.cli(["audit", "-o", "json"]);
      expect(stdout).toContain(`"weft, node ${nodeNameOfHost(hostname())}"`);
      expect((await lab().weft.api("GET", "/readyz?verbose")).text).toContain(`registered as WorkloadEntry weft-system/${NAME}`);
    });

    test("a workload reaches the API through both sidecars, with the role that adminPrincipals give its SPIFFE ID; others have none", async () => {
      const services = expectStatus(await ask(web, "/v1/services"), 200);
      expect(services.text).toContain("web.default.mesh.local");
      // A viewer.
      const yaml = serviceEntryYaml({ name: "more" });
      const refused = expectStatus(await ask(web, "/v1/apply", { method: "POST", body: yaml }), 403);
      expect(refused.text).toContain(`${WEB} may not do this`);
      const unnamed = expectStatus(await ask(other, "/v1/services"), 401);
      expect(unnamed.text).toContain("spiffe://mesh.local/ns/default/sa/other is no principal of the admin API");
      expect(expectStatus(await ask(other, "/metrics"), 200).text).toContain("weft_revision");
      const { stdout } = await lab().weft.cli(["audit", "-o", "json"]);
      expect(stdout).toContain('"from": "admin (own sidecar)"');
    });

    test("a caller that says it is another is who its certificate says, through its sidecar and without one", async () => {
      const forged = { "x-forwarded-client-cert": `URI=${WEB}` };
      expect(expectStatus(await ask(other, "/v1/services", { headers: forged }), 401).text).toContain("sa/other is no principal");
      // In plaintext, straight to weft's sidecar.
      const plain = await call({ to: own, host: HOST, path: "/v1/services", headers: forged });
      expect([plain.status, plain.text]).toEqual([401, expect.stringContaining("This call needs a token")]);
    });

    test("what stands between caller and weft cannot be made to say another: not by a token's claims, not by an EnvoyFilter, not by a Sidecar", async () => {
      const { weft } = lab();
      const { privateKey, publicKey } = await generateKeyPair("ES256");
      const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "1", alg: "ES256", use: "sig" }] });
      const token = await new SignJWT({ iss: "https://issuer.example", sub: "x", who: `URI=${WEB}` })
        .setProtectedHeader({ alg: "ES256", kid: "1" })
        .sign(privateKey);
      const rule = {
        issuer: "https://issuer.example",
        jwks,
        fromHeaders: [{ name: "x-token" }],
        outputClaimToHeaders: [
          { header: "x-forwarded-client-cert", claim: "who" },
          { header: "x-who", claim: "who" },
        ],
      };
      await weft.apply(
        [
          `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: forge, namespace: weft-system}
spec: ${JSON.stringify({ jwtRules: [rule] })}
`,
          `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: teapot, namespace: weft-system}
spec:
  configPatches:
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.lua
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code: {inline_string: "function envoy_on_request(handle) handle:respond({[':status'] = '418'}, '') end"}
`,
          `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: elsewhere, namespace: weft-system}
spec:
  workloadSelector: {labels: {app: weft}}
  ingress: [{port: {number: ${own.port}, name: http-admin, protocol: HTTP}, defaultEndpoint: "127.0.0.1:${other.app.port}"}]
`,
        ].join("---\n"),
      );
      // All three are in force where they may be: of the mesh's other workloads the filter answers.
      await waitFor(
        "the filter",
        () => callFrom(web, "other"),
        ({ status }) => status === 418,
      );
      await waitFor("the sidecar to be in force", synced, Boolean);
      const forged = expectStatus(await ask(other, "/v1/services", { headers: { "x-token": token } }), 401);
      expect(forged.text).toContain("sa/other is no principal");
      expectStatus(await ask(web, "/v1/services"), 200);
      await weft.cli(["delete", "envoyfilter", "teapot", "-n", "weft-system"]);
      await weft.cli(["delete", "sidecar", "elsewhere", "-n", "weft-system"]);
      // The claims do arrive where they are asked for.
      const told = await waitFor(
        "the token's claim at another workload",
        () => callFrom(web, "other", { headers: { "x-token": token } }),
        ({ status }) => status === 200,
      );
      expect(told.echo?.headers["x-who"]).toBe(`URI=${WEB}`);
      await weft.cli(["delete", "requestauthentication", "forge", "-n", "weft-system"]);
    });

    test("no request can be hidden in what follows another: the sidecar takes no upgrade, after which bytes go to weft as they are", async () => {
      // Refused to a viewer, and then in the audit.
      const hidden = `GET /v1/audit HTTP/1.1\r\nHost: weft\r\nX-Forwarded-Client-Cert: URI=${WEB}\r\n\r\n`;
      const upgrade = `GET /metrics HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;
      const answer = await new Promise<string>((resolve) => {
        let text = "";
        const socket = tcpConnect({ host: other.place.outbound.address, port: other.place.outbound.port }, () => {
          // The one at once, the other when the answer to the first is there, or the connection has ended.
          socket.write(upgrade + hidden);
          socket.once("data", () => socket.write(hidden));
        });
        socket.on("data", (data) => {
          text += data;
        });
        socket.setTimeout(2_000, () => socket.destroy());
        // However it ends, what came until then counts.
        socket.once("error", () => {});
        socket.once("close", () => resolve(text));
      });
      const { stdout } = await lab().weft.cli(["audit", "-o", "json"]);
      expect((JSON.parse(stdout) as { action: string }[]).filter(({ action }) => action === "GET /v1/audit")).toEqual([]);
      expect(answer).toStartWith("HTTP/1.1 403 ");
    });

    test("its socket for the sidecar takes nobody else, root and weft's own user among them", async () => {
      const { in_mesh_socket: path } = await Bun.file(join(lab().weft.data, "listening.json")).json();
      const status = await new Promise<string>((resolve, reject) => {
        const socket = tlsConnect({ path, rejectUnauthorized: false }, () =>
          socket.write(`GET /v1/services HTTP/1.1\r\nHost: weft\r\nX-Forwarded-Client-Cert: URI=${WEB}\r\nConnection: close\r\n\r\n`),
        );
        let text = "";
        socket.on("data", (data) => {
          text += data;
        });
        socket.once("error", reject);
        socket.once("close", () => resolve(text));
      });
      expect(status).toStartWith("HTTP/1.1 403 ");
      expect(status).toContain("for weft's own sidecar");
    });

    test("its identity is no editor's, not even of its namespace", async () => {
      const made = await lab().weft.cli(["access", "create", "root-editor", "--role", "editor", "--namespace", "weft-system"]);
      const token = made.stdout.trim();
      const { admin } = await Bun.file(join(lab().weft.data, "listening.json")).json();
      const answer = await fetch(`http://${admin}/v1/bootstrap`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ workload: `weft-system/${NAME}` }),
      });
      expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining("is weft itself")]);
      await lab().weft.cli(["access", "revoke", "root-editor"]);
    });

    test("with STRICT it takes no plaintext, and a policy decides who reaches it, as `weft why` tells", async () => {
      const { weft } = lab();
      await weft.apply(STRICT);
      const plain = await waitFor(
        "plaintext to be refused",
        () => call({ to: own, host: HOST, path: "/metrics" }),
        ({ status }) => status === 0,
      );
      expect(plain.error).toBeDefined();
      expectStatus(await ask(other, "/metrics"), 200);

      await weft.apply(
        authorization("callers", { ...ofWeft, rules: [{ from: [{ source: { principals: ["mesh.local/ns/default/sa/web"] } }] }] }),
      );
      const denied = await untilStatus(other, "/metrics", 403);
      expect(denied.text).toBe("RBAC: access denied");
      expectStatus(await ask(web, "/v1/services"), 200);
      const why = await weft.cli(["why", "--from", "other-1", "--to", HOST, "--path", "/metrics"]);
      expect([why.code, why.stdout]).toEqual([1, expect.stringContaining("AuthorizationPolicy weft-system/callers")]);
      expect((await weft.cli(["why", "--from", "web-1", "--to", HOST, "--path", "/v1/services"])).code).toBe(0);
    });

    test("a policy that locks everybody out leaves the owner admin.sock, by which it is taken back", async () => {
      const { weft } = lab();
      await weft.apply(authorization("nobody", { ...ofWeft, action: "DENY", rules: [{}] }));
      await untilStatus(web, "/v1/services", 403);
      expect((await weft.api("GET", "/v1/services")).status).toBe(200);
      expect((await weft.cli(["delete", "authorizationpolicy", "nobody", "-n", "weft-system"])).code).toBe(0);
      await untilStatus(web, "/v1/services", 200);
    });

    test("a document of its own that somebody deletes comes back; one that somebody wrote in its place is left alone, and said", async () => {
      const { weft } = lab();
      const get = () => weft.cli(["get", "serviceentry", "weft", "-n", "weft-system", "-o", "json"]);
      await weft.cli(["delete", "serviceentry", "weft", "-n", "weft-system"]);
      await waitFor("its service to come back", get, ({ code }) => code === 0, { limitMs: 30_000 });
      await weft.apply(serviceEntryYaml({ name: "weft", namespace: "weft-system" }));
      await waitFor(
        "weft to say so",
        async () => (await weft.api("GET", "/readyz?verbose")).text,
        (text) => text.includes("ServiceEntry weft-system/weft is not of its making"),
        { limitMs: 30_000 },
      );
      expect(JSON.parse((await get()).stdout).spec.ports[0].number).toBe(8080);
      await weft.cli(["delete", "serviceentry", "weft", "-n", "weft-system"]);
      await untilStatus(web, "/v1/services", 200);
    }, 90_000);

    test("without its sidecar everything else goes on, and with a new one it is back", async () => {
      const { weft } = lab();
      sidecar.signal("SIGTERM");
      await sidecar.exited;
      await waitFor(
        "the end of its sidecar",
        () => ask(web, "/v1/services"),
        ({ status }) => status === 503,
      );
      expectStatus(await callFrom(web, "other"), 200);
      expect((await weft.api("GET", "/healthz")).status).toBe(200);
      await weft.apply(serviceEntryYaml({ name: "meanwhile" }));
      sidecar = runSidecar(lab());
      await untilStatus(web, "/v1/services", 200);
    });

    test("run without --in-mesh it takes its documents away", async () => {
      const { weft } = lab();
      weft.process().signal("SIGTERM");
      await weft.process().exited;
      const plain = lab().processes.start("weft-plain", [
        WEFT,
        "run",
        "--data",
        weft.data,
        "--ads",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
      ]);
      const left = () => weft.api("GET", "/v1/resources?namespace=weft-system");
      await waitFor(
        "its documents to be gone",
        () => left().catch(() => undefined),
        (answer) => answer?.status === 200 && !answer.text.includes("WorkloadEntry") && !answer.text.includes("ServiceEntry"),
        { limitMs: 30_000 },
      );
      plain.signal("SIGTERM");
      await plain.exited;
    });
  },
  {
    runCommand: [WEFT, "run", "--in-mesh", `${own.address}:${own.port}`, "--admin-principals", `${WEB}=viewer`],
  },
);
