import { hostLayout } from '../../../domain/host/layout.ts';
import type { ProductName } from '../../../domain/ids.ts';
import { textOf, type RouterConfig } from './config.ts';
import { quoteForShell } from '../../../domain/shell-word.ts';

export function routerFiles(root: string, product: ProductName) {
  const directory = `${hostLayout(root, product).routerDir}/embedded`;
  return { directory, config: `${directory}/config.json`, adminSocket: `${directory}/admin.sock`, log: `${directory}/router.log`, webroot: `${directory}/webroot` };
}

/** What the router process is started with, and what a scan of `/proc` finds it by. */
export function routerIdentity(root: string, product: ProductName): Record<string, string> {
  return { FAIRLEAD_ROUTER: product, FAIRLEAD_ROOT: root };
}

/** Lines that write the configuration and have the router read it (SIGHUP), or start it where none runs. They need `setsid`, `tr`, `grep` and `/proc`. */
export function recoveryLines(root: string, product: ProductName, config: RouterConfig, entry: readonly string[]): string[] {
  const files = routerFiles(root, product);
  const q = quoteForShell;
  const [first, second] = Object.entries(routerIdentity(root, product)).map(([name, value]) => `${name}=${value}`);
  const found = (pair: string) => `tr '\\000' '\\n' 2>/dev/null <"$fairlead_dir/environ" | grep -Fqx -e ${q(pair)}`;
  return [
    `# The router: port ${config.listen.port}, to ${config.members.filter((member) => member.admitted).map((member) => member.instance).join(', ') || 'nobody'}.`,
    `mkdir -p ${q(files.directory)}`,
    `printf '%s' ${q(textOf(config))} >${q(`${files.config}.recovery`)} && mv -f ${q(`${files.config}.recovery`)} ${q(files.config)}`,
    "fairlead_router=''",
    'for fairlead_dir in /proc/[0-9]*; do',
    `  if ${found(first ?? '')} && ${found(second ?? '')}; then fairlead_router=\${fairlead_dir#/proc/}; fi`,
    'done 2>/dev/null || true',
    'if [ -z "$fairlead_router" ] || ! kill -s HUP "$fairlead_router" 2>/dev/null; then',
    `  ( cd ${q(files.directory)} && exec setsid env -i "PATH=$PATH" ${[first, second].map((pair) => q(pair ?? '')).join(' ')} ${[...entry, files.directory].map(q).join(' ')} </dev/null >>${q(files.log)} 2>&1 ) &`,
    'fi',
  ];
}
