import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConf } from '../../../../src/adapters/service-manager/conf-file.ts';
import { renderInstanceConfig } from '../../../../src/domain/host/instance-config.ts';

// That systemd reads it so as well is shown where there is one: test/contract/service-manager-systemd.test.ts.
import { commonConf } from '../../../support/conf-samples.ts';

test('a conf file is read as sh reads it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-conf-'));
  try {
    const file = join(directory, 'a.conf');
    writeFileSync(file, commonConf);
    const parsed = parseConf(commonConf, file);
    const printed = execFileSync('/bin/sh', ['-c', `set -a; . ${file}; exec env -0`], { env: {}, encoding: 'utf8' });
    const bySh = Object.fromEntries(printed.split('\0').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
    for (const own of ['PWD', 'OLDPWD', '_', 'SHLVL']) delete bySh[own];
    expect(parsed).toEqual(bySh);
    expect(Object.keys(parsed)).toHaveLength(12);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.each([
  ['sh would run a command', 'A=$(id)', 1],
  ['sh would run a command', 'A=1\nB=`id`', 2],
  ['sh would expand it', "A='1\n2'\nB=\"$HOME\"", 3],
  ['sh would expand it', 'A=~/x', 1],
  ['sh would expand it', 'A=/bin:~/bin', 1],
  ['it is no assignment', 'A=1\nnot an assignment', 2],
  ['a quote is not closed', "A='open", 1],
  ['a quote is not closed', 'A=1\nB="open\n', 2],
  ['sh would run the second word', 'A=one two', 1],
  ['sh would run the second command', 'A=1;reboot', 1],
  ['it is no name', '1A=1', 1],
  ['systemd drops the line', 'A=1\nexport B=1', 2],
  ['systemd takes the comment into the value', 'A=1 # why', 1],
  ['systemd takes the comment into the value', "A='1' # why", 1],
  ['systemd keeps the quotes', "A='it'\\''s'", 1],
  ['systemd keeps the quotes', "A=it's' here", 1],
  ['systemd strips an escaped blank', 'A=a\\ ', 1],
  ['systemd goes on with the next line', '# a comment \\\nA=1', 1],
  ['sh goes on with the next line', 'A="a\\\nb"', 1],
  ['older systemd drops the backslash', 'A="a\\nb"', 1],
  ['systemd ends the line there', 'A=1\r\nB=2', 1],
  ['systemd drops what is not UTF-8', 'A=\ufffd', 1],
  ['a control character in quotes', "A='a\u0007'", 1],
])('refused with the line, because %s: %j', (_why, conf, line) => {
  expect(() => parseConf(conf, '/etc/x.conf')).toThrow(expect.objectContaining({ reason: expect.objectContaining({ code: 'conf_file_invalid', message: expect.stringContaining(`/etc/x.conf:${line}:`) }) }));
});

test('the value of a refused line is not in the message', () => {
  expect(() => parseConf('PASSWORD=hunter2;x', 'f')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
});

test('what Fairlead writes itself is never refused', () => {
  const values = { QUOTES: `it's "quoted" \\ $HOME \`id\``, PLAIN: 'a b', LINES: 'a\nb', EMPTY: '', JSON: '{"text":"it\'s"}' };
  expect(parseConf(renderInstanceConfig(values), 'f')).toEqual(values);
});
