import { z } from 'zod';
import { namePattern, releaseIdPattern } from '../../domain/ids.ts';
import { roleSections } from './roles.ts';

/**
 * The shape of `fairlead.yaml` as people write it: maps keyed by name, short forms, everything optional that has a sensible default.
 * Each leaf says in one phrase what it must be; the path is put in front and the value behind by whoever reports it.
 */
const must = (phrase: string) => ({ error: (issue: { input?: unknown }) => (issue.input === undefined ? `is missing; it must be ${phrase}` : `must be ${phrase}`) });

const text = z.string(must('a text')).min(1, 'must not be empty');
const name = z.string(must('a name')).regex(namePattern, 'must be lower-case letters, digits, dots, dashes or underscores, at most 63, beginning and ending with a letter or digit');
const release = z
  .string(must('a release id in quotes'))
  .regex(releaseIdPattern, 'must be letters, digits and . _ + -, at most 128, beginning and ending with a letter or digit');
const whole = (lowest: number, highest: number) => {
  const phrase = `a whole number from ${lowest} to ${highest}`;
  return z.number(must(phrase)).int(must(phrase)).min(lowest, must(phrase)).max(highest, must(phrase));
};
const seconds = (highest: number) => {
  const phrase = `seconds, from 0 to ${highest}`;
  return z.number(must(phrase)).min(0, must(phrase)).max(highest, must(phrase));
};
const port = whole(1, 65_535);
/** YAML makes numbers and booleans of bare words; on a command line and in an environment they are texts again. */
const scalar = z
  .union([z.string(), z.number(), z.boolean()], must('a text, a number or a boolean'))
  .transform(String)
  .refine((value) => !value.includes('\0'), 'must not hold a NUL byte');
const list = <Item extends z.ZodType>(item: Item, phrase: string) => z.array(item, must(phrase));
const map = <Value extends z.ZodType>(value: Value, phrase: string) => z.record(z.string(), value, must(phrase));
const shape = <Fields extends z.ZodRawShape>(fields: Fields, phrase = 'a map') => z.strictObject(fields, must(phrase));

const command = list(scalar, 'a list of words').min(1, 'must name a command');
const hook = shape({ command, timeoutSeconds: seconds(86_400).positive('must be more than 0 seconds').default(300) });
const phase = z.enum(['setup', 'installed'], must('setup or installed'));
const role = z.enum(['controller', 'node'], must('controller or node'));
const environmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and underscores, and not begin with a digit');

export const probeShape = shape({
  service: text.optional(),
  router: z.literal(true, must('true, or left out')).optional(),
  path: z.string(must('a path')).regex(/^\/[\x21-\x7e]*$/, 'must be a path that begins with / and holds no spaces').default('/'),
  status: whole(100, 599).default(200),
  releaseIdField: text.optional(),
  body: text.optional(),
  timeoutSeconds: seconds(300).positive('must be more than 0 seconds').default(5),
});

export const serviceShape = shape({
  command,
  instances: shape({ setup: list(name, 'a list of names').default([]), installed: list(name, 'a list of names').default([]) }),
  ports: map(port, 'a map from instance to port'),
  env: z.record(environmentName, scalar, must('a map from variable to value')).default({}),
  stop: shape({
    signal: z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT'], must('SIGTERM, SIGINT or SIGQUIT')).default('SIGTERM'),
    seconds: seconds(3600).default(10),
  }).prefault({}),
  drainSeconds: seconds(3600).default(30),
  startSeconds: seconds(3600).positive('must be more than 0 seconds').default(60),
  reloadSignal: z.enum(['SIGHUP', 'SIGUSR1', 'SIGUSR2'], must('SIGHUP, SIGUSR1 or SIGUSR2')).optional(),
  order: whole(0, 1_000_000).optional(),
  probes: shape({ live: text.optional(), ready: text, detailed: text.optional() }),
});

export const routerShape = shape({
  listen: port,
  routes: map(text, 'a map from path to service').refine((routes) => Object.keys(routes).length > 0, 'must have a route'),
  nginx: shape({
    include: text.optional(),
    upstreams: map(z.string(must('a name')).regex(/^[A-Za-z0-9_.-]+$/, 'must be letters, digits, dots, dashes or underscores'), 'a map from service to upstream').default({}),
  }).prefault({}),
});

const bundlePath = z.string(must('a path')).regex(/^(?!\/)(?!(.*\/)?\.\.?(\/|$))[^\0]+$/, 'must be a relative path in the directory, without "." and ".."');
/** `roles` of a source: which artifacts are made from it. What a role's own sections hold is checked as a part of that role's manifest. */
export const rolesShape = z.partialRecord(
  role,
  shape({
    profile: name.default('default'),
    files: list(bundlePath, 'a list of files and directories').min(1, 'must name a file, or be left out').optional(),
    ...(Object.fromEntries(roleSections.map((section) => [section, z.unknown().optional()])) as Record<(typeof roleSections)[number], z.ZodOptional<z.ZodUnknown>>),
  }),
  must('a map from controller or node to what that role says'),
);

export const manifestShape = shape({
  schema: z.literal(1, must('1, the schema that this Fairlead reads')),
  product: name,
  releaseId: release,
  platformVersion: scalar.optional(),
  artifact: shape({ role, profile: name.default('default') }).optional(),
  initialPhase: phase.optional(),
  services: map(serviceShape, 'a map from service to its declaration').refine((services) => Object.keys(services).length > 0, 'must declare a service'),
  probes: map(probeShape, 'a map from probe to its declaration'),
  health: shape({ setup: list(text, 'a list of probes').optional(), installed: list(text, 'a list of probes').optional() }).prefault({}),
  router: routerShape.optional(),
  hooks: shape({ preflight: hook.optional(), backup: hook.optional(), migrate: hook.optional(), restore: hook.optional() }).prefault({}),
  backup: shape({ paths: list(text, 'a list of paths').default([]) }).prefault({}),
  data: shape({
    schemaGeneration: whole(0, 1_000_000_000).default(1),
    readsFrom: whole(0, 1_000_000_000).optional(),
    onRollback: z.enum(['keep', 'restore', 'stop'], must('keep, restore or stop')).optional(),
  }).prefault({}),
  updateFrom: shape({ releases: list(release, 'a list of release ids').min(1, 'must name a release, or be left out') }).optional(),
  setup: shape({ service: text, path: z.string(must('a path')).regex(/^\/[\x21-\x7e]*$/, 'must be a path that begins with / and holds no spaces'), timeoutSeconds: seconds(300).positive('must be more than 0 seconds').default(5) }).optional(),
  canary: shape({
    tiers: list(whole(1, 99), 'a list of percentages from 1 to 99').default([1, 10, 50]),
    holdSeconds: seconds(86_400).default(60),
    minRequests: whole(0, 1_000_000_000).default(20),
    dataWaitSeconds: seconds(86_400).default(1_800),
    maxErrorRate: z.number(must('a share from 0 to 1')).min(0, must('a share from 0 to 1')).max(1, must('a share from 0 to 1')).default(0.01),
    maxLatencyRatio: z.number(must('a number above 1')).min(1, must('a number above 1')).nullable().default(2),
    metric: shape({ url: z.url(must('the address of a Prometheus server')), query: text, max: z.number(must('a number')) }).optional(),
  }).prefault({}),
  blueGreen: shape({ keepWarmSeconds: seconds(86_400).default(30) }).prefault({}),
  certificates: shape({
    names: list(text, 'a list of host names').default([]),
    listen: z.union([port, list(port, 'a list of ports').min(1, 'must have a port')], must('a port or a list of ports')).default(443),
    redirect: z.boolean(must('true or false')).default(true),
    hsts: shape({
      maxAgeSeconds: whole(0, 10 * 365 * 86_400).default(365 * 86_400),
      includeSubDomains: z.boolean(must('true or false')).default(false),
      preload: z.boolean(must('true or false')).default(false),
    }).optional(),
  }).optional(),
  retention: shape({ releases: whole(1, 1000).default(3), backups: whole(1, 1000).default(3) }).prefault({}),
  bakeSeconds: seconds(86_400).default(10),
});

export type WrittenManifest = z.output<typeof manifestShape>;
export type WrittenService = WrittenManifest['services'][string];
export type WrittenProbe = WrittenManifest['probes'][string];
