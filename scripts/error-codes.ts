import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';

/** A stable code as it stands in the source: who is to blame, where it is made, what is said. */
export interface ErrorCode {
  readonly code: string;
  /** Null where only the caller knows. */
  readonly class: string | null;
  readonly where: readonly string[];
  /** With `{…}` for what only the moment knows; null where the text comes from elsewhere. */
  readonly message: string | null;
  readonly hint: string | null;
}

type Tree = { readonly type?: string; readonly span?: { start: number; end: number } } & Record<string, unknown>;
type Found = { code: string; class: string | null; where: string; message: string | null; hint: string | null };
/** A function that makes a reason of its arguments: which of them is the code, the message, the hint. */
interface Maker {
  readonly name: string;
  readonly file: string;
  readonly at: { code: number; class: number; message: number; hint: number };
  readonly fixed: { class: string | null; message: string | null; hint: string | null };
}

const project = fileURLToPath(new URL('../', import.meta.url));
const folders = ['src', 'activities', 'workflows', 'workers'];
/** Made by this, or of other codes: a process's end, the wire. */
const left = new Set(['src/cli/error-codes.ts']);
const stable = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

/**
 * Collects the codes of every reason in the sources, by their syntax: object literals with a `code`, and calls of functions that put an argument into such a literal. What neither shows
 * (a code that is computed) is not found; the test of docs/errors.md looks for those that the API answers with.
 */
export function errorCodes(sources: readonly (readonly [file: string, text: string])[] = sourceFiles()): ErrorCode[] {
  const files = sources.map(([file, text]) => readFile(file, text));
  const makers = files.flatMap(({ makers: own }) => own);
  const found = files.flatMap(({ found: direct, calls, file, imported }) => [
    ...direct,
    ...calls.flatMap(({ callee, args }) => {
      const maker = makers.find(({ name, file: at }) => name === callee && at === file) ?? (imported.has(callee) ? makers.find(({ name }) => name === callee) : undefined);
      if (maker === undefined) return [];
      const { at, fixed } = maker;
      const say = (index: number, otherwise: string | null): string | null => textsOf(args[index])[0] ?? otherwise;
      return textsOf(args[at.code]).filter((code) => stable.test(code)).map((code): Found => ({ code, class: say(at.class, fixed.class), where: file, message: say(at.message, fixed.message), hint: say(at.hint, fixed.hint) }));
    }),
  ]);
  const codes = [...new Set(found.map(({ code }) => code))].sort();
  return codes.map((code) => {
    const all = found.filter((each) => each.code === code).sort((a, b) => Number(b.message !== null) - Number(a.message !== null));
    const said = all[0]?.message ?? null;
    const [, message = null, hint = null] = said === null ? (files.flatMap(({ texts }) => texts).find(([name, text]) => name === code && text !== null && text.includes(' ')) ?? []) : [];
    return { code, class: all.find((each) => each.class !== null)?.class ?? null, where: [...new Set(all.map(({ where }) => where))].sort(), message: said ?? message, hint: all.find((each) => each.hint !== null)?.hint ?? hint };
  });
}

function sourceFiles(): [string, string][] {
  return folders
    .flatMap((folder) => readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`))
    .filter((file) => file.endsWith('.ts') && !left.has(file))
    .sort()
    .map((file) => [file, readFileSync(join(project, file), 'utf8')]);
}

function readFile(file: string, text: string) {
  const found: Found[] = [];
  const makers: Maker[] = [];
  const calls: { callee: string; args: Tree[] }[] = [];
  const imported = new Set<string>();
  /** Texts that stand in a table by code: the message, and perhaps the hint. */
  const texts: [code: string, message: string | null, hint: string | null][] = [];
  /** What blames all codes of a file whose own literal does not say. */
  let otherwise: string | null = null;
  const visit = (node: unknown, around: { name: string; params: string[] }): void => {
    if (Array.isArray(node)) return node.forEach((each) => visit(each, around));
    if (typeof node !== 'object' || node === null) return;
    const tree = node as Tree;
    if (tree.type === 'ObjectExpression') note(tree, around);
    if (tree.type === 'CallExpression' && (tree['callee'] as Tree).type === 'Identifier') calls.push({ callee: String((tree['callee'] as Tree)['value']), args: (tree['arguments'] as { expression: Tree }[]).map(({ expression }) => expression) });
    if (tree.type === 'ImportSpecifier') imported.add(String((tree['local'] as Tree)['value']));
    if (tree.type === 'KeyValueProperty') {
      const value = tree['value'] as Tree;
      const [message, hint] = value.type === 'ArrayExpression' ? (value['elements'] as ({ expression: Tree } | null)[]).map((each) => textsOf(each?.expression)[0] ?? null) : [textsOf(value)[0] ?? null, null];
      texts.push([String((tree['key'] as Tree)['value']), message ?? null, hint ?? null]);
    }
    const inner = functionIn(tree) ?? around;
    for (const [name, value] of Object.entries(tree)) if (name !== 'span') visit(value, inner);
  };
  const note = (tree: Tree, around: { name: string; params: string[] }): void => {
    const members = membersOf(tree);
    const code = members.get('code');
    const blame = textsOf(members.get('class'))[0];
    if (blame !== undefined && (code === undefined || textsOf(code).length === 0)) otherwise ??= blame;
    if (code === undefined) return;
    const say = (name: string): string | null => textsOf(members.get(name))[0] ?? null;
    const told = ['message', 'class', 'hint', 'result', 'kind', 'verdict'].some((name) => members.has(name));
    for (const each of textsOf(code).filter((value) => stable.test(value) && (told || value.includes('_')))) found.push({ code: each, class: say('class'), where: file, message: say('message') ?? say('what'), hint: say('hint') });
    const position = (name: string): number => {
      const value = members.get(name);
      return value?.type === 'Identifier' ? around.params.indexOf(String(value['value'])) : -1;
    };
    if (position('code') >= 0) makers.push({ name: around.name, file, at: { code: position('code'), class: position('class'), message: position('message'), hint: position('hint') }, fixed: { class: say('class'), message: say('message'), hint: say('hint') } });
  };
  visit(parseSync(text, { syntax: 'typescript', target: 'es2024' }).body, { name: '', params: [] });
  return { file, found: found.map((each) => ({ ...each, class: each.class ?? otherwise })), makers, calls, imported, texts };
}

/** The name and the parameters of a function that this declares. */
function functionIn(tree: Tree): { name: string; params: string[] } | null {
  if (tree.type === 'FunctionDeclaration') return { name: String((tree['identifier'] as Tree)['value']), params: parametersOf(tree['params']) };
  const init = tree['init'] as Tree | null | undefined;
  if (tree.type === 'VariableDeclarator' && init && (init.type === 'ArrowFunctionExpression' || init.type === 'FunctionExpression')) return { name: String((tree['id'] as Tree)['value']), params: parametersOf(init['params']) };
  return null;
}

const parametersOf = (params: unknown): string[] => (params as Tree[]).map((param) => String(((param['pat'] as Tree | undefined) ?? param)['value'] ?? ''));

function membersOf(tree: Tree): Map<string, Tree> {
  const members = new Map<string, Tree>();
  for (const property of tree['properties'] as Tree[]) {
    if (property.type === 'KeyValueProperty') members.set(String((property['key'] as Tree)['value']), property['value'] as Tree);
    if (property.type === 'Identifier') members.set(String(property['value']), property);
  }
  return members;
}

/** Every text that an expression may be, as far as its syntax tells. */
function textsOf(node: Tree | undefined): string[] {
  if (node === undefined) return [];
  switch (node.type) {
    case 'StringLiteral':
      return [String(node['value'])];
    case 'TemplateLiteral': {
      const parts = (node['quasis'] as { cooked: string }[]).map(({ cooked }) => cooked);
      const names = (node['expressions'] as Tree[]).map(nameOf);
      return [parts.map((part, at) => part + (names[at] === undefined ? '' : `{${names[at]}}`)).join('')];
    }
    case 'ConditionalExpression':
      return [...textsOf(node['consequent'] as Tree), ...textsOf(node['alternate'] as Tree)];
    case 'ParenthesisExpression':
    case 'TsAsExpression':
    case 'TsConstAssertion':
      return textsOf(node['expression'] as Tree);
    default:
      return [];
  }
}

/** What stands for a value in a message: its name, or `…` where it has none. */
function nameOf(node: Tree): string {
  if (node.type === 'Identifier') return String(node['value']);
  if (node.type === 'MemberExpression') return nameOf(node['property'] as Tree);
  return '…';
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;').replaceAll('{', '\\{');

/** The text of docs/errors.md. */
export function errorsPage(codes: readonly ErrorCode[]): string {
  return `# Errors

Made from the sources by \`npm run docs\`; \`npm test\` fails when this page is stale. \`fairlead explain CODE\` prints an entry of it, without a network.

The API answers what it does not do with problem details (RFC 9457): \`code\` is stable and for programs, \`detail\` and \`hint\` are for people. Reports, audit rows and
the reasons of rollouts carry the same codes. The class says who is to blame: \`release\` condemns a release, \`host\` and \`orchestrator\` leave it untainted, a
\`dependency\` that is away is waited for, and a \`request\` has to be changed. Names in braces stand for what only the moment knows.

| code | class | what is said | what helps | made in |
|---|---|---|---|---|
${codes.map(({ code, class: blame, message, hint, where }) => `| \`${code}\` | ${blame ?? '-'} | ${cell(message ?? '-')} | ${cell(hint ?? '-')} | ${where.map((file) => `\`${file}\``).join(', ')} |`).join('\n')}
`;
}

/** The text of src/cli/error-codes.ts: the same for \`fairlead explain\`. */
export function errorsModule(codes: readonly ErrorCode[]): string {
  const line = (each: ErrorCode): string => `  ${JSON.stringify(each.code)}: ${JSON.stringify({ class: each.class, message: each.message, hint: each.hint })},`;
  return `// Made from the sources by \`npm run docs\` (scripts/error-codes.ts).
export interface ExplainedCode {
  readonly class: string | null;
  readonly message: string | null;
  readonly hint: string | null;
}

export const errorCodes: Readonly<Record<string, ExplainedCode>> = {
${codes.map(line).join('\n')}
};
`;
}
