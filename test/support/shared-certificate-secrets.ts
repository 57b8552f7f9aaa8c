import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { agentLayout } from '../../src/domain/host/layout.ts';
import { promotedHost, sharingHosts, type SharedCertificateBed } from './shared-certificate-bed.ts';

/** Every private key that lies on a host now: of certificates, of orders, of the account, and for sealing. */
export async function keysOf({ stack, rootOf }: SharedCertificateBed, host: string): Promise<string[]> {
  const { acmeDir } = stack.layout(host);
  const files = (await fs.readdir(acmeDir, { recursive: true }).catch(() => [])).filter((name) => name.endsWith('key.pem'));
  return Promise.all([...files.map((name) => join(acmeDir, name)), agentLayout(rootOf(host)).sealingKeyFile].map((file) => fs.readFile(file, 'utf8')));
}

export interface SearchedPlaces {
  /** Where no key may stand, and what stands there: histories of runs about certificates, tables, and every file but those of `home`. */
  readonly texts: readonly (readonly [string, string])[];
  /** What stands in the files that are meant for keys. */
  readonly home: string;
}

export async function placesOf(bed: SharedCertificateBed): Promise<SearchedPlaces> {
  const { stack, rootOf } = bed;
  const texts: [string, string][] = [];
  await bed.withTemporal(async ({ workflow }) => {
    for await (const { workflowId, runId, type } of workflow.list()) {
      if (!type.startsWith('cert')) continue;
      const json = historyToJSON(await workflow.getHandle(workflowId, runId).fetchHistory());
      texts.push([`history of ${workflowId}`, json + [...json.matchAll(/"data": ?"([A-Za-z0-9+/=]+)"/g)].map((match) => Buffer.from(match[1] as string, 'base64').toString()).join('\n')]);
    }
  });
  texts.push(...(await tablesOf(bed)));
  const own = [...sharingHosts, promotedHost].flatMap((host) => [stack.layout(host).acmeDir, agentLayout(rootOf(host)).sealingKeyFile]);
  const files = await filesBelow(stack.dir);
  for (const file of files) if (!own.some((place) => file.startsWith(place))) texts.push([file, await fs.readFile(file, 'latin1').catch(() => '')]);
  const atHome = files.filter((file) => own.some((place) => file.startsWith(place)));
  return { texts, home: (await Promise.all(atHome.map((file) => fs.readFile(file, 'latin1')))).join('\n') };
}

const filesBelow = async (directory: string): Promise<string[]> =>
  (await fs.readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));

/** Every row of every table, as text. */
const tablesOf = (bed: SharedCertificateBed): Promise<[string, string][]> =>
  bed.withDatabase(async (client) => {
    const tables = (await client.query<{ name: string }>("select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')")).rows;
    const found: [string, string][] = [];
    for (const { name } of tables) found.push([`table ${name.replace('public.', '')}`, (await client.query<{ row: string }>(`select t::text as row from ${name} t`)).rows.map(({ row }) => row).join('\n')]);
    return found;
  });
