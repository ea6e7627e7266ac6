import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { errnoOf } from "../lib/errors.ts";

/** The file operations that key material goes through, passed in so that tests can end the process between any two of them. */
export interface Disk {
  /** Makes `path` and its parents, mode 0700; what is there stays. */
  makeDirectory(path: string): Promise<void>;
  /** The permission bits of the file's mode. @throws Node's system errors */
  mode(path: string): Promise<number>;
  /** The file's text. @throws Node's system errors */
  read(path: string): Promise<string>;
  /** Writes a new file with exactly `mode`, replacing an old one, and syncs it. */
  writeSynced(path: string, text: string, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes a rename in `path` survive a power cut. */
  syncDirectory(path: string): Promise<void>;
  /** Deletes a file; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  /** Names in the directory; none where there is no directory. */
  list(path: string): Promise<readonly string[]>;
}

export const nodeDisk: Disk = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  mode: async (path) => (await stat(path)).mode & 0o777,
  read: (path) => readFile(path, "utf8"),
  async writeSynced(path, text, mode) {
    // A left-over of a crash may have another mode; "wx" makes sure that the file is ours from its first byte.
    await rm(path, { force: true });
    const file = await open(path, "wx", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(path, mode);
  },
  rename,
  async syncDirectory(path) {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  remove: (path) => rm(path, { force: true }),
  async list(path) {
    try {
      return await readdir(path);
    } catch (reason) {
      if (errnoOf(reason) === "ENOENT") return [];
      throw reason;
    }
  },
};
