import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { certificateId, certificateIdOf } from '../../../../src/adapters/certificate-issuer/acme/ari.ts';
import { certonly } from '../../../../src/adapters/certificate-issuer/certbot/commands.ts';
import { certbotFailure } from '../../../../src/adapters/certificate-issuer/certbot/parse.ts';
import type { CommandResult } from '../../../../src/ports/command-runner.ts';
import { threadSource } from '../../../../src/runtime/thread-source.ts';
import { createAuthority } from '../../../support/certificate-authority.ts';

describe('the name of a certificate in renewal information', () => {
  test('is as in the example of RFC 9773, 4.1', () => {
    expect(certificateId('69885b6b87464041e1b37b847ba0ae2cde01c8d4', '0087654321')).toBe('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
    expect(certificateId('69885b6b87464041e1b37b847ba0ae2cde01c8d4', '87654321')).toBe('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
  });

  test.each(['01', '7fffffff', '80000001', 'f00000000000000000000001'])('has the serial %s as DER writes it', async (serial) => {
    const authority = await createAuthority('CA');
    const id = certificateIdOf((await authority.issue({ names: ['a.example.org'], serial: serial >= '80' && serial.length > 2 ? `00${serial}` : serial })).cert);
    expect(Buffer.from(id?.split('.')[1] ?? '', 'base64url').toString('hex')).toBe(serial >= '80' ? `00${serial}` : serial);
  });
});

test('certbot is asked for exactly this', () => {
  const argv = certonly({
    certificate: 'app',
    names: ['app.example.org', '*.app.example.org'],
    issuer: { kind: 'certbot', name: 'certbot', scope: 'public', rootsFile: null, configDir: '/etc/letsencrypt', workDir: '/var/lib/letsencrypt', logsDir: '/var/log/letsencrypt', directoryUrl: null, caBundleFile: null, email: 'ops@example.org' },
    challenge: { kind: 'dns-01', hook: ['/opt/hooks/dns hook', "it's"], timeoutSeconds: 60 },
    keyType: 'rsa-2048',
  });
  expect(argv.join('\n')).toBe(
    ['certbot', 'certonly', '--non-interactive', '--agree-tos', '--force-renewal', '--cert-name', 'app', '--config-dir', '/etc/letsencrypt', '--work-dir', '/var/lib/letsencrypt', '--logs-dir', '/var/log/letsencrypt', '--email', 'ops@example.org', '--key-type', 'rsa', '--rsa-key-size', '2048', '--manual', '--preferred-challenges', 'dns', '--manual-auth-hook', `'/opt/hooks/dns hook' 'it'\\''s' 'present' "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"`, '--manual-cleanup-hook', `'/opt/hooks/dns hook' 'it'\\''s' 'cleanup' "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"`, '-d', 'app.example.org', '-d', '*.app.example.org'].join('\n'),
  );
});

describe('what certbot came to', () => {
  const ended = (exitCode: number | null, stderr: string): CommandResult => ({ exitCode, signal: null, timedOut: false, stdout: '', stderr, summary: '' });
  test.each([
    { name: 'success', result: ended(0, 'Successfully received certificate.'), code: undefined },
    { name: 'a hook that failed, as 2.x says it, though it exits with 0', result: ended(0, "Hook 'deploy-hook' reported error code 1\n\nSuccessfully received certificate."), code: 'certbot_hook_failed' },
    { name: 'a hook that failed, as 1.x says it', result: ended(0, 'post-hook command "/bin/false" returned error code 1'), code: 'certbot_hook_failed' },
    { name: 'a hook of a name', result: ended(0, "Hook '--manual-auth-hook' for app.example.org reported error code 2"), code: 'certbot_hook_failed' },
    { name: 'a hook that wrote to its error output and succeeded', result: ended(0, "Hook '--manual-auth-hook' for app.example.org ran with error output:\n warning"), code: undefined },
    { name: 'another one at work', result: ended(1, 'Another instance of Certbot is already running.'), code: 'certbot_busy' },
    { name: 'a rate limit', result: ended(1, 'An unexpected error occurred:\nError creating new order :: too many certificates (5) already issued'), code: 'ca_rate_limited' },
    { name: 'a CA that is away', result: ended(1, 'requests.exceptions.ConnectionError: Max retries exceeded with url: /dir'), code: 'ca_away' },
    { name: 'a failed validation', result: ended(1, 'Some challenges have failed.'), code: 'validation_failed' },
    { name: 'anything else', result: ended(1, 'oops'), code: 'certbot_failed' },
    { name: 'no certbot', result: ended(null, ''), code: 'certbot_failed' },
  ])('$name: $code', ({ result, code }) => {
    expect(certbotFailure(result)?.reason.code).toBe(code);
  });

  test('what hooks printed is not passed on', () => {
    expect(certbotFailure(ended(0, "Hook 'deploy-hook' ran with output:\n token=hunter2\nHook 'deploy-hook' reported error code 1"))?.reason.message).not.toContain('hunter2');
  });
});

test('bundled into one file, the program that talks to a CA starts from the packed text in that file; the text has no HTTP client but Node’s in it', async () => {
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-bundled-'));
  try {
    const sources = resolve(import.meta.dirname, '../../../../src/adapters/certificate-issuer');
    await fs.writeFile(
      join(work, 'main.ts'),
      `import { createAcmeProcesses } from '${sources}/acme/process.ts';
      import { createCommandRunner } from '${sources}/../process/index.ts';
      const request = { certificate: 'app', names: ['a.example.org'], issuer: { kind: 'acme', name: 'none', scope: 'public', rootsFile: null, directoryUrl: 'https://127.0.0.1:9/dir', contact: [], caBundleFile: null, externalAccountBinding: null, profile: null }, challenge: { kind: 'http-01', webroot: '/w' }, keyType: 'ecdsa-p256' };
      await createAcmeProcesses({ directory: process.argv[2], commands: createCommandRunner(), timeoutMs: 5000 }).order(request, null).catch((error) => console.log(JSON.stringify(error.reason)));`,
    );
    const { metafile } = await build({ entryPoints: [join(work, 'main.ts')], plugins: [threadSource], outfile: join(work, 'dist/agent.mjs'), bundle: true, platform: 'node', format: 'esm', logLevel: 'error', metafile: true, banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" } });
    expect(Object.keys(metafile.inputs).filter((path) => /node_modules\/(acme-client|@peculiar|axios|node-forge)\//.test(path))).toEqual([]);
    expect((await fs.stat(join(work, 'dist/agent.mjs'))).size).toBeLessThan(1_000_000);
    const { stdout } = await promisify(execFile)(process.execPath, [join(work, 'dist/agent.mjs'), join(work, 'acme')], { timeout: 50_000 });
    expect(JSON.parse(stdout)).toMatchObject({ class: 'dependency', code: 'ca_away' });
  } finally {
    await fs.rm(work, { recursive: true, force: true });
  }
}, 60_000);
