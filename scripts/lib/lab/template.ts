/**
 * Replaces each ${NAME} in `text`. @throws Error naming a placeholder without a value.
 * @example render("port: ${PORT}", { PORT: 80 }) // "port: 80"
 */
export function render(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\$\{([A-Z0-9_]+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for the placeholder \${${name}}`);
    return String(value);
  });
}
