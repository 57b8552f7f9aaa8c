/** One word of a POSIX shell, whatever the text holds (Shell Command Language, 2.2.2 Single-Quotes). */
export const quoteForShell = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
