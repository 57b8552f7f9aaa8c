/** Polls until `condition` gives something other than false, null or undefined. Fails loudly, naming what was waited for. */
export async function eventually<Value>(what: string, condition: () => Promise<Value | false | null | undefined> | Value | false | null | undefined, limitMs = 30_000): Promise<Value> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms for: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}
