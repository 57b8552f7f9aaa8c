import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { HostLayout } from '../../src/domain/host/layout.ts';

/** Who answers at an address, by `releaseId` and `instance` of the answers: so many requests, one after the other. */
export async function whoAnswers(address: string, requests = 20): Promise<{ answered: number; releases: string[]; instances: string[]; shown: string }> {
  const releases = new Set<string>();
  const instances = new Set<string>();
  let answered = 0;
  for (let at = 0; at < requests; at += 1) {
    const response = await fetch(`${address}/api/health/detailed`, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
    if (response === null || !response.ok) continue;
    const { releaseId, instance } = (await response.json()) as { releaseId: string; instance: string };
    answered += 1;
    releases.add(releaseId);
    instances.add(instance);
  }
  const [seen, by] = [[...releases].sort(), [...instances].sort()];
  return { answered, releases: seen, instances: by, shown: `${answered} of ${requests} requests were answered, by ${by.join(' and ') || 'nobody'} on ${seen.join(' and ') || 'nothing'}` };
}

/** How often each API instance was started on a release, from the product's own log of its starts. */
export async function startsOf(layout: HostLayout, releaseId: string): Promise<Record<string, number>> {
  const text = await fs.readFile(join(layout.stateRoot, 'data/boots.log'), 'utf8');
  const starts: Record<string, number> = {};
  for (const line of text.trim().split('\n')) {
    const boot = JSON.parse(line) as { instance: string; releaseId: string };
    if (boot.releaseId === releaseId) starts[boot.instance] = (starts[boot.instance] ?? 0) + 1;
  }
  return starts;
}

/**
 * One digest over everything that serves on a host: releases, `current`, configuration, data; names, modes, links and contents. Fairlead's own
 * folder is left out, which is where it keeps the books of its runs.
 */
export async function digestOfHost(layout: HostLayout): Promise<{ digest: string; entries: number }> {
  const hash = createHash('sha256');
  let entries = 0;
  for (const top of [layout.productDir, layout.configDir, layout.stateRoot]) {
    const found = await fs.readdir(top, { recursive: true, withFileTypes: true });
    for (const path of found.map((entry) => join(entry.parentPath, entry.name)).sort()) {
      if (path === layout.fairleadDir || path.startsWith(`${layout.fairleadDir}/`)) continue;
      const stat = await fs.lstat(path);
      const what = stat.isSymbolicLink() ? await fs.readlink(path) : stat.isFile() ? await fs.readFile(path) : '';
      hash.update(`${path}\0${stat.mode}\0`).update(what).update('\0');
      entries += 1;
    }
  }
  return { digest: hash.digest('hex').slice(0, 16), entries };
}
