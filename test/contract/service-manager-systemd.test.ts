import { execFile, spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseConf } from '../../src/adapters/service-manager/conf-file.ts';
import { noteName } from '../../src/adapters/service-manager/systemd/units.ts';
import { createSystemdServiceManager } from '../../src/adapters/service-manager/systemd/index.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import { commonConf } from '../support/conf-samples.ts';
import { createHostRoot, eventually } from '../support/host-root.ts';
import { describeWith } from '../support/requirement.ts';
import { createServiceManagerBench, describeServiceManager, product, ref, type ManagedMachine, type ServiceManagerBench } from '../support/service-manager-suite.ts';
import { startSystemdMachine, systemdRequirements, type SystemdMachine } from '../support/systemd-machine.ts';

/** Processes on the machine whose environment names the host and the instance. The shell that notes a start is systemd's, not the instance's. */
const membersScript = `
for file in $(grep -lzxF -e "FAIRLEAD_ROOT=$1" /proc/[0-9]*/environ 2>/dev/null); do
  pid=\${file#/proc/}; pid=\${pid%/environ}
  grep -qzxF -e "FAIRLEAD_INSTANCE=$2" "$file" 2>/dev/null || continue
  grep -qzxF -e ${noteName} "/proc/$pid/cmdline" 2>/dev/null && continue
  echo "$pid"
done`;

function managed(machine: SystemdMachine): ManagedMachine {
  return {
    directory: machine.directory,
    create: (root) => createSystemdServiceManager({ root, unitDir: machine.unitDir, commands: machine.commands }),
    isAlive: async (pid) => (await machine.run('sh', '-c', `grep -q '^State:.[^ZX]' /proc/${pid}/status 2>/dev/null && echo yes || true`)) === 'yes\n',
    kill: async (pid, signal) => void (await machine.run('sh', '-c', `kill -s ${signal.slice(3)} ${pid}`)),
    members: async (root, name: InstanceName) => (await machine.run('sh', '-c', membersScript, 'sh', root, `${product}/${name}`)).split('\n').filter(Boolean).map(Number),
    async shell(script) {
      const [file = '', ...rest] = machine.wrap(['/bin/sh', '-c', script], { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
      return (await promisify(execFile)(file, rest, { env: machine.docker.env })).stdout;
    },
    startElsewhere: (root, spec) =>
      spawn(process.execPath, [join(import.meta.dirname, '../bin/start-systemd-instance.ts'), JSON.stringify({ root, spec, unitDir: machine.unitDir, wrap: machine.wrap([]) })], { env: machine.docker.env, stdio: 'ignore' }),
  };
}

describeWith(systemdRequirements, 'with systemd as the first process', () => {
  let machine: SystemdMachine;
  beforeAll(async () => {
    machine = await startSystemdMachine();
  }, 300_000);
  afterEach(() => machine.clear(), 60_000);
  afterAll(() => machine?.end(), 60_000);

  describeServiceManager('systemd', () => managed(machine));
});
