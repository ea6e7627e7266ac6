/** Where signals come from: the process, or a test. */
export interface SignalSource {
  /** Calls `handler` for each signal until the returned function is called; the signal's default action does not happen meanwhile. */
  on(name: NodeJS.Signals, handler: () => void): () => void;
}

export const processSignals: SignalSource = {
  on(name, handler) {
    process.on(name, handler);
    return () => process.off(name, handler);
  },
};
