/** What one node may cost another. */

/** A request holds a token, a key or a name; an answer a chain of certificates. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
export const MAX_HEADER_BYTES = 8 * 1024;
export const MAX_CONNECTIONS = 20_000;
/** Nodes behind one address translation share it. */
export const MAX_CONNECTIONS_PER_ADDRESS = 256;
export const MAX_STREAMS = 64;
/** A node with a thousand workloads that starts anew asks for them all. */
export const CALL_RATE = { burst: 2_000, perSecond: 200 } as const;
/** Of an address without a certificate: it joins, once. */
export const JOIN_RATE = { burst: 20, perSecond: 1 } as const;
