/** One gRPC call with streams in both directions, on an HTTP/2 stream: messages as bytes, one at a time, as fast as the peer takes them. */
import { constants, type ServerHttp2Stream } from "node:http2";
import { Code, type ConnectError } from "@connectrpc/connect";
import { grpcMessage } from "../lib/grpc-message.ts";
import { toConnectError } from "./errors.ts";
import { MessageReader, PREFIX } from "./grpc-frames.ts";

export interface CallEvents {
  /** A request came. What it throws ends the call. */
  message(bytes: Buffer): void;
  /** The peer has sent its last request. */
  finished(): void;
  /** A request could not be read. */
  failed(error: ConnectError): void;
  /** What was sent last is out: the next may be sent. */
  ready(): void;
  /** The stream is gone, whoever ended it. */
  closed(): void;
}

/** Bytes handed to HTTP/2 at a time: what a peer does not take is copied once more below, so that it must not be much. */
const PIECE = 64 * 1024;

/** Below this, one write is cheaper than not copying. */
const SMALL = 8 * 1024;

const CONTENT_TYPE = "application/grpc";

export class GrpcCall {
  private readonly stream: ServerHttp2Stream;
  private readonly reader: MessageReader;
  private events: CallEvents | undefined;
  private gone = false;
  private sending = false;
  private responded = false;
  private status: ConnectError | "ok" | undefined;
  /** Of the message that is being sent. */
  private rest: Uint8Array | undefined;
  private at = 0;

  constructor(stream: ServerHttp2Stream, maxMessageBytes: number) {
    this.stream = stream;
    this.reader = new MessageReader(maxMessageBytes);
    stream.on("error", () => {});
    stream.once("close", () => this.lost());
    stream.once("aborted", () => this.lost());
  }

  get closed(): boolean {
    return this.gone;
  }

  /** Nothing is read before. */
  start(events: CallEvents): void {
    if (this.gone) {
      events.closed();
      return;
    }
    this.events = events;
    this.stream.on("data", (chunk: Buffer) => this.read(chunk));
    this.stream.once("end", () => {
      if (this.gone || this.status) return;
      if (this.reader.partial) this.fail(new Error("the last message is cut short"));
      else events.finished();
    });
  }

  /** Requests wait with the peer, but for what is under way. */
  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  /** Whether send() may be called: what was sent before is out. */
  get ready(): boolean {
    return !this.sending && !this.gone && this.status === undefined;
  }

  /** One message, which is `head` and `body` together; `body` may be sent to many. */
  send(head: Uint8Array, body: Uint8Array): void {
    if (!this.ready) throw new Error("a message is being sent");
    this.respond();
    this.sending = true;
    const length = head.length + body.length;
    const whole = length <= SMALL;
    const first = Buffer.allocUnsafe(PREFIX + (whole ? length : head.length));
    first.writeUInt8(0, 0);
    first.writeUInt32BE(length, 1);
    first.set(head, PREFIX);
    if (whole) first.set(body, PREFIX + head.length);
    this.rest = whole ? undefined : body;
    this.at = 0;
    this.write(first);
  }

  /** Ends the call, after what is being sent. The first call counts. */
  end(error?: ConnectError): void {
    if (this.status !== undefined || this.gone) return;
    this.status = error ?? "ok";
    if (!this.sending) this.close();
  }

  private respond(): void {
    if (this.responded) return;
    this.responded = true;
    this.stream.respond({ ":status": 200, "content-type": CONTENT_TYPE }, { waitForTrailers: true });
    this.stream.once("wantTrailers", () => {
      if (this.gone) return;
      this.stream.sendTrailers(trailers(this.status));
      this.stop();
    });
  }

  private close(): void {
    // What the peer still sends is of no interest, and must not keep the stream from closing.
    this.stream.removeAllListeners("data");
    this.stream.resume();
    try {
      this.respond();
      this.stream.end();
    } catch {
      // The session has just been destroyed: there is nobody to answer.
      this.stream.destroy();
    }
  }

  /**
   * "A server MAY request that the client abort transmission of a request without error by sending a RST_STREAM with an error code of NO_ERROR
   * after sending a complete response" (RFC 9113, 8.1): else a peer that never ends its side keeps the connection from closing.
   */
  private stop(): void {
    this.stream.close(constants.NGHTTP2_NO_ERROR);
  }

  private write(bytes: Uint8Array): void {
    this.stream.write(bytes, (error) => {
      if (error || this.gone) return;
      this.written();
    });
  }

  private written(): void {
    const { rest } = this;
    if (rest) {
      const piece = rest.subarray(this.at, this.at + PIECE);
      this.at += piece.length;
      if (this.at >= rest.length) this.rest = undefined;
      this.write(piece);
      return;
    }
    this.sending = false;
    if (this.status !== undefined) this.close();
    else this.events?.ready();
  }

  private read(chunk: Buffer): void {
    if (this.gone || this.status) return;
    try {
      for (const message of this.reader.add(chunk)) {
        this.events?.message(message);
        if (this.status || this.gone) return;
      }
    } catch (reason) {
      this.fail(reason);
    }
  }

  private fail(reason: unknown): void {
    this.events?.failed(toConnectError(reason));
  }

  private lost(): void {
    if (this.gone) return;
    this.gone = true;
    this.rest = undefined;
    this.events?.closed();
    this.events = undefined;
    if (!this.stream.destroyed) this.stream.close(constants.NGHTTP2_CANCEL);
  }
}

function trailers(status: ConnectError | "ok" | undefined): Record<string, string> {
  if (status === "ok") return { "grpc-status": "0" };
  if (!status) return { "grpc-status": String(Code.Internal), "grpc-message": "internal error" };
  return { "grpc-status": String(status.code), "grpc-message": grpcMessage(status.rawMessage) };
}
