/** As much of DER (X.690, 10) as an SVID's certificate needs: each function returns one whole element. */

export type Der = Uint8Array;

export const TAG = { boolean: 0x01, octetString: 0x04, bitString: 0x03, utcTime: 0x17, generalizedTime: 0x18 } as const;
const INTEGER = 0x02;
const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
/** Context-specific; constructed where it holds elements. */
const CONTEXT = 0x80;
const CONSTRUCTED = 0x20;

const TRUE = 0xff;

/** 8.1: tag, length in its shortest form, contents. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Der {
  let length = 0;
  for (const part of contents) length += part.length;
  const lengthBytes = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3;
  const bytes = new Uint8Array(2 + lengthBytes + length);
  bytes[0] = tag;
  bytes[1] = lengthBytes === 0 ? length : 0x80 | lengthBytes;
  for (let at = 0; at < lengthBytes; at++) bytes[2 + at] = length >>> (8 * (lengthBytes - 1 - at));
  let at = 2 + lengthBytes;
  for (const part of contents) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export const sequence = (...elements: readonly Der[]): Der => element(SEQUENCE, ...elements);

/** [number] EXPLICIT, around whole elements. */
export const explicit = (number: number, ...elements: readonly Der[]): Der => element(CONTEXT | CONSTRUCTED | number, ...elements);

/** [number] IMPLICIT, of a primitive type. */
export const implicit = (number: number, content: Uint8Array): Der => element(CONTEXT | number, content);

/** 8.3, of an unsigned number with its most significant byte first: no needless zeros, and one where it would read as negative. */
export function integer(unsigned: Uint8Array): Der {
  let start = 0;
  while (start < unsigned.length - 1 && unsigned[start] === 0) start += 1;
  const digits = unsigned.subarray(start);
  return (digits[0] ?? 0) & 0x80 ? element(INTEGER, Uint8Array.of(0), digits) : element(INTEGER, digits);
}

export const isTrue = (): Der => element(TAG.boolean, Uint8Array.of(TRUE));

/** 8.6: a bit string of whole bytes. */
export const bitString = (bytes: Uint8Array): Der => element(TAG.bitString, Uint8Array.of(0), bytes);

export const octetString = (bytes: Uint8Array): Der => element(TAG.octetString, bytes);

/** 8.19. @param dotted such as "2.5.29.17" */
export function objectIdentifier(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return element(OBJECT_IDENTIFIER, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = value >>> 7; left > 0; left >>>= 7) bytes.unshift(0x80 | (left & 0x7f));
  return bytes;
}

/** RFC 5280, 4.1.2.5: UTCTime through 2049, then GeneralizedTime; whole seconds. */
export function time(milliseconds: number): Der {
  const digits = new Date(milliseconds)
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  const short = digits >= "1950" && digits < "2050";
  return element(short ? TAG.utcTime : TAG.generalizedTime, ascii(short ? digits.slice(2) : digits));
}

export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
