/** The upstream authority as its files say now: read again when they change. What was good stays in use while they are not. */
import { errnoOf, WeftError } from "../lib/errors.ts";
import { sha256 } from "../lib/hash.ts";
import type { Disk } from "./disk.ts";
import { loadUpstream, type Upstream, type UpstreamFiles } from "./upstream.ts";

export class UpstreamWatch {
  readonly #disk: Disk;
  readonly #files: UpstreamFiles;
  readonly #trustDomain: string;
  #current: Upstream | undefined;
  #seen: string | undefined;
  #failure: WeftError | undefined;

  constructor(disk: Disk, files: UpstreamFiles, trustDomain: string) {
    this.#disk = disk;
    this.#files = files;
    this.#trustDomain = trustDomain;
  }

  get current(): Upstream | undefined {
    return this.#current;
  }

  /** Why the files that are there now are not in use. */
  get failure(): WeftError | undefined {
    return this.#failure;
  }

  /** Never rejects. */
  async refresh(): Promise<void> {
    const seen = await this.#look();
    // What failed is tried again: a mode that was mended changes no text.
    if (seen === this.#seen && !this.#failure) return;
    try {
      this.#current = await loadUpstream(this.#disk, this.#files, this.#trustDomain);
      this.#failure = undefined;
      this.#seen = seen;
    } catch (reason) {
      this.#failure = WeftError.from(reason);
    }
  }

  async #look(): Promise<string> {
    const { certificate, key, roots } = this.#files;
    const texts = [certificate, key, ...(roots === undefined ? [] : [roots])].map((path) =>
      this.#disk.read(path).catch((reason) => errnoOf(reason) ?? "unreadable"),
    );
    return sha256((await Promise.all(texts)).join("\0"));
  }
}
