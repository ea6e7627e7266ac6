import { afterAll, expect, test } from "bun:test";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { OwnSockets } from "../../src/control/own-sockets.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { resourcesOf } from "../mesh/harness.ts";

const root = mkdtempSync(join(tmpdir(), "weft-own-"));
const data = join(root, "data");
mkdirSync(data);
const admin = createServer();
await new Promise<void>((resolve) => admin.listen(join(data, "admin.sock"), resolve));
symlinkSync(data, join(root, "link"));
symlinkSync(relative(root, join(data, "admin.sock")), join(root, "relative.sock"));
symlinkSync("/proc/self/cwd", join(root, "here"));
symlinkSync(join(root, "round"), join(root, "round"));
linkSync(join(data, "admin.sock"), join(root, "hard.sock"));
afterAll(() => {
  admin.close();
  rmSync(root, { recursive: true, force: true });
});

const troubles: string[] = [];
const own = new OwnSockets({ data, others: [join(root, "public.sock")], onTrouble: (message) => troubles.push(message) });

const endpoint = (path: string) => `kind: ServiceEntry
apiVersion: networking.istio.io/v1
metadata: {name: deputy}
spec:
  hosts: [deputy.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
    - address: "unix://${path}"
`;
const entry = (path: string) => `kind: WorkloadEntry
apiVersion: networking.istio.io/v1
metadata: {name: deputy, annotations: {weft.dev/app: "db=127.0.0.1:1, http=unix://${path}", note: "http=unix://${data}/admin.sock"}}
spec: {address: 10.0.0.1}
`;
const group = (path: string) => `kind: WorkloadGroup
apiVersion: networking.istio.io/v1
metadata: {name: deputy}
spec: {metadata: {annotations: {weft.dev/app: "http=unix://${path}"}}, template: {serviceAccount: deputy}}
`;
const ingress = (path: string) => `kind: Sidecar
apiVersion: networking.istio.io/v1
metadata: {name: deputy}
spec: {ingress: [{port: {number: 80, name: http, protocol: HTTP}, defaultEndpoint: "unix://${path}"}]}
`;
const egress = (path: string) => `kind: Sidecar
apiVersion: networking.istio.io/v1
metadata: {name: deputy}
spec: {egress: [{port: {number: 0, protocol: HTTP, name: http}, bind: "unix://${path}", hosts: ["./*"]}]}
`;

function refusal(text: string): WeftError | undefined {
  const resources = resourcesOf(text);
  try {
    own.refuse(resources);
    return undefined;
  } catch (reason) {
    return WeftError.from(reason);
  }
}

test("No document leads a proxy to a socket of weft's, whatever field names it, and its line is told", () => {
  const path = join(data, "admin.sock");
  for (const [text, field, line] of [
    [endpoint(path), "spec.endpoints.0.address", 9],
    [entry(path), "metadata.annotations.weft.dev/app", 3],
    [group(path), "spec.metadata.annotations.weft.dev/app", 4],
    [ingress(path), "spec.ingress.0.defaultEndpoint", 4],
    [egress(path), "spec.egress.0.bind", 4],
  ] as const) {
    const { code, problems } = refusal(text) ?? new WeftError("internal", `${field} was taken`);
    expect({ code, problems }).toMatchObject({ code: "invalid", problems: [{ code: "WF0203", file: "test.yaml", line }] });
    expect(problems?.[0]?.message).toStartWith(`${field}: ${path} leads to weft's own files`);
  }
});

test("... nor by a link, another name, a detour, or what each process has for itself", () => {
  const paths = [
    ...["link/admin.sock", "relative.sock", "hard.sock", "public.sock", "link/later.sock", "data//./ads.sock"],
    ...["elsewhere/../data/admin.sock", "here/data/admin.sock", "round/admin.sock"],
  ].map((path) => `${root}/${path}`);
  for (const path of [...paths, "/proc/self/root/run/app.sock", "/dev/fd/3/admin.sock", `${root}/app.sock\\0`]) {
    expect([path, refusal(endpoint(path))?.code]).toEqual([path, "invalid"]);
  }
});

test("Other sockets are the application's, also one that is not there yet, in an abstract name, or what is only written about", () => {
  for (const path of [`${root}/app.sock`, "/run/app.sock", `${root}/data2/admin.sock`, "@admin.sock"]) {
    expect([path, refusal(endpoint(path))]).toEqual([path, undefined]);
  }
  expect(refusal(entry("/run/app.sock"))).toBeUndefined();
});

test("The socket for weft's own sidecar, which asks for proof, may be led to, and not be taken", () => {
  expect(refusal(entry(join(data, "mesh.sock")))).toBeUndefined();
  expect(refusal(egress(join(data, "mesh.sock")))?.code).toBe("invalid");
});

test("What another node took leads nowhere at the node whose socket it is, and the log says so; all else is served as it is", () => {
  const document = (address: string) => ({
    kind: "ServiceEntry",
    metadata: { namespace: "default", name: "deputy" },
    spec: { endpoints: [{ address }, { address: "10.0.0.1" }] },
  });
  const shielded = own.shield(document(`unix://${data}/admin.sock`));
  expect(shielded).toEqual(document("unix:///dev/null/weft"));
  expect(troubles).toEqual([expect.stringContaining("ServiceEntry default/deputy leads proxies to this weft's own sockets")]);
  // As an earlier weft took them: reading the store must not fail for one.
  for (const path of ["/run/app\0.sock", `/run/${"long/".repeat(2_000)}app.sock`])
    expect(() => own.shield(document(`unix://${path}`))).not.toThrow();
  expect(own.shield(document(`unix://${root}/app.sock\0`))).toEqual(document("unix:///dev/null/weft"));
  const other = document("unix:///run/app.sock");
  expect(own.shield(other)).toBe(other);
});
