/**
 * Calls of one node to another: Connect's unary protocol (https://connectrpc.com/docs/protocol), read by hand. connect-node's client reads an answer by
 * iterating over the stream, and node:http2 of Bun 1.4.5 may have closed that, with the answer in it, before the iteration begins ("Premature close").
 */
import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { MAX_MESSAGE_BYTES } from "./limits.ts";
import { fromAnswer } from "./rpc-errors.ts";
import type { NodeSession } from "./session.ts";

/** For a call: an authority answers in milliseconds, and where it cannot, another is asked. */
const CALL_MS = 6_000;

export interface CallParts {
  readonly session: NodeSession;
  readonly clock: Clock;
  /** Who is called, for messages. */
  readonly peer: string;
}

/** @throws WeftError: what the other side answered; "unavailable" where it did not; what judged the connection */
export async function callNode<Input extends DescMessage, Output extends DescMessage>(
  { session, clock, peer }: CallParts,
  method: DescMethodUnary<Input, Output>,
  request: MessageInitShape<Input>,
): Promise<MessageShape<Output>> {
  const body = toBinary(method.input, create(method.input, request));
  const { stream, drop } = await session.request({
    ":method": "POST",
    ":path": `/${method.parent.typeName}/${method.name}`,
    "content-type": "application/proto",
    "content-length": String(body.length),
    "connect-protocol-version": "1",
    "connect-timeout-ms": String(CALL_MS),
  });
  const { headers, bytes } = await answerOf(stream, body, clock, peer).catch((reason) => {
    drop();
    throw reason;
  });
  if (headers[":status"] !== 200) throw fromAnswer(headers, bytes, peer);
  try {
    return fromBinary(method.output, bytes);
  } catch (cause) {
    throw new WeftError("unavailable", `${peer} answered what is no answer`, { cause });
  }
}

interface Answer {
  readonly headers: IncomingHttpHeaders & { ":status"?: number };
  readonly bytes: Uint8Array;
}

function answerOf(stream: ClientHttp2Stream, body: Uint8Array, clock: Clock, peer: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    let headers: Answer["headers"] | undefined;
    const fail = (why: string, cause?: unknown) => {
      cancel();
      reject(new WeftError("unavailable", `${peer} ${why}`, { cause }));
      stream.destroy();
    };
    const cancel = clock.after(CALL_MS, () => fail(`did not answer within ${CALL_MS / 1_000} s`));
    stream.once("response", (received) => {
      headers = received;
    });
    stream.on("data", (chunk: Uint8Array) => {
      size += chunk.length;
      if (size > MAX_MESSAGE_BYTES) fail("answered too much");
      else chunks.push(chunk);
    });
    stream.once("end", () => {
      cancel();
      if (headers) resolve({ headers, bytes: Buffer.concat(chunks) });
      else fail("did not answer");
    });
    stream.on("error", (cause) => fail(`did not answer: ${cause.message}`, cause));
    stream.once("close", () => fail("ended the connection before its answer"));
    stream.end(body);
  });
}
