/** Counts those who wait for `signal` from now on: one more for each that comes, one less for each that leaves. */
export function countListeners(signal: AbortSignal): () => number {
  const waiting = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: EventListenerOrEventListenerObject, options?: AddEventListenerOptions | boolean) => {
    waiting.add(listener);
    add(type, listener, options);
  };
  signal.removeEventListener = (type: string, listener: EventListenerOrEventListenerObject) => {
    waiting.delete(listener);
    remove(type, listener);
  };
  return () => waiting.size;
}
