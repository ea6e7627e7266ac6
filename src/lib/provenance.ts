/** Where a rule or an xDS resource comes from: a resource of the user's and the line in the file that it was applied from. */
export interface Provenance {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** File as the user named it at apply, "<stdin>" or "<http>"; "" for what weft makes by itself. */
  readonly file: string;
  /** 1-based; 0 where there is no file. */
  readonly line: number;
}

/** "VirtualService default/orders (mesh.yaml:12)". */
export function formatProvenance(p: Provenance): string {
  const place = p.file ? ` (${p.file}:${p.line})` : "";
  return `${p.kind} ${p.namespace}/${p.name}${place}`;
}
