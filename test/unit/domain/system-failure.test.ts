import * as fs from 'node:fs/promises';
import { FairleadError } from '../../../src/domain/failure.ts';
import { asFairleadError } from '../../../src/domain/system-failure.ts';

const systemError = (code: string, path?: string): Error => Object.assign(new Error(`${code}: the kernel's words`), { code, ...(path === undefined ? {} : { path }) });

test.each([
  ['ENOSPC', 'disk_full', false, /df -h/],
  ['EDQUOT', 'disk_full', false, /quota/],
  ['EROFS', 'disk_read_only', false, /dmesg/],
  ['EACCES', 'permission_denied', false, /write access/],
  ['EPERM', 'permission_denied', false, /lsattr/],
  ['EMFILE', 'too_many_open_files', true, /LimitNOFILE/],
  ['ENFILE', 'too_many_open_files', true, /fs\.file-max/],
  ['EIO', 'disk_error', false, /smartctl/],
])("%s is the host's fault, never the release's: %s", (errno, code, retryable, hint) => {
  const cause = systemError(errno, '/opt/shop/releases');
  const error = asFairleadError(cause, 'extractBundle');
  expect(error.reason).toMatchObject({ class: 'host', code, hint: expect.stringMatching(hint) });
  expect(error.reason.message).toMatch(/^extractBundle: .*\(\/opt\/shop\/releases\).*the kernel's words$/);
  expect([error.retryable, error.cause]).toEqual([retryable, cause]);
});

test('an error of the system as it really comes has its path in the message', async () => {
  const thrown: unknown = await fs.writeFile('/proc/version', 'x').catch((error: unknown) => error);
  expect(asFairleadError(thrown, 'writeState').reason).toMatchObject({ class: 'host', code: expect.stringMatching(/^(permission_denied|disk_error)$/) });
});

test('what says itself what it is stays as it is', () => {
  const error = new FairleadError({ class: 'release', code: 'probe_failed', message: 'no' });
  expect(asFairleadError(error, 'proveInstance')).toBe(error);
});

test.each([
  ['an error of ours', new TypeError('x is undefined', { cause: new Error('deeper') }), 'inspectHost: x is undefined: deeper'],
  ['a code that nobody foresaw', systemError('EWHATEVER'), "inspectHost: EWHATEVER: the kernel's words"],
  ['no error at all', 'just text', 'inspectHost: just text'],
  ['nothing', null, 'inspectHost: '],
])('%s is a defect of Fairlead: tried again, and never held against the release', (_how, thrown, message) => {
  const error = asFairleadError(thrown, 'inspectHost');
  expect(error.reason).toMatchObject({ class: 'orchestrator', code: 'unexpected_error', message, hint: expect.stringContaining('defect of Fairlead') });
  expect(error.retryable).toBe(true);
});
