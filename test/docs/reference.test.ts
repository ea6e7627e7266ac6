/** What docs/reference.md shows must work where a reader of README.md stands: on its mesh of orders and web. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { parseDocuments } from "../../src/model/index.ts";

const ROOT = join(import.meta.dir, "../..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const REFERENCE = readFileSync(join(ROOT, "docs/reference.md"), "utf8");

test("the example of a TokenInjection can be applied as it stands, and nothing is found wrong with it", () => {
  const [, mesh = ""] = /cat > mesh\.yaml <<'YAML'\n([\s\S]*?)\n {4}YAML\n/.exec(README) ?? [];
  const example = [...REFERENCE.matchAll(/```yaml\n([\s\S]*?)```/g)]
    .map(([, text = ""]) => text)
    .find((text) => /^kind: TokenInjection$/m.test(text));
  const parsed = [parseDocuments(mesh.replaceAll(/^ {4}/gm, ""), "mesh.yaml"), parseDocuments(example ?? "", "example.yaml")];
  expect(parsed.flatMap(({ problems }) => problems)).toEqual([]);
  const resources = parsed.flatMap((one) => one.resources);
  expect(resources.map(({ kind }) => kind)).toEqual([
    "ServiceEntry",
    "WorkloadEntry",
    "WorkloadEntry",
    "TokenInjection",
    "RequestAuthentication",
    "AuthorizationPolicy",
  ]);
  expect(analyze(resources, buildMesh(resources, { revision: 1, trustDomain: "mesh.local" }))).toEqual([]);
});
