/** Which resources a client's refusal names. Pure. */

/** A character that can stand inside a resource's name: "outbound|8080|v1|orders.default.mesh.local". */
const INSIDE_NAME = /[\w|/-]/;

/**
 * Those of `names` that `message` mentions as whole words: Envoy says "Error adding/updating listener(s) NAME: ..." for clusters and
 * listeners, and names nothing where it could not read the response.
 */
export function mentioned(message: string, names: readonly string[]): readonly string[] {
  let text = message;
  const found = new Set<string>();
  // Longest first, each hit blotted out, so that a name inside a longer one is not taken for a mention of it.
  for (const name of [...names].sort((a, b) => b.length - a.length)) {
    if (name === "") continue;
    for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + name.length)) {
      const end = at + name.length;
      if (standsAlone(text, at, end)) {
        found.add(name);
        text = text.slice(0, at) + " ".repeat(name.length) + text.slice(end);
      }
    }
  }
  return names.filter((name) => found.has(name));
}

function standsAlone(text: string, start: number, end: number): boolean {
  const before = text.charAt(start - 1);
  const after = text.charAt(end);
  // A dot goes on with the name only where more of a name follows it; else it ends the sentence.
  const dotted = after === "." && INSIDE_NAME.test(text.charAt(end + 1));
  return !INSIDE_NAME.test(before) && before !== "." && !INSIDE_NAME.test(after) && !dotted;
}
