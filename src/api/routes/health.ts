import { HealthAnswer, HealthDetailedAnswer, LiveAnswer, ReadyAnswer } from '../../contract/index.ts';
import { findingsOf } from '../../domain/control/health.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { ControlHealth } from '../dependency-health.ts';
import type { EventStreams } from '../event-streams.ts';

const tags = ['health'];

export function healthRoutes(app: Api, { settings, stores, fleetBus, machine }: ApiDependencies, check: () => Promise<ControlHealth>, streams: EventStreams, connections: () => number): void {
  const { version, releaseId } = settings;
  const startedAt = new Date().toISOString();
  const statusOf = ({ dependencies }: ControlHealth): 'ok' | 'degraded' => (dependencies.every(({ healthy }) => healthy) ? 'ok' : 'degraded');

  app.get('/health', { schema: { tags, summary: 'What answers here, and how it is', response: { 200: HealthAnswer } } }, async () => ({ status: statusOf(await check()), version, releaseId }));

  // Asks nobody: a process whose database is away must not be restarted for it.
  app.get('/health/live', { schema: { tags, summary: 'Whether the process answers', response: { 200: LiveAnswer } } }, async () => ({ status: 'ok' as const }));

  app.get('/health/ready', { schema: { tags, summary: 'Whether PostgreSQL and Temporal answer', response: { 200: ReadyAnswer, 503: ReadyAnswer } } }, async (_request, reply) => {
    const health = await check();
    const ready = statusOf(health) === 'ok';
    return reply.code(ready ? 200 : 503).send({ ready, releaseId, dependencies: health.dependencies.map(({ name, healthy }) => ({ name, healthy })) });
  });

  app.get(
    '/health/detailed',
    { schema: { tags, summary: 'Everything that a person wants to know first', response: { 200: HealthDetailedAnswer } } },
    async () => {
      const health = await check();
      const [schedules, memory, disk] = await Promise.all([machine.schedules(), machine.memory(), machine.disk()]);
      const standing = { listening: app.server.listening, hearsOthers: fleetBus.isListening() };
      const findings = findingsOf({ ...health, schedules, fleet: standing, memory, disk }, new Date().toISOString());
      const hosts = await stores.hosts.list().then(
        (rows) => Object.fromEntries(Object.entries(Object.groupBy(rows, ({ status }) => status)).map(([status, group]) => [status, group?.length ?? 0])),
        () => null,
      );
      return {
        status: statusOf(health),
        version,
        releaseId,
        startedAt,
        uptimeSeconds: Math.round(process.uptime()),
        node: process.version,
        residentBytes: process.memoryUsage.rss(),
        openStreams: streams.open,
        findings: [...findings],
        schedules: schedules === null ? null : [...schedules],
        fleet: { ...standing, connections: connections() },
        memory,
        disk,
        dependencies: [...health.dependencies],
        controlWorkers: health.controlWorkers,
        hosts,
      };
    },
  );
}
