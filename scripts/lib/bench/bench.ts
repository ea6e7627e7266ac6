/** What every mode of the bench has at hand. */
import type { Processes } from "../lab/processes.ts";
import type { Options } from "./options.ts";

export interface Bench {
  readonly options: Options;
  readonly processes: Processes;
  /** Starts weft, up to the verb. */
  readonly command: readonly string[];
  /** The two Go programs. */
  readonly load: string;
  readonly peer: string;
  /** For whatever is needed until the end of the run. */
  readonly directory: string;
  /** A line about what goes on. */
  readonly say: (line: string) => void;
}
