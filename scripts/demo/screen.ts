/** What the story prints, and what of it did not come out as told. */
export interface Screen {
  chapter(title: string): void;
  /** A line about what is done. */
  say(text: string): void;
  /** What is typed. */
  command(words: string): void;
  /** Something that was printed elsewhere, a little to the right. */
  block(text: string): void;
  /** A claim of the story with what was found. One that does not hold makes the whole demo fail. */
  claim(what: string, holds: boolean, found: string): void;
  readonly broken: readonly string[];
}

/** @param colours whether the output is a terminal that shows them */
export function createScreen(write: (text: string) => void, colours: boolean): Screen {
  const paint = (code: number, text: string): string => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
  const broken: string[] = [];
  const began = performance.now();
  let chapters = 0;
  return {
    chapter(title) {
      chapters += 1;
      write(`\n${paint(1, `${chapters}. ${title}`)}  ${paint(2, `(${((performance.now() - began) / 1000).toFixed(0)} s)`)}\n`);
    },
    say: (text) => write(`   ${text}\n`),
    command: (words) => write(`   ${paint(36, `$ ${words}`)}\n`),
    block: (text) => write(`${text.trimEnd().split('\n').map((line) => `     ${line}`.trimEnd()).join('\n')}\n`),
    claim(what, holds, found) {
      write(`   ${holds ? paint(32, 'ok') : paint(31, 'NOT AS TOLD')}  ${what}: ${found}\n`);
      if (!holds) broken.push(`${chapters}. ${what}: ${found}`);
    },
    broken,
  };
}
