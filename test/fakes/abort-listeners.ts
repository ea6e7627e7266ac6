/** Counts those who wait for `signal` from now on: one more for each that comes, one less for each that leaves. */
export function countListeners(signal: AbortSignal): () => number {
  const waiting = new Set<unknown>();
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    waiting.add(args[1]);
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    waiting.delete(args[1]);
    remove.apply(signal, args);
  };
  return () => waiting.size;
}
