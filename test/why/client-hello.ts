/** The first bytes of a TLS 1.2 client (RFC 5246, 7.4.1.2) that asks for a name (RFC 6066, 3). What answers need not speak TLS. */

function sized(bytes: 1 | 2 | 3, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(body.length, 0, bytes);
  return Buffer.concat([length, body]);
}

const HANDSHAKE = 0x16;
const CLIENT_HELLO = 0x01;
const TLS_1_2 = Buffer.from([3, 3]);
const SERVER_NAME = Buffer.from([0, 0]);
const HOST_NAME = Buffer.from([0]);
/** TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 */
const CIPHERS = Buffer.from([0xc0, 0x2f]);

export function clientHello(serverName: string): Buffer {
  const name = sized(2, sized(2, HOST_NAME, sized(2, Buffer.from(serverName, "latin1"))));
  const extensions = sized(2, SERVER_NAME, name);
  const random = Buffer.alloc(32, 7);
  const hello = Buffer.concat([TLS_1_2, random, sized(1), sized(2, CIPHERS), sized(1, Buffer.from([0])), extensions]);
  return Buffer.concat([Buffer.from([HANDSHAKE, 3, 1]), sized(2, Buffer.from([CLIENT_HELLO]), sized(3, hello))]);
}
