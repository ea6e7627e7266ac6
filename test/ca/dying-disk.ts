import { type Disk, nodeDisk } from "../../src/ca/disk.ts";

/**
 * A disk of a process that dies at its `step`-th write: that one is done by half (`torn`), or not at all, and nothing happens after it. `done` tells
 * how many were done.
 */
export function dyingDisk(step: number, torn: boolean): Disk & { readonly dead: () => boolean } {
  let done = 0;
  const tick = () => {
    if (done++ >= step) throw new Error("killed");
  };
  const before =
    <Arguments extends unknown[]>(action: (...args: Arguments) => Promise<void>) =>
    async (...args: Arguments) => {
      tick();
      await action(...args);
    };
  return {
    dead: () => done > step,
    mode: nodeDisk.mode,
    read: nodeDisk.read,
    list: nodeDisk.list,
    makeDirectory: before(nodeDisk.makeDirectory),
    writeSynced: async (path, text, mode) => {
      if (torn && done === step) await nodeDisk.writeSynced(path, text.slice(0, text.length / 2), mode);
      tick();
      await nodeDisk.writeSynced(path, text, mode);
    },
    rename: before(nodeDisk.rename),
    syncDirectory: before(nodeDisk.syncDirectory),
    remove: before(nodeDisk.remove),
  };
}
