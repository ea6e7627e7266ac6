/** A TCP address that stays while what is behind it changes, as a load balancer or a floating address before Redis does; and a way that fails as a test wants it. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

type Way = "open" | "closed" | "silent";

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** What the client said and the server has not got. */
  readonly held: Buffer[];
  /** Once it is cut, the server's side stays for what is held. */
  cut: boolean;
}

export class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #to: number;
  #way: Way = "open";
  /** Of what a client says: from there on it is held, or passed on without the answer. */
  #catching: { readonly when: (said: string) => boolean; readonly pass: boolean; readonly caught: () => void } | undefined;

  private constructor(server: Server, to: number) {
    this.#server = server;
    this.#to = to;
    server.on("connection", (client) => this.#take(client));
  }

  static async start(to: number): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return new Relay(server, to);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open stay where they are. */
  leadTo(port: number): void {
    this.#to = port;
  }

  /** For connections to come: closed at once, or taken and never answered. */
  set way(way: Way) {
    this.#way = way;
  }

  /** Cuts the next connection whose client says what `when` takes, once it has said so; with `pass` the server gets it, else it is held. Resolves then. */
  cutAt(when: (said: string) => boolean, { pass }: { readonly pass: boolean }): Promise<void> {
    return new Promise((caught) => {
      this.#catching = { when, pass, caught };
    });
  }

  /** What was held reaches the server now, late. Resolves when the server has answered it. */
  async release(): Promise<void> {
    for (const pair of this.#pairs) {
      if (pair.held.length === 0) continue;
      const answered = new Promise<void>((resolve) => pair.server.once("data", () => resolve()));
      pair.server.write(Buffer.concat(pair.held.splice(0)));
      await answered;
    }
  }

  /** What comes takes so long, either way. Tells it of each piece by its number, from 0. */
  delayMs: ((piece: number) => number) | undefined;

  /** Ends all connections that are open. */
  cutAll(): void {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  dispose(): void {
    this.#server.close();
    this.cutAll();
  }

  #take(client: Socket): void {
    client.on("error", () => {});
    if (this.#way === "closed") return void client.destroy();
    if (this.#way === "silent") return;
    const server = connect(this.#to, "127.0.0.1");
    const pair: Pair = { client, server, held: [], cut: false };
    this.#pairs.add(pair);
    server.on("error", () => client.destroy());
    this.#slowly(server, (data) => void (pair.cut || client.write(data)));
    server.on("close", () => {
      this.#pairs.delete(pair);
      client.destroy();
    });
    this.#slowly(client, (data) => this.#said(pair, data));
    client.on("close", () => void (pair.cut || server.destroy()));
  }

  /** In order: what comes after a piece that takes long waits for it. */
  #slowly(from: Socket, take: (data: Buffer) => void): void {
    let piece = 0;
    let last: Promise<unknown> = Promise.resolve();
    from.on("data", (data: Buffer) => {
      if (!this.delayMs) return take(data);
      const delay = Bun.sleep(this.delayMs(piece++));
      last = Promise.all([last, delay]).then(() => take(data));
    });
  }

  #said(pair: Pair, data: Buffer): void {
    const catching = this.#catching;
    if (!catching?.when(data.toString("latin1"))) return void pair.server.write(data);
    this.#catching = undefined;
    pair.cut = true;
    if (catching.pass) pair.server.write(data);
    else pair.held.push(data);
    pair.client.destroy();
    catching.caught();
  }
}
