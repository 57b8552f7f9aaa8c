import { existsSync, readdirSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { release as kernelRelease } from 'node:os';
import { basename, join } from 'node:path';
import { createCommandRunner } from '../../adapters/process/index.ts';
import type { RunDetail, RunList } from '../../contract/index.ts';
import { messagesOf, type Evidence } from '../../domain/failure.ts';
import { loadSettings, shownValue } from '../../runtime/config.ts';
import { ownReleaseId } from '../../runtime/home.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { readIfThere } from '../verbs/serve.ts';

/** Files of a support bundle: each is got by itself, so that what is away takes nothing else with it. */
export type Sections = ReadonlyMap<string, () => Promise<string>>;

const recentRuns = 20;
const logLines = 2_000;
const logTailBytes = 512 * 1024;
const patience = { timeoutMs: 15_000 };
const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** What needs no API. @param doctor what `fairlead doctor` finds @param logDirectories where `*.log` files lie */
export function ownSections(context: Context, version: string, doctor: () => Promise<readonly object[]>, logDirectories: readonly string[]): Sections {
  const sections = new Map<string, () => Promise<string>>([
    ['versions.json', async () => json({ fairlead: version, releaseId: ownReleaseId(), node: process.version, platform: `${process.platform}-${process.arch}`, kernel: kernelRelease(), at: new Date().toISOString() })],
    ['config.json', async () => json(shownConfig(context.env))],
    ['doctor.json', async () => json(await doctor())],
  ]);
  for (const directory of logDirectories) {
    if (!existsSync(directory)) sections.set(`logs/${basename(directory)}.txt`, () => Promise.reject(new Error(`there is no directory ${directory}`)));
    else for (const name of readdirSync(directory).filter((each) => each.endsWith('.log'))) sections.set(`logs/${name}`, () => tailOf(join(directory, name)));
  }
  if (existsSync('/run/systemd/system')) sections.set('logs/journal.txt', journal);
  return sections;
}

/** What the API tells, and the latest runs with their reports. */
export async function apiSections(api: ApiClient): Promise<Sections> {
  const get = (path: string) => async (): Promise<string> => json(await api.get<unknown>(path, patience));
  const list = api.get<RunList>(`/api/runs?limit=${recentRuns}`, patience);
  const runs = await list.then(({ runs: found }) => found, () => []);
  const sections = new Map<string, () => Promise<string>>([
    ['health.json', get('/health/detailed')],
    ['metrics.txt', async () => (await api.open('/metrics', patience)).text()],
    ['hosts.json', get('/api/hosts')],
    ['releases.json', get('/api/releases?limit=50')],
    ['rollouts.json', get('/api/rollouts?limit=20')],
    ['certificates.json', get('/api/certificates')],
    ['settings.json', get('/api/settings')],
    ['audit.json', get('/api/audit?limit=200')],
    ['runs.json', async () => json(await list)],
  ]);
  const details = new Map(runs.map(({ runId }) => [runId, api.get<RunDetail>(`/api/runs/${encodeURIComponent(runId)}`, patience)]));
  for (const detail of details.values()) detail.catch(() => undefined); // Its section tells of it.
  for (const [runId, detail] of details) sections.set(`runs/${runId}.json`, async () => json(await detail));
  sections.set('evidence.json', async () => json((await Promise.all(details.values())).flatMap(({ report }) => (report?.evidence ?? []).map((fact) => ({ runId: report?.runId, outcome: report?.outcome, at: fact.at, kind: fact.kind, of: subjectOf(fact as Evidence) })))));
  return sections;
}

/** Gets every section. @returns the texts, and why others could not be got */
export async function collect(sections: Sections): Promise<{ texts: Map<string, string>; missing: { file: string; why: string }[] }> {
  const texts = new Map<string, string>();
  const missing: { file: string; why: string }[] = [];
  for (const [file, get] of sections) {
    try {
      texts.set(file, await get());
    } catch (error) {
      missing.push({ file, why: messagesOf(error).join(': ') });
    }
  }
  return { texts, missing };
}

function subjectOf(fact: Evidence): string {
  if (fact.kind === 'probe') return `${fact.probe} on ${fact.target}`;
  if (fact.kind === 'command') return fact.command;
  return fact.kind === 'log' ? `${fact.instance}: ${fact.path}` : fact.instance;
}

/** As `config show`, or what is wrong with it. */
function shownConfig(env: Context['env']): object {
  const loaded = loadSettings(env, [], readIfThere);
  if (!loaded.ok) return { problems: loaded.problems };
  const { role, profile, configFile, values } = loaded.settings;
  return { role, profile, configFile, settings: values.map((value) => ({ setting: value.key, value: shownValue(value), source: value.source })) };
}

async function tailOf(path: string): Promise<string> {
  const handle = await fs.open(path, 'r');
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, logTailBytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    const lines = buffer.subarray(0, bytesRead).toString('utf8').split('\n');
    // The first one is cut where the file is longer.
    return (length < size ? lines.slice(1) : lines).slice(-logLines - 1).join('\n');
  } finally {
    await handle.close();
  }
}

async function journal(): Promise<string> {
  const { exitCode, stdout, summary } = await createCommandRunner().run(['journalctl', '--no-pager', '--output=short-iso', '--unit=fairlead*', `--lines=${logLines}`], { timeoutMs: 20_000, maxOutputBytes: logTailBytes });
  if (exitCode !== 0) throw new Error(summary);
  return stdout;
}
