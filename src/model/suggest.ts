/** "Did you mean": the known word nearest to what was written. */

/** Edits (insert, delete, replace, swap of neighbours) between `a` and `b`, or `limit` + 1 where there are more than `limit`. */
export function editDistance(a: string, b: string, limit = Number.POSITIVE_INFINITY): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (before[j - 2] ?? 0) + 1);
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The nearest of `known` to `word`, ignoring case, "-" and "_"; undefined where nothing is near. Ties go to the first in `known`. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, "");
  if (word.length > 80) return undefined;
  const wanted = plain(word);
  let best: string | undefined;
  let distance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const found = editDistance(wanted, plain(candidate), distance);
    if (found < distance) {
      best = candidate;
      distance = found;
    }
  }
  return best;
}
