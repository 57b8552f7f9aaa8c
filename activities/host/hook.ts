import { FairleadError, type FailureClass } from '../../src/domain/failure.ts';
import { hostLayout, type HostLayout } from '../../src/domain/host/layout.ts';
import type { Hook, ProductManifest } from '../../src/domain/product/manifest.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { HostDependencies } from './dependencies.ts';
import { fillPlaceholders } from './instance-spec.ts';

interface HookCall {
  readonly name: 'preflight' | 'backup' | 'migrate' | 'restore';
  readonly hook: Hook;
  /** The release whose bundle the hook comes from. */
  readonly manifest: ProductManifest;
  readonly env: Readonly<Record<string, string>>;
  /** Whose fault a failure is. */
  readonly blame: FailureClass;
}

/**
 * Runs a command of the bundle in the release's directory. A hook is told of its surroundings by `FAIRLEAD_*` variables, has to be
 * idempotent (a killed one is run again), and fails by its exit status; what it printed becomes evidence.
 */
export async function runHook(
  { root, commands, releases, now }: Pick<HostDependencies, 'root' | 'commands' | 'releases' | 'now'>,
  { name, hook, manifest, env, blame }: HookCall,
  context: ActivityContext,
): Promise<string> {
  const layout = hostLayout(root, manifest.product);
  const releaseDir = releases.directory(manifest.product, manifest.releaseId);
  const argv = hook.command.map((word) => fillPlaceholders(word, releaseDir, layout));
  const result = await commands.run(argv, {
    cwd: releaseDir,
    extendEnv: false,
    env: {
      PATH: hookPath(),
      ...hookEnvironment(manifest, releaseDir, layout),
      ...env,
    },
    // A hook outlives the agent that was killed under it; the attempt after it must not run beside it.
    only: { FAIRLEAD_HOOK: `${manifest.product}/${name}`, FAIRLEAD_ROOT: root },
    timeoutMs: hook.timeoutSeconds * 1000,
    cancel: context.cancel,
    maxOutputBytes: 16_384,
  });
  context.cancel.throwIfAborted();
  if (result.exitCode === 0) return lastLine(result.stdout);
  const output = `${result.stdout}${result.stderr}`.trim();
  throw new FairleadError(
    {
      class: blame,
      code: `${name}_hook_failed`,
      message: `The ${name} hook of release ${manifest.releaseId} failed: ${result.summary}${output ? `; it printed: ${lastLine(output)}` : ''}`,
      hint: result.timedOut
        ? `It was ended at its limit of ${hook.timeoutSeconds} s (hooks.${name}.timeoutSeconds in fairlead.yaml).`
        : `Run it by hand on the host, in ${releaseDir}: ${argv.join(' ')}`,
    },
    {
      evidence: [
        {
          kind: 'command',
          at: now().toISOString(),
          command: argv.join(' '),
          exit: result.timedOut ? `ended after ${hook.timeoutSeconds} s` : (result.signal ?? `exit ${result.exitCode}`),
          output: output.slice(-4000),
        },
      ],
    },
  );
}

/** Where a hook's program is looked for: where the agent looks. */
export const hookPath = (): string => process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What every hook is told of its surroundings. */
export function hookEnvironment(manifest: ProductManifest, releaseDir: string, layout: HostLayout): Record<string, string> {
  return {
    FAIRLEAD_PRODUCT: manifest.product,
    FAIRLEAD_RELEASE_ID: manifest.releaseId,
    FAIRLEAD_RELEASE_DIR: releaseDir,
    FAIRLEAD_STATE_DIR: layout.stateRoot,
    FAIRLEAD_CONFIG_DIR: layout.configDir,
    FAIRLEAD_SCHEMA_GENERATION: String(manifest.data.schemaGeneration),
  };
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.slice(0, 400) ?? '';
