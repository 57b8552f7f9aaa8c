import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { createProgram } from '../../../src/cli/program.ts';
import type { Context } from '../../../src/cli/context.ts';

const project = join(import.meta.dirname, '../../..');
const program = createProgram({} as Context, '0.0.0');
const pages = ['README.md', 'docs/operations.md', 'docs/webhooks.md'];

interface Named {
  readonly page: string;
  readonly text: string;
}

/** What a page says in code: lines of its blocks, and spans between backquotes, which may go over the end of a line. */
function commandsOf(page: string): Named[] {
  const text = readFileSync(join(project, page), 'utf8');
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, code = '']) => code.split('\n'));
  const spans = [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll('\n', ' '));
  return [...blocks, ...spans].filter((code) => /^(bin\/)?fairlead\s+\w/.test(code)).map((code) => ({ page, text: code.replace(/\s+#.*$/, '') }));
}

/** The command that is named, and the words after it. @throws where the program has no such verb */
function resolve(text: string): { command: Command; rest: string[] } {
  const [, ...words] = text.split(/\s+/);
  let command: Command = program;
  while (command.commands.length > 0 && words.length > 0 && !words[0]?.startsWith('-')) {
    const next = command.commands.find((each) => each.name() === words[0] || each.aliases().includes(words[0] ?? ''));
    if (next === undefined) throw new Error(`no command ${words[0]} below ${command.name()}`);
    command = next;
    words.shift();
  }
  return { command, rest: words };
}

const named = pages.flatMap(commandsOf);

test('the pages name commands at all', () => {
  expect(pages.filter((page) => !named.some((each) => each.page === page))).toEqual([]);
});

test.each(named)('$page: $text', ({ text }) => {
  const { command, rest } = resolve(text);
  const known = command.options.flatMap(({ long, short }) => [long, short]);
  // What serve and host install take beyond their own options are settings, which docs/configuration.md lists.
  const takesSettings = command.registeredArguments.some((argument) => argument.name() === 'settings');
  const unknown = rest.filter((word) => /^--?[a-z]/.test(word) && !known.includes(word.split(/[=|]/)[0]));
  expect(takesSettings ? [] : unknown).toEqual([]);
});

/** Commands that texts of the program tell to type: hints, messages, ends of reports. What stands for a value is an X; prose goes on behind. */
const told = ['activities', 'deploy', 'src', 'workers', 'workflows']
  .flatMap((folder) => readdirSync(join(project, folder), { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && entry.name !== 'error-codes.ts')
  .flatMap(({ parentPath, name }) => {
    const code = readFileSync(join(parentPath, name), 'utf8').replaceAll(/^\s*(\*|\/\/|\/\*).*$/gm, '').replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, 'X');
    return [...code.matchAll(/\bfairlead ([a-z][^.,;:)'"`\n\\]*)/g)].map(([, words = '']) => `fairlead ${words.split(/ (?:or|and|to|for|shows|prints|on) /)[0]?.trim()}`);
  });
/** Sentences that go on after the name of the product, and a group of commands that is only named. */
const prose = /^fairlead ((as|another|beside|fleet|of|task)\b|settings$)/;
const places = [...new Set(told)].filter((text) => !prose.test(text)).sort();

test('the program tells commands at all', () => expect(places.length).toBeGreaterThan(90));

test.each(places)('told by the program: %s', (text) => {
  // `${…}` right behind a verb holds options, or nothing.
  const { command, rest } = resolve(text.replaceAll(/([a-z])X+(?= |$)/g, '$1'));
  const takesSettings = command.registeredArguments.some((argument) => argument.name() === 'settings');
  expect(takesSettings ? [] : rest.filter((word) => word.startsWith('--') && !command.options.some(({ long }) => long === word))).toEqual([]);
  // A command with verbs below it does nothing by itself.
  expect(command.commands.length).toBe(0);
});

test('every link to a file of the project leads somewhere', () => {
  const broken = [...pages, 'docs/guarantees.md'].flatMap((page) =>
    [...readFileSync(join(project, page), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, path = '']) => join(project, dirname(page), path)).filter((path) => !existsSync(path)),
  );
  expect(broken).toEqual([]);
});
