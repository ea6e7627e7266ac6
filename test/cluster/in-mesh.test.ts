/** weft in its own mesh where that has several nodes: one workload for each, which comes and goes with its node. */
import { afterEach, describe, expect, test } from "bun:test";
import { connect } from "node:tls";
import { eventually, TestMesh, type TestNode } from "./mesh.ts";

let mesh = new TestMesh();
afterEach(async () => {
  await mesh.close();
  mesh = new TestMesh();
});

const inMesh = (last: number) => ({ inMesh: { host: `10.0.0.${last}`, port: 15014 } });

interface Item {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: { readonly address?: string; readonly ports?: unknown };
}

const documents = async (node: TestNode): Promise<readonly Item[]> => {
  const { json } = await node.ask("GET", "/v1/resources?namespace=weft-system");
  return json.items as Item[];
};
const names = async (node: TestNode) => (await documents(node)).map(({ kind, metadata }) => `${kind} ${metadata.name}`);

/** The SPIFFE ID that the door for a node's own sidecar shows. */
function shownBy({ listening }: TestNode): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: listening.in_mesh_socket ?? "", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? "none");
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

describe("weft in its own mesh of nodes", () => {
  test("has a workload for each, with a certificate that an authority signed, and the node-to-node RPC past the sidecars", async () => {
    const a = await mesh.found("a", inMesh(1));
    const b = await mesh.join(a, "b", inMesh(2));
    await eventually(async () => expect(await names(b)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a", "WorkloadEntry weft-b"]));
    const [service, ofA, ofB] = await documents(a);
    expect(service?.spec.ports).toMatchObject([{ number: 15014 }, { number: 15016, name: "tls-cluster" }]);
    const rpc = Number(a.listening.cluster?.split(":")[1]);
    expect(ofA).toMatchObject({
      metadata: { annotations: { "weft.dev/node": "a" } },
      spec: { address: "10.0.0.1", ports: { "http-admin": 15014, "tls-cluster": rpc } },
    });
    expect(ofB).toMatchObject({
      metadata: { annotations: { "weft.dev/node": "b" } },
      spec: { address: "10.0.0.2", ports: { "http-admin": 15014 } },
    });
    for (const node of [a, b]) {
      await eventually(async () => expect(await shownBy(node)).toBe("URI:spiffe://mesh.local/ns/weft-system/sa/weft"));
    }
  });

  test("loses a node's workload with the node, which runs on and does not write it again", async () => {
    const a = await mesh.found("a", inMesh(1));
    const b = await mesh.join(a, "b", inMesh(2));
    await eventually(async () => expect(await names(a)).toContain("WorkloadEntry weft-b"));
    expect((await a.ask("DELETE", "/v1/nodes/b")).status).toBe(200);
    await eventually(async () => expect(await names(b)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a"]));
    await eventually(async () => {
      const { text } = await b.ask("GET", "/readyz?verbose");
      expect(text).toContain("not in the mesh: node b was removed from it");
    });
    expect(await names(a)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a"]);
  });

  test("loses it also where the node is asked to remove itself", async () => {
    const a = await mesh.found("a", inMesh(1));
    const b = await mesh.join(a, "b", inMesh(2));
    await eventually(async () => expect(await names(b)).toContain("WorkloadEntry weft-b"));
    expect(await b.ask("DELETE", "/v1/nodes/b")).toMatchObject({ status: 200, json: { name: "b", state: "removed" } });
    await eventually(async () => expect(await names(a)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a"]));
  });
});
