import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { buildCommand } from "@stricli/core";
import type { IssuedToken } from "../admin/control-plane.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags, dataDirectory } from "./client.ts";
import { parseText, parseWorkload } from "./names.ts";
import { clean } from "./output.ts";
import { UsageError, verb } from "./verb.ts";

interface Flags extends ConnectFlags {
  readonly workload?: string;
  readonly workloadGroup?: string;
  readonly ttl?: string;
  readonly revoke: boolean;
  readonly ignoreNotFound: boolean;
}

export const tokenCommand = buildCommand({
  docs: {
    brief: BRIEF.token,
    fullDescription:
      'Alone: the admin token, for "Authorization: Bearer $(weft token)". With --workload: a new token by which that workload\'s proxy proves who\n' +
      "it is. With --workload-group: one by which instances of that group register themselves, and nothing else.",
  },
  parameters: {
    flags: {
      workload: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        brief: "A token for this workload: NAME or NAMESPACE/NAME",
        placeholder: "NAME",
      },
      workloadGroup: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        brief: "A token for the instances of this WorkloadGroup: NAME or NAMESPACE/NAME",
        placeholder: "NAME",
      },
      ttl: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        brief: "How long the workload's or group's token is good, such as 1h or 90d",
        placeholder: "TIME",
      },
      revoke: {
        kind: "boolean",
        default: false,
        brief: "Take back all tokens of the workload or group instead, and end the streams that they opened",
      },
      ignoreNotFound: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "With --revoke: also where no such workload or group is or was",
      },
      ...connectFlags,
    },
  },
  func: verb<Flags, []>(async (cli, flags) => {
    const { workload, workloadGroup } = flags;
    if (flags.ignoreNotFound && !flags.revoke) throw new UsageError("--ignore-not-found goes with --revoke");
    if (workload !== undefined && workloadGroup !== undefined)
      throw new UsageError("A token is for a workload or for a group: give one of them");
    const named = workload ?? workloadGroup;
    if (named === undefined) {
      if (flags.revoke)
        throw new UsageError("--revoke goes with --workload or --workload-group; for tokens with roles: weft access revoke");
      if (flags.ttl !== undefined) throw new UsageError("--ttl goes with --workload or --workload-group: the admin token does not expire");
      if (flags.server !== undefined) throw new UsageError("The admin token is read from the data directory: run this where weft runs");
      cli.print(await adminToken(await dataDirectory(cli.io, flags.data)));
      return 0;
    }
    const { namespace, name } = parseWorkload(named);
    const key = workload === undefined ? "workload_group" : "workload";
    const client = await connect(cli.io, flags);
    if (flags.revoke) {
      if (flags.ttl !== undefined) throw new UsageError("--ttl and --revoke exclude each other");
      const revoked = await client.call<{ revoked: string; streams: number; spiffe_ids: readonly string[] }>("/v1/tokens/revoke", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ [key]: `${namespace}/${name}`, ...(flags.ignoreNotFound ? { ignore_not_found: true } : {}) }),
      });
      const ended = revoked.streams === 1 ? "1 stream was ended" : `${revoked.streams} streams were ended`;
      cli.print(clean(`all tokens of ${revoked.revoked} are revoked; ${ended}`));
      // Whoever holds them: its other workloads too.
      for (const id of revoked.spiffe_ids)
        cli.print(clean(`X.509-SVIDs of ${id} made before now open no stream and no admin API any more`));
      return 0;
    }
    const body = JSON.stringify({ [key]: `${namespace}/${name}`, ...(flags.ttl === undefined ? {} : { ttl: flags.ttl }) });
    const issued = await client.call<Omit<IssuedToken, "workload">>("/v1/tokens", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    // Only the token on stdout, so that $(weft token ...) works.
    cli.complain(clean(`token of ${workload === undefined ? "WorkloadGroup " : ""}${namespace}/${name}, good until ${issued.expires}`));
    cli.print(clean(issued.token));
    return 0;
  }),
});

async function adminToken(data: string): Promise<string> {
  const path = join(data, "admin.token");
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    const missing = errnoOf(cause) === "ENOENT";
    throw new WeftError(
      "unavailable",
      missing ? `There is no admin token in ${data}` : `${path} cannot be read: ${WeftError.from(cause).message}`,
      {
        help: missing ? `weft makes it when it first runs: weft run --data ${data}` : "run this as the user who runs weft",
        cause,
      },
    );
  }
}
