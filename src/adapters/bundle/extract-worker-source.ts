/**
 * The program of the extraction's thread as text, where the agent was bundled into one file: the plugin of `src/runtime/thread-source.ts`
 * replaces this module while it bundles. Null where Fairlead runs from its sources, whose files a thread can start from.
 *
 * It is text, not the agent's own file: a thread that had to read all of the agent took a quarter of a second before its first byte.
 */
export const extractWorkerSource: string | null = null;
