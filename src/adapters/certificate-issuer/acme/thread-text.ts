/**
 * The program of the ACME thread, where the agent was bundled into one file: brotli in base64, put here by the plugin of `src/runtime/thread-source.ts`.
 * Null where Fairlead runs from its sources, whose files a thread can start from.
 *
 * It is packed because the agent holds its own text in memory, and needs this part of it for seconds in weeks.
 */
export const acmeThreadText: string | null = null;
