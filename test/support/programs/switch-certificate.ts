import { stat } from 'node:fs/promises';
import { createCertificateStore } from '../../../src/adapters/certificate-store/filesystem.ts';
import type { CertificateName, CertificateVersion, ProductName, RunId } from '../../../src/domain/ids.ts';
import { asFairleadError } from '../../../src/domain/system-failure.ts';

// Switches certificates in a process of its own that can be killed at any system call. For each line on standard input, `activate VERSION`, `restore RUN` or
// `stage DIRECTORY`, it does so and answers with a line: null, or why not.
const [root = '', certificate = ''] = process.argv.slice(2);
const store = createCertificateStore(root);
const of = ['walked' as ProductName, certificate as CertificateName] as const;

await stat('/'); // From here on the thread that makes the system calls is there.
process.stdin.setEncoding('utf8').on('data', (line: string) => {
  const [act, what = ''] = line.trim().split(' ');
  const work = act === 'activate' ? store.activate(...of, what as CertificateVersion) : act === 'stage' ? store.stage(...of, what) : store.restore(...of, what as RunId);
  work.then(
    () => process.stdout.write('null\n'),
    (error: unknown) => process.stdout.write(`${JSON.stringify(asFairleadError(error, act ?? '').reason)}\n`),
  );
});
process.stdout.write('ready\n');
