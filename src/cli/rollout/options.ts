import { readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { parse } from 'yaml';
import type { RolloutBody, RolloutPlanBody } from '../../contract/index.ts';
import { busyPolicies, failurePolicies } from '../../domain/rollout/request.ts';
import { strategies } from '../../domain/update/request.ts';
import { usageError } from '../errors.ts';
import { numberFrom, type CommonOptions } from '../verbs/shared.ts';

export interface RolloutOptions extends CommonOptions {
  readonly product?: string;
  readonly hosts?: readonly string[];
  readonly waves?: Waves;
  readonly maxParallel?: number;
  readonly bakeSeconds?: number;
  readonly budgetCount?: number;
  readonly budgetPercent?: number;
  readonly onFailure?: string;
  readonly decisionSeconds?: number;
  readonly offline?: Offline;
  readonly gates?: string;
  readonly verifySeconds?: number;
  readonly nodesFirst?: boolean;
  readonly whenBusy?: string;
  readonly allowFailed?: boolean;
  readonly reason?: string;
  readonly hostStrategy?: string;
  readonly hostBakeSeconds?: number;
}
type Strategy = NonNullable<RolloutPlanBody['strategy']>;
type Waves = NonNullable<Strategy['waves']>;
type Offline = NonNullable<Strategy['offline']>;

/** What a rollout can be told. */
export const rolloutOptions = (command: Command): Command =>
  command
    .option('--product <product>', 'which product')
    .option('--hosts <hosts>', 'only these, separated by commas (default: every host that has the product)', (text: string) => text.split(',').map((host) => host.trim()))
    .option('--waves <waves>', 'tiers:1,10,50,100, or count:20, or percent:10', wavesFrom)
    .option('--max-parallel <hosts>', 'hosts of the whole fleet that are changed at the same time', numberFrom(1, '--max-parallel'))
    .option('--bake-seconds <seconds>', 'how long a wave is watched before the next one', numberFrom(0, '--bake-seconds'))
    .option('--budget-count <hosts>', 'how many hosts may fail', numberFrom(0, '--budget-count'))
    .option('--budget-percent <percent>', 'which share of the hosts may fail', numberFrom(0, '--budget-percent'))
    .addOption(new Option('--on-failure <policy>', 'what becomes of hosts that are updated already').choices(failurePolicies))
    .option('--decision-seconds <seconds>', 'how long a failed rollout waits for somebody who retries or aborts', numberFrom(0, '--decision-seconds'))
    .option('--offline <policy>', 'hosts that cannot be reached: skip, fail, or wait:SECONDS:skip|fail', offlineFrom)
    .option('--gates <file>', 'YAML or JSON: a list of gates, as the API takes them')
    .option('--verify-seconds <seconds>', 'how long control may take to see an updated host come back', numberFrom(1, '--verify-seconds'))
    .option('--nodes-first', 'nodes need not wait for controllers')
    .addOption(new Option('--when-busy <policy>', 'where another rollout of the product is open').choices(busyPolicies))
    .option('--allow-failed', 'also hosts on which a run condemned the release')
    .option('--reason <text>', 'why; goes into the audit, and --allow-failed needs it')
    .addOption(new Option('--host-strategy <strategy>', 'how each host goes to the release').choices(strategies))
    .option('--host-bake-seconds <seconds>', 'on each host: how long an instance has to stay healthy before the next one is touched', numberFrom(0, '--host-bake-seconds'));

/** The body of a request from what was typed; what was not typed is left to the API's defaults. */
export function bodyFrom(options: RolloutOptions, product: string, releaseId: string): RolloutBody {
  const { waves, maxParallel, bakeSeconds, onFailure, decisionSeconds, offline, verifySeconds, budgetCount, budgetPercent } = options;
  const budget = budgetCount === undefined && budgetPercent === undefined ? undefined : { count: budgetCount ?? null, percent: budgetPercent ?? null };
  const gates = options.gates === undefined ? undefined : gatesFrom(options.gates);
  const strategy = given({ waves, maxParallel, bakeSeconds, budget, onFailure, decisionSeconds, offline, gates, verifySeconds, controllerFirst: options.nodesFirst ? false : undefined });
  const onHost = given({ strategy: options.hostStrategy, bakeSeconds: options.hostBakeSeconds });
  return given({ product, releaseId, hosts: options.hosts, strategy: nonEmpty(strategy), onHost: nonEmpty(onHost), whenBusy: options.whenBusy, allowFailed: options.allowFailed }) as unknown as RolloutBody;
}

const given = (values: Readonly<Record<string, unknown>>): Record<string, unknown> => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
const nonEmpty = (values: Record<string, unknown>): Record<string, unknown> | undefined => (Object.keys(values).length === 0 ? undefined : values);

function wavesFrom(text: string): Waves {
  const [by, value = ''] = text.split(':');
  const numbers = value.split(',').map(Number);
  const [first] = numbers;
  if (by === 'tiers' && numbers.every((percent) => percent > 0 && percent <= 100)) return { by: 'tiers', percents: numbers };
  if (by === 'count' && numbers.length === 1 && Number.isInteger(first) && (first as number) > 0) return { by: 'count', hosts: first as number };
  if (by === 'percent' && numbers.length === 1 && (first as number) > 0 && (first as number) <= 100) return { by: 'percent', percent: first as number };
  throw usageError(`--waves is ${JSON.stringify(text)}: expected tiers:1,10,50,100, or count:20, or percent:10`);
}

function offlineFrom(text: string): Offline {
  if (text === 'skip' || text === 'fail') return { policy: text };
  const match = /^wait:(\d{1,8}):(skip|fail)$/.exec(text);
  if (match) return { policy: 'wait', waitSeconds: Number(match[1]), then: match[2] as 'skip' | 'fail' };
  throw usageError(`--offline is ${JSON.stringify(text)}: expected skip, fail, or wait:SECONDS:skip, for example wait:600:fail`);
}

function gatesFrom(file: string): Strategy['gates'] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`--gates ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const gates: unknown = parse(text);
  if (!Array.isArray(gates)) throw usageError(`--gates ${file} is no list of gates`);
  return gates as Strategy['gates'];
}
