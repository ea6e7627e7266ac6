/** Streams that say what is true, and again when it has changed. */
import { type Clock, sleep } from "../lib/clock.ts";

/** Something may have changed: any number of calls of `wake` end one `wait`, also one that begins later. */
export class Wake {
  #woken = false;
  #resolve: (() => void) | undefined;

  readonly wake = (): void => {
    this.#woken = true;
    this.#resolve?.();
  };

  async wait(): Promise<void> {
    if (!this.#woken) await new Promise<void>((resolve) => (this.#resolve = resolve));
    this.#woken = false;
    this.#resolve = undefined;
  }
}

export interface State<Message> {
  /** Equal where nobody could tell the messages apart. */
  readonly version: string;
  readonly message: Message;
  /** Of the SVIDs in it, for the audit. */
  readonly svids?: readonly string[];
}

export interface Following<Message> {
  /** What is true now. @throws what ends the stream */
  readonly look: () => Promise<State<Message>>;
  readonly wake: Wake;
  /** Aborted, by `signal.reason` where that is an error of the server's, where nobody reads any more or weft ends. */
  readonly signal: AbortSignal;
  /** Before a message goes out. @throws what ends the stream */
  readonly onMessage: (state: State<Message>) => Promise<void>;
  readonly clock: Clock;
  /** Between two messages. */
  readonly gapMs: number;
}

/** A reader that is slow is not sent what it missed: each message is what is true when there is room for it. */
export async function* follow<Message>({ look, wake, signal, onMessage, clock, gapMs }: Following<Message>): AsyncGenerator<Message> {
  signal.addEventListener("abort", wake.wake, { once: true });
  try {
    let said: string | undefined;
    while (!signal.aborted) {
      const state = await look();
      if (signal.aborted) return;
      if (state.version !== said) {
        await onMessage(state);
        said = state.version;
        yield state.message;
        await sleep(clock, gapMs, signal);
      }
      await wake.wait();
    }
  } finally {
    signal.removeEventListener("abort", wake.wake);
  }
}
