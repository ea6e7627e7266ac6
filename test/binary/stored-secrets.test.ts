import { expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FIXED, issue, secretYaml } from "../fakes/certificates.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { documents, run, startWeft, useBinary, waitFor } from "./harness.ts";
import { adsOf, CLUSTER, LISTENER, SECRET, tokenOf } from "./proxy.ts";

useBinary();

const { a, b } = FIXED;
/** Pieces of a key as it is written in PEM, and as base64 of that: none may be seen anywhere. */
const piecesOf = (key: string): readonly string[] => {
  const base64 = Buffer.from(key).toString("base64");
  return [key.split("\n")[1]?.slice(20) ?? "", base64.slice(100, 160)];
};
const KEYS = [...piecesOf(a.key), ...piecesOf(b.key)];
const seenIn = (text: string) => KEYS.filter((piece) => text.includes(piece));

const gatewayIn = (namespace: string, name: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: ${namespace}, annotations: {weft.dev/type: gateway}}
spec: {address: 127.0.0.9, labels: {istio: ingressgateway}, serviceAccount: front}
`;
const GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: shop}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ["*"], gateways: [front], http: [{directResponse: {status: 204}}]}
`;

async function secretsOf(weft: Awaited<ReturnType<typeof startWeft>>, workload: string, namespace = "default"): Promise<string> {
  const token = await tokenOf(weft, `${namespace}/${workload}`);
  const client = new DeltaClient(adsOf(weft), { token });
  for (const type of [CLUSTER, LISTENER]) {
    client.subscribe(type);
    await client.take(type);
  }
  client.subscribe(SECRET, "default", "ROOTCA", "kubernetes://shop");
  const { resources } = await client.take(SECRET);
  client.close();
  return [...resources].map(([name, rest]) => `${name}=${rest}`).join("");
}

test("a Secret's private key reaches the gateways of its namespace that name it, and leaves by no other door", async () => {
  const weft = await startWeft({ args: ["--log-level", "trace"] });
  const seen: [string, string][] = [];
  const watching = fetch("http://weft/v1/watch?since=0", { unix: weft.listening.admin_socket } as RequestInit);
  const file = join(weft.data, "..", `${Bun.hash(weft.data)}.yaml`);
  const cli = async (...args: string[]) => {
    const { out, err } = await (args[0] === "validate" ? run(args) : weft.cli(args));
    seen.push([args.join(" "), out + err]);
    return out + err;
  };
  try {
    await weft.apply(documents(gatewayIn("default", "front-1"), gatewayIn("other", "front-2"), GATEWAY));
    writeFileSync(file, secretYaml("shop", { ...a, ca: b.certificate }));
    expect(await cli("diff", "-f", file)).toContain('tls.key: "[redacted]"');
    expect(await cli("apply", "-f", file, "--wait", "10s")).toContain("Secret default/shop created");
    expect(await cli("apply", "-f", file)).toContain("Secret default/shop unchanged");
    expect(await cli("get", "secret", "shop", "-o", "yaml")).toContain("[redacted]");
    expect(await cli("get", "secrets", "-o", "json")).toContain(Buffer.from(a.certificate).toString("base64"));
    for (const args of [["get", "secrets"], ["check"], ["validate", "-f", file], ["get", "secrets", "-o", "wide"]]) await cli(...args);

    // What is shown cannot be taken for the real thing.
    const shown = await weft.cli(["get", "secret", "shop", "-o", "yaml"]);
    const again = await weft.cli(["apply", "-f", "-"], { input: shown.out });
    expect(again.err + again.out).toContain("WF0208");

    // Another key, and mistakes of every sort near a key.
    writeFileSync(file, secretYaml("shop", b));
    expect(await cli("diff", "-f", file)).toContain("tls.crt");
    writeFileSync(file, secretYaml("shop", { certificate: a.certificate, key: b.key }));
    expect(await cli("apply", "-f", file)).toContain("WF0305");
    for (const text of [
      secretYaml("shop", { certificate: a.key, key: b.key }),
      secretYaml("shop", { certificate: a.certificate, key: b.key.slice(0, -60) }),
      `apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\ndata:\n  tls.key: ${a.key}`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData:\n  tls.key: [${JSON.stringify(a.key)}]\n  ${a.key.split("\n")[1]}: x`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData:\n  tls.key: |\n${a.key}\n`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData:\n\ttls.key: ${JSON.stringify(a.key)}`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\ntype: ${JSON.stringify(a.key)}\n`,
    ]) {
      writeFileSync(file, text);
      const answers = [await weft.cli(["apply", "-f", file]), await run(["validate", "-f", file]), await weft.cli(["diff", "-f", file])];
      for (const { code, out, err } of answers) {
        expect(code).not.toBe(0);
        // A name of a key is the user's own word, and told; a value is not.
        seen.push([text.slice(0, 80), `${out}${err}`.replaceAll(a.key.split("\n")[1] ?? "", "")]);
      }
    }

    expect(seenIn(await secretsOf(weft, "front-1"))).not.toEqual([]);
    expect(seenIn(await secretsOf(weft, "front-2", "other"))).toEqual([]);

    const client = new DeltaClient(adsOf(weft), { token: await tokenOf(weft, "front-1") });
    for (const type of [CLUSTER, LISTENER]) {
      client.subscribe(type);
      await client.take(type);
    }
    const paths = ["/v1/resources", "/v1/resources/Secret/default/shop", "/v1/proxies", "/v1/proxies/default/front-1/config", "/v1/check"];
    for (const path of [...paths, "/metrics", "/v1/services", "/v1/bundle", "/openapi.json"])
      seen.push([path, (await weft.ask("GET", path)).text]);
    client.close();
    const put = await weft.ask("PUT", "/v1/resources/Secret/default/shop", secretYaml("shop", b), { "content-type": "application/json" });
    expect(put.status).toBe(200);
    seen.push(["PUT", put.text]);
    seen.push(["DELETE", (await weft.ask("DELETE", "/v1/resources/Secret/default/shop")).text]);

    let watched = "";
    const reader = (await watching).body?.getReader();
    await waitFor(
      "the watch to tell of the deletion",
      async () => {
        const { value } = (await reader?.read()) ?? {};
        watched += new TextDecoder().decode(value);
        return watched;
      },
      (text) => text.includes("deleted"),
    );
    await reader?.cancel();
    expect(watched).toContain("[redacted]");
    seen.push(["watch", watched]);

    expect(await weft.stop()).toBe(0);
    const key = join(weft.data, "secrets.key");
    expect(statSync(key).mode & 0o777).toBe(0o600);
    for (const name of readdirSync(weft.data, { recursive: true, encoding: "utf8" })) {
      const path = join(weft.data, name);
      if (statSync(path).isFile()) seen.push([name, readFileSync(path, "latin1")]);
    }
    seen.push(["what it said", weft.stdout() + weft.stderr()]);
    expect(seen.flatMap(([door, text]) => seenIn(text).map((piece) => [door, piece]))).toEqual([]);
  } finally {
    rmSync(file, { force: true });
  }
});

test("a Secret survives a restart, and is out of reach without the key of the data directory", async () => {
  const first = await startWeft();
  await first.apply(documents(gatewayIn("default", "front-1"), GATEWAY, secretYaml("shop", a)));
  expect(await first.stop()).toBe(0);
  const second = await startWeft({ data: first.data });
  expect(seenIn(await secretsOf(second, "front-1"))).not.toEqual([]);
  expect(await second.stop()).toBe(0);

  rmSync(join(first.data, "secrets.key"));
  const third = await startWeft({ data: first.data });
  expect((await third.ask("GET", "/v1/check")).text).toContain("Secret default/shop has neither tls.crt and tls.key");
  expect(third.stdout() + third.stderr()).toContain("tls.key of Secret default/shop was sealed with another secrets.key");
  await third.apply(secretYaml("shop", a));
  expect(seenIn(await secretsOf(third, "front-1"))).not.toEqual([]);
  expect(await third.stop()).toBe(0);
});

test("a certificate that expired, or soon will, is told at the apply, by validate and by check", async () => {
  const weft = await startWeft();
  for (const [days, said] of [
    [[-9, -2], "expired at"],
    [[-9, 2], "expires at"],
    [[2, 90], "is not valid before"],
  ] as const) {
    const input = secretYaml("old", await issue("old.example.com", undefined, days));
    for (const verb of ["apply", "validate"]) {
      const args = [verb, "-f", "-"];
      const { code, out, err } = await (verb === "validate" ? run(args, { input }) : weft.cli(args, { input }));
      expect([verb, code]).toEqual([verb, 0]);
      expect(out + err).toContain(`WF0404: the certificate of CN=old.example.com ${said}`);
    }
    expect((await weft.ask("GET", "/v1/check")).text).toContain(`the certificate of CN=old.example.com ${said}`);
  }
});
