/** As a host's name, which it mostly is (RFC 1123, 2.1), and so a segment of a SPIFFE ID's path too. */
export const isNodeName = (text: string): boolean => /^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/.test(text);
