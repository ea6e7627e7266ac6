/** A data directory that becomes one of a node of an authority's mesh, by the line that `weft node token` prints. */
import { cleanEnvironment } from "./processes.ts";
import type { Weft } from "./weft.ts";

export interface JoinMeshOptions {
  readonly binary: string;
  /** Of the new node; an empty directory, or none. */
  readonly data: string;
  readonly node: string;
  /** Further flags of weft node token: --authority, ... */
  readonly flags?: readonly string[];
}

/** @throws Error with weft's words */
export async function joinMesh(authority: Weft, { binary, data, node, flags = [] }: JoinMeshOptions): Promise<void> {
  const made = await authority.cli(["node", "token", ...flags]);
  const [program, ...args] = made.stdout.trim().split(" ");
  if (made.code !== 0 || program !== "weft") throw new Error(`weft node token said (exit ${made.code}):\n${made.stdout}${made.stderr}`);
  const child = Bun.spawn([binary, ...args, "--data", data, "--node", node], {
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
  });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`weft join said (exit ${code}):\n${out}${err}`);
}
