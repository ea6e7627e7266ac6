/** What was known of others when weft ended: after a restart nobody is there yet, and that must neither empty nor fill a service. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import { errnoOf, WeftError } from "../lib/errors.ts";

const KeptSchema = v.object({
  /** By workload key, those of whom there is something to say. */
  workloads: v.record(
    v.string(),
    v.object({
      isIn: v.boolean(),
      wasThere: v.boolean(),
      /** Flaps.times. */
      times: v.number(),
    }),
  ),
  /** By node, then workload key: why its application is not ready. */
  notReady: v.record(v.string(), v.record(v.string(), v.string())),
  /** The nodes that were ever there: whether they were given up. */
  nodes: v.record(v.string(), v.boolean()),
  /** For how long nodes have been seen to be gone, milliseconds; an earlier weft did not write it. */
  gone: v.optional(v.record(v.string(), v.number()), {}),
});
export type KeptPresence = v.InferOutput<typeof KeptSchema>;

const NOTHING: KeptPresence = { workloads: {}, notReady: {}, nodes: {}, gone: {} };

/** What cannot be read is told, and weft goes on without. */
export function readPresence(path: string, onTrouble: (message: string) => void): KeptPresence {
  try {
    return v.parse(KeptSchema, JSON.parse(readFileSync(path, "utf8")));
  } catch (reason) {
    if (errnoOf(reason) !== "ENOENT") {
      onTrouble(`${path} cannot be read, every workload of another node is taken to be there at first: ${WeftError.from(reason).message}`);
    }
    return NOTHING;
  }
}

/** @returns why it cannot be written, in words; undefined where it was */
export function writePresence(path: string, kept: KeptPresence): string | undefined {
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(kept)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    return undefined;
  } catch (reason) {
    return `${path} cannot be written, after a restart every workload is taken to be there at first: ${WeftError.from(reason).message}`;
  }
}
