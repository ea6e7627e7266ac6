import { expect, test } from "bun:test";
import { openTestWeft } from "./weft.ts";

const SERVICE = (name: string, port = 80) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec: {hosts: [${name}.example.com], ports: [{number: ${port}, name: http, protocol: HTTP}], resolution: NONE}
---
`;

interface Page {
  readonly revision: number;
  readonly items: readonly { readonly metadata: { readonly name: string; readonly resourceVersion: string } }[];
  readonly continue?: string;
}

test("a listing in pages shows one revision, whatever is applied while it is read, and a listing whose past is unknown begins anew", async () => {
  const weft = await openTestWeft();
  try {
    const names = Array.from({ length: 7 }, (_, index) => `s-${index}`);
    await weft.ask("POST", "/v1/apply", names.map((name) => SERVICE(name)).join(""));
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let token: string | undefined = ""; token !== undefined; ) {
      const { json } = await weft.ask("GET", `/v1/resources?kind=se&limit=3${token && `&continue=${token}`}`);
      const page = json as unknown as Page;
      expect(page.revision).toBe(1);
      seen.push(...page.items.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`));
      sizes.push(page.items.length);
      token = page.continue;
      await weft.ask("POST", "/v1/apply", `${SERVICE("s-4", 80 + sizes.length)}${SERVICE(`s-5-${sizes.length}`)}`);
      await weft.ask("DELETE", "/v1/resources/ServiceEntry/default/s-6");
    }
    expect(seen).toEqual(names.map((name) => `${name} 1`));
    expect(sizes).toEqual([3, 3, 1]);
    const beyond = Buffer.from(JSON.stringify([999, "ServiceEntry", "default", "s-1"])).toString("base64url");
    expect((await weft.ask("GET", `/v1/resources?continue=${beyond}`)).status).toBe(409);
    for (const wrong of ["limit=0", "limit=x", "limit=10001", "continue=nonsense"]) {
      expect([wrong, (await weft.ask("GET", `/v1/resources?${wrong}`)).status]).toEqual([wrong, 400]);
    }
  } finally {
    await weft.close();
  }
});
