import { beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import type { Sidecar } from "../../scripts/lib/lab/workload.ts";
import { abilitiesOf } from "../../src/xds/envoy-version.ts";
import { versionOf } from "../skip.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

/** Answered by the sidecar itself, so that the answer names the virtual host that it is of. */
const answers = (name: string, hosts: readonly string[], body: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${hosts.map((host) => JSON.stringify(host)).join(", ")}]
  http: [{directResponse: {status: 200, body: {string: "${body}"}}}]
`;

describeMesh("virtual hosts, each sent by itself", (lab) => {
  let web: Member;
  let sidecar: Sidecar;
  let discovers: boolean;

  beforeAll(async () => {
    discovers = abilitiesOf(versionOf(lab().envoy), "delta").virtualHosts;
    const orders = await lab().workload({ name: "orders-1", service: "orders" });
    web = await lab().workload({ name: "web-1", service: "web" });
    const sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    sidecar = sidecars[0] ?? expect.unreachable();
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  const says = async (host: string) => {
    const { status, text } = await callFrom(web, host);
    return status === 200 ? text : String(status);
  };
  const remove = async (name: string) => {
    const { code, stderr } = await lab().weft.cli(["delete", "VirtualService", name]);
    if (code !== 0) throw new Error(stderr);
  };
  const untilSays = (host: string, what: string) =>
    waitFor(
      `${host} to say ${what}`,
      () => says(host),
      (said) => said === what,
    );

  test("come, change and go while every call to the others succeeds, and their routes are in Envoy's configuration dump", async () => {
    await lab().weft.apply(answers("steady", ["steady.example"], "steady"));
    await untilSays("steady.example", "steady");
    const failures: string[] = [];
    let loading = true;
    let calls = 0;
    const load = ["orders", "steady.example"].map(async (host) => {
      while (loading) {
        const { status, error } = await callFrom(web, host);
        calls += 1;
        if (status !== 200) failures.push(`${host}: ${status} ${error ?? ""}`);
      }
    });
    try {
      for (const round of ["one", "two", "three"]) {
        await lab().weft.apply(answers("moving", ["moving.example"], round));
        await untilSays("moving.example", round);
        expect(await sidecar.admin("/config_dump?resource=dynamic_route_configs")).toContain("moving.example:80");
        // Its domain is another virtual host's from now on.
        await lab().weft.apply(answers("moving", ["moving.example", "moved.example"], `${round} again`));
        await untilSays("moved.example", `${round} again`);
        await remove("moving");
        await untilSays("moving.example", "404");
      }
      const enough = calls + 50;
      await waitFor(
        "calls after the last change",
        () => calls,
        (count) => count >= enough,
      );
    } finally {
      loading = false;
      await Promise.all(load);
    }
    expect(failures).toEqual([]);
  });

  test("with wildcards are found by the longest suffix, and what fits none is nowhere", async () => {
    await lab().weft.apply(answers("wild", ["*.wild.example"], "wild"));
    await untilSays("a.wild.example", "wild");
    await lab().weft.apply(
      [answers("wilder", ["*.very.wild.example"], "wilder"), answers("exact", ["b.very.wild.example"], "exact")].join("---\n"),
    );
    await untilSays("a.very.wild.example", "wilder");
    await untilSays("b.very.wild.example", "exact");
    expect(await says("a.wild.example")).toBe("wild");
    expect(await says("wild.example")).toBe("404");
    await remove("exact");
    await untilSays("b.very.wild.example", "wilder");
    await remove("wilder");
    await untilSays("b.very.wild.example", "wild");
  });

  test("are all that a changed VirtualService sends, where Envoy discovers them", async () => {
    if (!discovers) return console.error("SKIPPED: Envoy has virtual host discovery over ADS from 1.37 on");
    const pushed = async () => ({
      routes: await lab().weft.metric("weft_pushed_bytes_total", { type: "RDS" }),
      hosts: await lab().weft.metric("weft_pushed_bytes_total", { type: "VHDS" }),
    });
    await lab().weft.apply(answers("few", ["few.example"], "before"));
    await untilSays("few.example", "before");
    const before = await pushed();
    await lab().weft.apply(answers("few", ["few.example"], "after"));
    await untilSays("few.example", "after");
    const { routes, hosts } = await pushed();
    expect(routes).toBe(before.routes);
    expect(hosts - before.hosts).toBeGreaterThan(0);
    // Of two proxies, orders-1's too.
    expect(hosts - before.hosts).toBeLessThan(2 * 1024);
  });

  test("that Envoy refuses hold back no other, and are shown with Envoy's words and the line that they come from", async () => {
    const file = `${lab().directory}/refused.yaml`;
    await Bun.write(
      file,
      `${answers("beside", ["beside.example"], "beside")}---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: refused, namespace: default}
spec:
  workloadSelector: {labels: {app: web}}
  configPatches:
    - applyTo: VIRTUAL_HOST
      match: {context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: "orders.default.mesh.local:8080"}}}
      patch:
        operation: MERGE
        value: {routes: [{match: {safe_regex: {regex: "("}}, route: {cluster: none}}]}
`,
    );
    expect((await lab().weft.cli(["apply", "-f", file, "--wait", "20s"])).code).toBe(1);
    const shown = await waitFor(
      "the refusal in `weft proxies`",
      async () => (await lab().weft.cli(["proxies", "web-1"])).stdout,
      (text) => text.includes("EnvoyFilter default/refused"),
    );
    expect(shown).toContain("refused.yaml:");
    expect(shown).toMatch(/missing \)/);
    if (discovers) await untilSays("beside.example", "beside");
    expect(await says("orders")).toContain("orders-1");
    const { code, stderr } = await lab().weft.cli(["delete", "EnvoyFilter", "refused"]);
    if (code !== 0) throw new Error(stderr);
    await untilSays("beside.example", "beside");
  });
});
