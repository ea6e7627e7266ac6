/** Control characters (ESC among them) except line feed and tab, and bidirectional overrides: they could steer a terminal. */
export const UNSAFE = /(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu;

/** Without what could steer a terminal. */
export function clean(text: string): string {
  return text.replace(UNSAFE, "");
}
