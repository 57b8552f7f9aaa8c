// npm run release [-- --release ID] [-o DIR] [--sign-key FILE] [--histories DIR] [--json]: Fairlead's own bundles, one for the controller and one for nodes.
// Data on standard output, the rest on standard error. Exits with 1 where it was refused, and with 64 where it was asked wrongly.
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FairleadError } from '../src/domain/failure.ts';
import { renderTable } from '../src/cli/table.ts';
import { version } from '../src/runtime/version.ts';
import { makeRelease } from './release/make-release.ts';
import { project } from './release/project.ts';
import { quietRuntime } from './release/replay.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

class Usage extends Error {}

/** The version and the commit. A tree with changes is no commit, and two releases of one name would differ. */
function releaseIdOfCommit(): string {
  const git = (...argv: string[]): string => execFileSync('git', argv, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  let id: string;
  let changes: string;
  try {
    [id, changes] = [`${version}-${git('rev-parse', '--short=12', 'HEAD')}`, git('status', '--porcelain')];
  } catch {
    throw new Usage('this is no git checkout, so the release has no name of its own: say --release ID');
  }
  if (changes !== '') throw new Usage(`the checkout has changes, so it is not what commit ${id} names: commit them, or say --release ID`);
  return id;
}

function readKey(file: string): { privateKeyPem: string; publicKeyPem: string } {
  try {
    const privateKeyPem = readFileSync(file, 'utf8');
    return { privateKeyPem, publicKeyPem: createPublicKey(privateKeyPem).export({ type: 'spki', format: 'pem' }).toString() };
  } catch {
    // The cause stays out: it could quote the key.
    throw new Usage(`the publisher key ${file} cannot be read; it must be Ed25519 in PEM (PKCS#8)`);
  }
}

function readArguments() {
  try {
    const { values } = parseArgs({ options: { release: { type: 'string' }, output: { type: 'string', short: 'o', default: 'dist/release' }, 'sign-key': { type: 'string' }, histories: { type: 'string', multiple: true, default: [] }, json: { type: 'boolean', default: false } } });
    return values;
  } catch (error) {
    throw new Usage(error instanceof Error ? error.message : String(error));
  }
}

try {
  const options = readArguments();
  const signKey = options['sign-key'];
  quietRuntime();
  const released = await makeRelease({
    releaseId: options.release ?? releaseIdOfCommit(),
    output: resolve(options.output),
    histories: options.histories.map((directory) => resolve(directory)),
    key: signKey === undefined ? null : readKey(resolve(signKey)),
    say,
  });
  if (options.json) {
    const rows = released.map(({ file, signatureFile, artifact: { manifest: _, ...artifact } }) => ({ file, signatureFile, ...artifact }));
    process.stdout.write(`${JSON.stringify({ releases: rows }, null, 2)}\n`);
  } else {
    process.stdout.write(renderTable(['ROLE', 'PROFILE', 'SIZE', 'SHA-256', 'SIGNED BY', 'BUNDLE'], released.map(({ file, artifact }) => [artifact.role, artifact.profile, `${(artifact.sizeBytes / 1e6).toFixed(1)} MB`, artifact.sha256, artifact.signature?.keyId ?? 'nobody', file])));
    say(`publish them: fairlead release publish ${released.map(({ file }) => file).join(' ')}${signKey === undefined ? '' : ` --sign-key ${signKey}`}`);
  }
  // The replay's threads would hold the process for seconds.
  process.exit(0);
} catch (error) {
  if (!(error instanceof FairleadError) && !(error instanceof Usage)) throw error;
  say(`release: ${error.message}`);
  if (error instanceof FairleadError && error.reason.hint !== undefined) say(`  ${error.reason.hint}`);
  process.exit(error instanceof Usage || error.reason.code === 'release_id_invalid' ? 64 : 1);
}
