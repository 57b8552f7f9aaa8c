import { FairleadError } from '../../domain/failure.ts';

/** One thing that is wrong with a manifest. Lines and columns count from 1. */
export interface ManifestProblem {
  readonly line: number;
  readonly column: number;
  /** Where in the document: `services.api.ports.a`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

/** `fairlead.yaml:12:5: services.api … (hint)`, one line for each problem. */
export function renderProblems(problems: readonly ManifestProblem[], file: string): string {
  return problems.map(({ line, column, message, hint }) => `${file}:${line}:${column}: ${message}${hint === undefined ? '' : ` ${hint}`}`).join('\n');
}

/** Every problem of a manifest as one error: code `manifest_invalid`, class `release`. */
export function manifestError(problems: readonly ManifestProblem[], file: string): FairleadError {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return new FairleadError({
    class: 'release',
    code: 'manifest_invalid',
    message: `The product manifest has ${count}:\n${renderProblems(problems, file)}`,
    hint: 'Mend the lines named above and build the bundle again.',
  });
}
