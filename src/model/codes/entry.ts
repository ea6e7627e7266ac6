/** One problem that weft can find, as `weft explain` and docs/problems.md tell it. */
export interface CodeEntry {
  /** "WF0101". */
  readonly code: string;
  /** Five words or so. */
  readonly title: string;
  /** Why weft refuses it, or warns of it. */
  readonly cause: string;
  /** What to do about it. */
  readonly mend: string;
  /** Resources (YAML) in which weft finds the problem; a sentence where no text could show it. A test holds each against its code. */
  readonly example: string;
}
