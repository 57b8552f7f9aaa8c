import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { GatewayFigures } from '../../ports/gateway-figures.ts';
import type { ControlHealth } from '../dependency-health.ts';
import type { EventStreams } from '../event-streams.ts';
import { renderSamples } from '../metrics.ts';
import type { RequestMetrics, Sample } from '../metrics.ts';
import { textBody } from '../stream-schema.ts';

export function metricRoutes(app: Api, { settings, stores, gateway, machine }: ApiDependencies, requests: RequestMetrics, check: () => Promise<ControlHealth>, streams: EventStreams, connections: () => number): void {
  app.get('/metrics', { schema: { tags: ['health'], summary: 'Metrics for Prometheus', response: { 200: textBody('Prometheus text format') } } }, async (request, reply) => {
    const health = await check();
    const samples: Sample[] = [
      gauge('fairlead_build_info', 'Version and release of this process.', [{ labels: { version: settings.version, release: settings.releaseId ?? '' }, value: 1 }]),
      gauge('fairlead_dependency_up', 'Whether a dependency answers.', health.dependencies.map(({ name, healthy }) => ({ labels: { name }, value: healthy ? 1 : 0 }))),
      ...(health.controlWorkers === null ? [] : [gauge('fairlead_control_workers', 'Processes that move runs on.', [{ labels: {}, value: health.controlWorkers }])]),
      ...(await stored().catch((error: unknown) => (request.log.warn({ err: error }, 'metrics without what the database knows'), []))),
      gauge('fairlead_fleet_connections', 'Hosts that are connected to this process.', [{ labels: {}, value: connections() }]),
      ...(await scheduled()),
      gauge('fairlead_event_streams', 'Open event streams of this process.', [{ labels: {}, value: streams.open }]),
      ...(gateway ? gatewaySamples(gateway()) : []),
      gauge('process_resident_memory_bytes', 'Resident memory.', [{ labels: {}, value: process.memoryUsage.rss() }]),
      gauge('process_start_time_seconds', 'Start of the process since the epoch.', [{ labels: {}, value: Math.round(Date.now() / 1000 - process.uptime()) }]),
      ...requests.samples(),
    ];
    return reply.type('text/plain; version=0.0.4; charset=utf-8').serializer(String).send(renderSamples(samples));
  });

  /** Left out while Temporal is away, as below. */
  async function scheduled(): Promise<Sample[]> {
    const schedules = await machine.schedules();
    if (schedules === null) return [];
    const started = schedules.flatMap(({ id, lastStartedAt }) => (lastStartedAt === null ? [] : [{ labels: { schedule: id }, value: Date.parse(lastStartedAt) / 1000 }]));
    return [
      gauge('fairlead_schedule_paused', 'Whether somebody paused a schedule.', schedules.map(({ id, state }) => ({ labels: { schedule: id }, value: state === 'paused' ? 1 : 0 }))),
      gauge('fairlead_schedule_last_start_seconds', 'When a schedule started something last, since the epoch.', started),
    ];
  }

  /** Left out while the database is away: a missing series says so, a zero would lie. */
  async function stored(): Promise<Sample[]> {
    const [outcomes, hosts, certificates, webhooks] = await Promise.all([stores.statistics.runsByOutcome(), stores.hosts.list(), stores.certificates.list(), stores.webhooks.list()]);
    const deliveries = (state: 'waiting' | 'givenUp'): number => webhooks.reduce((sum, webhook) => sum + webhook[state], 0);
    const statuses = { pending: 0, connected: 0, disconnected: 0, error: 0, maintenance: 0 };
    for (const { status } of hosts) statuses[status] += 1;
    return [
      gauge('fairlead_runs', 'Runs by outcome; `running` have not ended.', Object.entries(outcomes).map(([outcome, value]) => ({ labels: { outcome }, value }))),
      gauge('fairlead_hosts', 'Hosts by status.', Object.entries(statuses).map(([status, value]) => ({ labels: { status }, value }))),
      gauge('fairlead_certificate_not_after_seconds', 'When the certificate that a host serves ends, since the epoch.', certificates.flatMap(({ host, product, facts }) => (facts === null ? [] : [{ labels: { host, product, name: facts.names[0] ?? '' }, value: Date.parse(facts.notAfter) / 1000 }]))),
      gauge('fairlead_certificate_failed_tries', 'How many tries to renew it have failed in a row.', certificates.map(({ host, product, failures }) => ({ labels: { host, product }, value: failures }))),
      gauge('fairlead_webhook_deliveries', 'Messages to webhooks that wait still, and those of the last seven days that were given up.', [{ labels: { state: 'waiting' }, value: deliveries('waiting') }, { labels: { state: 'given_up' }, value: deliveries('givenUp') }]),
      gauge('fairlead_webhooks_disabled', 'Webhooks that answered that they want nothing more.', [{ labels: {}, value: webhooks.filter(({ disabled }) => disabled !== null).length }]),
    ];
  }
}

const gatewaySamples = ({ openPolls, passed, refused }: GatewayFigures): Sample[] => [
  gauge('fairlead_gateway_open_polls', 'Hosts that wait for work through this process.', [{ labels: {}, value: openPolls }]),
  { name: 'fairlead_gateway_calls_total', type: 'counter', help: 'Calls of hosts that were let through.', values: passed.map(({ method, count }) => ({ labels: { method }, value: count })) },
  { name: 'fairlead_gateway_refusals_total', type: 'counter', help: 'Calls that were refused.', values: refused.map(({ method, code, count }) => ({ labels: { method, code }, value: count })) },
];

const gauge = (name: string, help: string, values: Sample['values']): Sample => ({ name, type: 'gauge', help, values });
