/**
 * The program that talks to a CA, where the agent was bundled into one file: brotli in base64, put here by the plugin of `src/runtime/thread-source.ts`.
 * Null where Fairlead runs from its sources, whose files a process can start from.
 *
 * It is packed because the agent holds its own text in memory, and needs this part of it for seconds in weeks.
 */
export const acmeProgramText: string | null = null;
