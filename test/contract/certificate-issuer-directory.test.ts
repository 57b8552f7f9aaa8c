import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDirectoryIssuer } from '../../src/adapters/certificate-issuer/directory/index.ts';
import type { CertificateRequest } from '../../src/domain/certificate/request.ts';
import { createAuthority, type TestAuthority } from '../support/certificate-authority.ts';
import { issuerSuite } from '../support/certificate-issuer-suite.ts';
import { issue, reasonOf } from '../support/issuing.ts';

describe('files that a company CA puts into a directory', () => {
  let authority: TestAuthority;
  let intermediate: TestAuthority;
  let work: string;
  beforeAll(async () => {
    authority = await createAuthority('Company Root');
    intermediate = await authority.intermediate('Company Issuing CA');
  });
  const setUp = async () => {
    work = await fs.mkdtemp(join(tmpdir(), 'fairlead-directory-'));
    await fs.writeFile(join(work, 'roots.pem'), authority.cert);
    await fs.mkdir(join(work, 'from-ca/app'), { recursive: true });
    const request: CertificateRequest = { certificate: 'app', names: ['app.corp.internal'], issuer: { kind: 'directory', name: 'company', scope: 'private', rootsFile: join(work, 'roots.pem'), directory: join(work, 'from-ca') }, challenge: { kind: 'none' }, keyType: 'ecdsa-p256' };
    return {
      issuer: createDirectoryIssuer({ directory: join(work, 'acme') }),
      request,
      directory: join(work, 'acme'),
      deliver: () => deliver({}),
      issued: () => null,
      end: () => fs.rm(work, { recursive: true, force: true }),
    };
  };
  const deliver = async ({ chain = intermediate.cert, names = ['app.corp.internal'] }: { chain?: string; names?: string[] }): Promise<void> => {
    const { key, cert } = await intermediate.issue({ names });
    await fs.writeFile(join(work, 'from-ca/app/key.pem'), key);
    await fs.writeFile(join(work, 'from-ca/app/fullchain.pem'), `${cert}${chain}`);
  };

  issuerSuite(setUp);

  test('nothing there, half of a pair, or the one in use: waited for, and certificate_not_delivered', async () => {
    const { issuer, request, end } = await setUp();
    try {
      expect(await issuer.order(request, null)).toMatchObject({ status: 'processing' });
      await fs.writeFile(join(work, 'from-ca/app/fullchain.pem'), '-----BEGIN CERTIFICATE-----\nMIIB');
      await fs.writeFile(join(work, 'from-ca/app/key.pem'), 'half');
      expect(await issuer.poll(request)).toMatchObject({ status: 'processing' });
      expect(await reasonOf(issuer.download(request))).toMatchObject({ class: 'dependency', code: 'certificate_not_delivered' });
      await deliver({});
      const staged = await issue(issuer, request);
      await issuer.forget(request);
      expect(await issuer.order(request, await fs.readFile(join(work, 'from-ca/app/fullchain.pem'), 'utf8'))).toMatchObject({ status: 'processing' });
      expect(staged.facts.names).toEqual(['app.corp.internal']);
    } finally {
      await end();
    }
  });

  test.each([
    { name: 'without its chain', given: { chain: '' }, code: 'certificate_chain_incomplete' },
    { name: 'for another name', given: { names: ['b.corp.internal'] }, code: 'certificate_names_missing' },
  ])('a pair $name: $code, and nothing is staged', async ({ given, code }) => {
    const { issuer, request, directory, end } = await setUp();
    try {
      await deliver(given);
      await issuer.order(request, null);
      expect(await reasonOf(issuer.download(request))).toMatchObject({ class: 'dependency', code });
      await expect(fs.access(join(directory, 'staged/app/staged.json'))).rejects.toThrow('ENOENT');
    } finally {
      await end();
    }
  });

  test('a key that does not fit its certificate, as while both are being copied: certificate_key_mismatch', async () => {
    const { issuer, request, end } = await setUp();
    try {
      await deliver({});
      await fs.writeFile(join(work, 'from-ca/app/key.pem'), (await intermediate.issue({ names: ['app.corp.internal'] })).key);
      await issuer.order(request, null);
      expect(await reasonOf(issuer.download(request))).toMatchObject({ class: 'dependency', code: 'certificate_key_mismatch' });
    } finally {
      await end();
    }
  });
});
