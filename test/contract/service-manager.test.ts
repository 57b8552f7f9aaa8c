import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findByEnvironment, isAlive, readProcess, signalProcess } from '../../src/adapters/process/proc.ts';
import { createEmbeddedServiceManager } from '../../src/adapters/service-manager/embedded/index.ts';
import { eventually } from '../support/eventually.ts';
import { createHostRoot } from '../support/host-root.ts';
import { createServiceManagerBench, describeServiceManager, instance, product, ref } from '../support/service-manager-suite.ts';

describeServiceManager('embedded', () => ({
  create: (root) => createEmbeddedServiceManager({ root }),
  isAlive: async (pid) => (await readProcess(pid)) !== null,
  kill: async (pid, signal) => void process.kill(pid, signal),
  members: async (root, name) => (await findByEnvironment({ FAIRLEAD_INSTANCE: `${product}/${name}`, FAIRLEAD_ROOT: root })).map(({ pid }) => pid),
  shell: async (script) => (await promisify(execFile)('/bin/sh', ['-c', script], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })).stdout,
  startElsewhere: (root, spec) => spawn(process.execPath, [join(import.meta.dirname, '../bin/start-instance.ts'), JSON.stringify({ root, spec })], { stdio: 'ignore' }),
}));

describe('service manager: embedded, its watcher', () => {
  test('watcher killed: the instance runs on and is still stopped; only the exit status is lost', async () => {
    const host = await createHostRoot();
    try {
      const bench = await createServiceManagerBench(host.root, createEmbeddedServiceManager({ root: host.root }));
      await bench.services.start(bench.spec('r1'));
      const { pid } = await eventually('the instance answers', bench.ask);
      const [watcher] = await findByEnvironment({ FAIRLEAD_WATCHES: `${product}/${instance}`, FAIRLEAD_ROOT: host.root });
      if (watcher === undefined) throw new Error('there is no watcher');
      await signalProcess(watcher, 'SIGKILL');
      await eventually('the watcher is gone', async () => !(await isAlive(watcher)));
      expect(await bench.services.status(ref)).toMatchObject({ status: 'active', pid });
      process.kill(pid, 'SIGKILL');
      await eventually('the end is seen', async () => (await bench.services.status(ref)).status === 'failed');
      expect((await bench.services.status(ref)).lastExit).toBeNull();
    } finally {
      await host.end();
    }
  });
});
