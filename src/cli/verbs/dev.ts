import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { DevSummary } from '../../runtime/dev/index.ts';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import { renderPairs } from '../table.ts';

export function registerDev(program: Command, context: Context): void {
  program
    .command('dev')
    .description('a whole Fairlead on this machine: PostgreSQL, Temporal, control, API and hosts')
    .option('--hosts <count>', 'how many hosts', '1')
    .option('--controllers <count>', 'how many of them are controllers in the fleet', '0')
    .option('--dir <dir>', 'where everything is kept', '.fairlead/dev')
    .option('--json', 'print one line of JSON when it is ready')
    .action(async (options: { hosts: string; controllers: string; dir: string; json?: boolean }) => {
      const hosts = Number(options.hosts);
      if (!Number.isInteger(hosts) || hosts < 1 || hosts > 50) throw usageError(`--hosts is ${JSON.stringify(options.hosts)}: expected a whole number from 1 to 50`);
      const controllers = Number(options.controllers);
      if (!Number.isInteger(controllers) || controllers < 0 || controllers > hosts) throw usageError(`--controllers is ${JSON.stringify(options.controllers)}: expected a whole number from 0 to the number of hosts`);
      // Loaded only here: everything that `dev` starts would slow down each other command.
      const { startDev } = await import('../../runtime/dev/index.ts');
      const dir = resolve(context.cwd, options.dir);
      const began = Date.now();
      context.note(`starting PostgreSQL, Temporal, control, the API and ${hosts} ${hosts === 1 ? 'host' : 'hosts'} in ${dir} (some 5 s; longer the first time) …`);
      let running;
      try {
        running = await startDev({ dir, hosts, controllers, env: context.env, say: context.note, cancel: context.interrupted });
      } catch (error) {
        if (!context.interrupted.aborted) throw error;
        context.note('ended before it was ready; nothing was left running');
        return;
      }
      if (options.json) context.out(`${JSON.stringify({ ready: true, ...running.summary, pids: running.pids() })}\n`);
      else context.out(renderSummary(running.summary, Date.now() - began, options.dir));
      const { kill } = running;
      const hurry = (): void => void kill();
      if (!context.interrupted.aborted) await new Promise((wake) => context.interrupted.addEventListener('abort', wake, { once: true }));
      context.note('ending everything in order (press Ctrl-C once more to kill it) …');
      process.on('SIGINT', hurry);
      await running.stop();
      process.off('SIGINT', hurry);
      context.note(`ended; start it again to go on where it was: fairlead dev${options.dir === '.fairlead/dev' ? '' : ` --dir ${options.dir}`}`);
    });
}

function renderSummary(summary: DevSummary, tookMs: number, dir: string): string {
  const hosts = summary.hosts.flatMap(({ host, root, products }): [string, string][] => {
    const routers = products.filter(({ routerPort }) => routerPort !== null).map(({ product, routerPort, activeReleaseId }) => `${product} ${activeReleaseId ?? ''} at http://127.0.0.1:${routerPort}`);
    return [[`host ${host}`, routers.length === 0 ? `${root} (nothing installed)` : `${routers.join(', ')} (${root})`]];
  });
  const named = dir === '.fairlead/dev' ? '' : ` --dir ${dir}`;
  const pairs: [string, string][] = [
    ['API', summary.api],
    ['Temporal Web UI', summary.temporalUi ?? 'not known (FAIRLEAD_TEMPORAL_UI_URL)'],
    ...hosts,
    ['admin key', summary.adminKeyFile],
    ['logs', summary.logs],
    ['next', `fairlead nodes list${named}`],
    ['', `fairlead bundle create DIR --release r1 -o r1.tar.gz && fairlead release publish r1.tar.gz${named} && fairlead update apply r1${named}`],
  ];
  return `Fairlead is ready (${(tookMs / 1000).toFixed(1)} s). Ctrl-C ends it.\n\n${renderPairs(pairs, '  ')}\n`;
}
