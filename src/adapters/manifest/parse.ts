import { type Document, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { maxManifestBytes } from '../../domain/bundle/file-list.ts';
import type { ProductManifest, Role } from '../../domain/product/manifest.ts';
import { buildManifest } from './build.ts';
import { checkReferences, checkRoles, type Finding } from './check.ts';
import { type Path, positionOf } from './position.ts';
import type { ManifestProblem } from './problem.ts';
import { variantsOf } from './roles.ts';
import { manifestShape, rolesShape } from './schema.ts';
import { didYouMean } from './suggest.ts';

export { type ManifestProblem, manifestError, renderProblems } from './problem.ts';

export type ParsedManifest = { readonly ok: true; readonly manifest: ProductManifest } | { readonly ok: false; readonly problems: ManifestProblem[] };

/**
 * Reads `fairlead.yaml` (YAML 1.2) and fills in the defaults.
 *
 * Every problem is told at once, in the order of the text, with line and column: wrong shapes, unknown keys, names that refer to nothing,
 * ports used twice. Where the YAML itself is broken, only that is told, because all else would be guesswork.
 *
 * The manifest of a source that names `roles` is checked as that of each role, with the sections that the role says for itself; given back is the one of
 * `role`, of the first role without it. `bundle create --role` writes it into the bundle.
 *
 * @param fileName is not opened; it is named in problems that concern the whole file.
 * @param replaced top-level keys that stand for what the text says, `undefined` for none: how `bundle create` sets the release id.
 */
export function parseManifest(text: string, fileName: string, replaced: Readonly<Record<string, unknown>> = {}, role: Role | null = null): ParsedManifest {
  if (Buffer.byteLength(text) > maxManifestBytes) {
    return { ok: false, problems: [{ line: 1, column: 1, path: '', message: `${fileName} has more than ${maxManifestBytes} bytes.` }] };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  const broken = [...document.errors, ...document.warnings].map((error): ManifestProblem => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { line: Math.max(1, line), column: Math.max(1, col), path: '', message: `${error.message.replace(/\.?$/, '.')}` };
  });
  // A key that stands twice leaves the tree readable; every other fault of the YAML does not.
  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) return { ok: false, problems: inOrder(broken) };

  const read = readValue(document, replaced);
  if ('message' in read) return { ok: false, problems: inOrder([...broken, { line: 1, column: 1, path: '', message: read.message }]) };
  const variants = variantsOf(read.value).map((variant) => ({ ...variant, parsed: manifestShape.safeParse(variant.value) }));
  const findings = [
    ...rolesFindings(read.value),
    ...variants.flatMap(({ value, parsed, placed }) =>
      [...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => findingsOf(issue, value, manifestShape))), ...checkReferences(value)].map((finding) => ({ ...finding, path: placed(finding.path) })),
    ),
  ];
  const problems = withoutRepeats([...broken, ...findings.map((finding) => place(document, lines, finding))]);
  const chosen = variants.find((variant) => role === null || variant.role === role) ?? variants[0];
  if (!chosen?.parsed.success || problems.length > 0) return { ok: false, problems: inOrder(problems) };
  return { ok: true, manifest: buildManifest(chosen.parsed.data) };
}

/** What is wrong with `roles` itself. */
function rolesFindings(document: unknown): Finding[] {
  const roles = valueAt(document, ['roles']);
  if (roles === undefined) return [];
  const parsed = rolesShape.safeParse(roles);
  const issues = parsed.success ? [] : parsed.error.issues.flatMap((issue) => findingsOf(issue, roles, rolesShape));
  return [...issues.map((finding): Finding => ({ ...finding, path: ['roles', ...finding.path], message: `roles.${finding.message}`.replace(/^roles\.The document/, 'roles') })), ...checkRoles(document)];
}

/** What is wrong with a section that several roles share is told once. */
const withoutRepeats = (problems: ManifestProblem[]): ManifestProblem[] => [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];

/** Aliases are followed a bounded number of times: a few nested ones could otherwise grow to gigabytes. */
function readValue(document: Document, replaced: Readonly<Record<string, unknown>>): { value: unknown } | { message: string } {
  try {
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { value };
    return { value: Object.fromEntries(Object.entries({ ...value, ...replaced }).filter(([, part]) => part !== undefined)) };
  } catch (error) {
    return { message: `${error instanceof Error ? error.message : String(error)}.` };
  }
}

function findingsOf(issue: z.core.$ZodIssue, document: unknown, shape: unknown): Finding[] {
  const path = issue.path.map((segment) => (typeof segment === 'number' ? segment : String(segment)));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      at: 'key',
      message: `${[...path, key].join('.')} is not known.`,
      hint: didYouMean(key, keysKnownAt(path, shape)),
    }));
  }
  const where = path.length === 0 ? 'The document' : path.join('.');
  if (issue.code === 'invalid_key') return [{ path, at: 'key', message: `${where}: the name ${issue.issues[0]?.message ?? 'is not allowed'}.` }];
  const value = valueAt(document, path);
  const shown = value === undefined || typeof value === 'object' ? '' : `, not ${JSON.stringify(value).slice(0, 80)}`;
  return [{ path, message: `${where} ${issue.message}${shown}.` }];
}

const valueAt = (document: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, segment) => (typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[segment] : undefined), document);

/** The keys that the schema knows at `path`; found in the schema itself, so that a new field needs no second list. */
function keysKnownAt(path: Path, shape: unknown): string[] {
  let schema = shape;
  for (const segment of path) {
    const { shape, valueType, element } = unwrap(schema);
    schema = shape?.[String(segment)] ?? valueType ?? element;
  }
  return Object.keys(unwrap(schema).shape ?? {});
}

interface Definition {
  readonly innerType?: unknown;
  readonly shape?: Record<string, unknown>;
  readonly valueType?: unknown;
  readonly element?: unknown;
}
function unwrap(schema: unknown): Definition {
  let definition = (schema as { def?: Definition } | undefined)?.def ?? {};
  while (definition.innerType !== undefined) definition = (definition.innerType as { def: Definition }).def;
  return definition;
}

function place(document: Document, lines: LineCounter, { path, at, message, hint }: Finding): ManifestProblem {
  return { ...positionOf(document, lines, path, at), path: path.join('.'), message, ...(hint === undefined ? {} : { hint }) };
}

const inOrder = (problems: ManifestProblem[]): ManifestProblem[] => problems.sort((a, b) => a.line - b.line || a.column - b.column);
