/** Envoy's own judgement on every golden case. Needs an Envoy ($WEFT_ENVOY or PATH); without one it is skipped, loudly, unless CI=true. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { abilitiesOf } from "../../src/xds/envoy-version.ts";
import { envoyFor, versionOf } from "../skip.ts";
import { caseNames, meshOf, readCase, snapshotsOf } from "./case.ts";
import { staticConfig } from "./envoy-config.ts";

const envoy = envoyFor("Envoy's judgement on the golden cases");

/** Refused by Envoy for what is not on this host: a file that the case names. */
const NEEDS_FILES = new Set(["client-tls", "gateway-certificates", "gateway-secrets", "sidecar-ingress-tls"]);

/** Refused by Envoys before this version: commands in header values that came later. weft knows those of the newest, and tells where an Envoy refuses one. */
const SINCE: Readonly<Record<string, string>> = { "header-values": "1.38" };

/** Deprecated in favour of another kind of cluster, which EnvoyFilters for clusters would have to know. */
const LEFT = new Set(["envoy.config.cluster.v3.Cluster.dns_refresh_rate", "envoy.config.cluster.v3.Cluster.respect_dns_ttl"]);

const version = envoy === undefined ? "" : versionOf(envoy);
const isOlder = (since = "0") => version.localeCompare(since, "en", { numeric: true }) < 0;

describe.skipIf(!envoy)("Envoy accepts", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "weft-golden-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  for (const name of caseNames().filter((candidate) => !NEEDS_FILES.has(candidate))) {
    test(`everything that ${name}.yaml makes, by no deprecated field${SINCE[name] ? `, from ${SINCE[name]} on` : ""}`, async () => {
      const expected = isOlder(SINCE[name]) ? 1 : 0;
      for (const [workload, snapshot] of snapshotsOf(meshOf(readCase(name)), abilitiesOf(version))) {
        const path = join(directory, `${name}-${workload.replace("/", "-")}.json`);
        writeFileSync(path, JSON.stringify(staticConfig(snapshot)));
        const run = Bun.spawn([envoy ?? "", "--mode", "validate", "-c", path, "-l", "warning"], { stdout: "ignore", stderr: "pipe" });
        const [errors, code] = await Promise.all([new Response(run.stderr).text(), run.exited]);
        expect(`${workload}: ${code} ${code === expected ? "" : errors}`).toBe(`${workload}: ${expected} `);
        expect(
          [...errors.matchAll(/Using deprecated option '([^']*)'/g)].flatMap(([, field = ""]) => (LEFT.has(field) ? [] : field)),
        ).toEqual([]);
      }
    }, 60_000);
  }
});
