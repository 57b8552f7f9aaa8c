import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertbotIssuer } from '../../src/adapters/certificate-issuer/certbot/index.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import type { CertificateRequest } from '../../src/domain/certificate/request.ts';
import { issuerSuite } from '../support/certificate-issuer-suite.ts';
import { createIssuingBed, issue, reasonOf } from '../support/issuing.ts';
import { pebbleIsThere, startPebble, type TestPebble } from '../support/pebble.ts';
import { describeWith, givenMachine, program } from '../support/requirement.ts';

const commands = createCommandRunner();

describeWith([givenMachine, program('certbot'), pebbleIsThere], "the host's certbot", () => {
  let pebble: TestPebble;
  beforeAll(async () => {
    pebble = await startPebble();
  }, 120_000);
  afterAll(() => pebble?.stop());
  const setUp = async () => {
    const bed = await createIssuingBed(pebble);
    const work = join(bed.webroot, '..');
    const { issuer: _acme, ...request } = await bed.request();
    return {
      issuer: createCertbotIssuer({ directory: bed.directory, commands }),
      request: { ...request, issuer: { kind: 'certbot', name: 'certbot', scope: 'public', rootsFile: join(work, 'roots.pem'), configDir: join(work, 'letsencrypt'), workDir: join(work, 'work'), logsDir: join(work, 'logs'), directoryUrl: pebble.directoryUrl, caBundleFile: pebble.caBundleFile, email: null } } as CertificateRequest,
      directory: bed.directory,
      deliver: async () => undefined,
      issued: () => null,
      work,
      end: () => bed.end(),
    };
  };
  issuerSuite(setUp);

  test('a hook of its own that fails is a failure here, although certbot succeeds; the certificate is not issued a second time for it', async () => {
    const { request, directory, work, end } = await setUp();
    try {
      await fs.mkdir(join(work, 'xdg/letsencrypt'), { recursive: true });
      await fs.writeFile(join(work, 'xdg/letsencrypt/cli.ini'), 'deploy-hook = /bin/false\n');
      const issuer = createCertbotIssuer({ directory, commands: { run: (argv, options) => commands.run(argv, { ...options, env: { ...options.env, XDG_CONFIG_HOME: join(work, 'xdg') } }) } });
      await issuer.order(request, null);
      expect(await reasonOf(issuer.finalize(request))).toMatchObject({ class: 'host', code: 'certbot_hook_failed' });
      const live = await fs.readFile(join(work, 'letsencrypt/live/app/cert.pem'), 'utf8');
      const staged = await issue(issuer, request);
      expect(await fs.readFile(join(staged.directory, 'cert.pem'), 'utf8')).toBe(live);
    } finally {
      await end();
    }
  }, 120_000);

  test('the CA is away: ca_away; validation fails: validation_failed', async () => {
    const { issuer, request, end } = await setUp();
    try {
      await issuer.order(request, null);
      const away = { ...request, issuer: { ...request.issuer, directoryUrl: 'https://127.0.0.1:9/dir' } as CertificateRequest['issuer'] };
      await issuer.order(away, null);
      expect(await reasonOf(issuer.finalize(away))).toMatchObject({ class: 'dependency', code: 'ca_away' });
      const elsewhere = { ...request, challenge: { kind: 'http-01' as const, webroot: await fs.mkdtemp(join(tmpdir(), 'fairlead-webroot-')) } };
      await issuer.order(elsewhere, null);
      expect(await reasonOf(issuer.finalize(elsewhere))).toMatchObject({ class: 'dependency', code: 'validation_failed' });
      await fs.rm(elsewhere.challenge.webroot, { recursive: true });
    } finally {
      await end();
    }
  }, 120_000);
});
