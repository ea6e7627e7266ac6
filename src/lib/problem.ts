/** A finding about the user's input, with its place and its mend. */
export interface Problem {
  /** Stable code, "WF0123"; the catalogue is model/codes.ts. */
  readonly code: string;
  readonly severity: "error" | "warning";
  /** What is wrong, in one sentence, naming the field. */
  readonly message: string;
  /** File as the user named it, or "<stdin>", "<http>". */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** What to write instead. */
  readonly help?: string;
  /** The resource it stands in, where that much could be read. */
  readonly resource?: { readonly kind: string; readonly namespace: string; readonly name: string };
}

/** "file:line:column: severity WF0123: message (help)", the form compilers use, so that editors can jump to it. */
export function formatProblem(p: Problem): string {
  const help = p.help ? `\n    help: ${p.help}` : "";
  return `${p.file}:${p.line}:${p.column}: ${p.severity} ${p.code}: ${p.message}${help}`;
}
