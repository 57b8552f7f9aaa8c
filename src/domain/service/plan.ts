import type { Reason } from '../failure.ts';
import { withExtras } from '../host/instances.ts';
import type { ExtraInstance, HostState } from '../host/state.ts';
import type { InstanceName, ReleaseId, RunId, ServiceName } from '../ids.ts';
import { colourOf, instancesOf, isReservedShort, type InstanceDeclaration, type Phase, type ProductManifest } from '../product/manifest.ts';
import type { ServiceInspection, ServiceManifest } from './inspection.ts';
import { shortNamePattern, type AddInstanceRequest, type ReloadRequest, type RemoveInstanceRequest, type RestartRequest, type ServiceRequest } from './request.ts';
import type { ServiceStep } from './step.ts';

/** What a run about a service will do on a host, decided before it does anything. */
export interface ServicePlan {
  readonly action: ServiceRequest['action'];
  readonly service: ServiceName;
  readonly phase: Phase;
  /** The active release: it is the same before and after. */
  readonly releaseId: ReleaseId;
  readonly instancesBefore: readonly InstanceName[];
  readonly instancesAfter: readonly InstanceName[];
  readonly steps: readonly ServiceStep[];
  /** What the operator should know beforehand, for example that a service has one instance and will be away. */
  readonly warnings: readonly string[];
}

export type ServiceDecision =
  | { readonly kind: 'act'; readonly plan: ServicePlan }
  | { readonly kind: 'unchanged'; readonly releaseId: ReleaseId; readonly note: string }
  | { readonly kind: 'refuse'; readonly reason: Reason };

interface Ground {
  readonly state: HostState;
  readonly manifest: ServiceManifest;
  readonly service: ServiceManifest['services'][number];
  readonly processes: ServiceInspection['processes'];
  readonly place: string;
  /** `--host h1 --product shop`, for hints. */
  readonly words: string;
}

const act = (plan: ServicePlan): ServiceDecision => ({ kind: 'act', plan });
const refuse = (reason: Reason): ServiceDecision => ({ kind: 'refuse', reason });

/**
 * Decides what a request about a service will do. Pure: the same inspection and request give the same plan.
 *
 * Refuses, with nothing touched: class `request` where the request is at fault (nothing installed, a name that is unknown or taken, no reload signal),
 * class `host` where the host is (stranded, between two releases, the only other instance is down).
 */
export function planService(inspection: ServiceInspection, request: ServiceRequest): ServiceDecision {
  const { state, manifest, intent, processes } = inspection;
  const place = `${request.host}/${request.product}`;
  const words = `--host ${request.host} --product ${request.product}`;
  if (intent?.stranded) {
    return refuse({
      class: 'host',
      code: 'host_stranded',
      message: `${place} is stranded since run ${intent.runId}: ${intent.stranded.message}`,
      hint: `On the host, run: fairlead recover --product ${request.product} --run ${intent.runId}`,
    });
  }
  if (state === null || state.activeReleaseId === null || manifest === null) {
    return refuse({ class: 'request', code: 'nothing_installed', message: `${place} has no active release, so it has no services.`, hint: `Install one first: fairlead update apply ${words}` });
  }
  if (intent !== null && intent.fromReleaseId !== intent.toReleaseId) {
    return refuse({
      class: 'host',
      code: 'host_between_releases',
      message: `Run ${intent.runId} left ${place} between ${intent.fromReleaseId ?? 'nothing'} and ${intent.toReleaseId}: which of them its services should run is not decided.`,
      hint: `Apply the release that is wanted: fairlead update apply RELEASE ${words}`,
    });
  }
  const service = manifest.services.find(({ name }) => name === request.service);
  if (service === undefined) {
    return refuse({
      class: 'request',
      code: 'unknown_service',
      message: `Release ${manifest.releaseId} of ${request.product} has no service "${request.service}".`,
      hint: `Its services: ${manifest.services.map(({ name }) => name).join(', ')}.`,
    });
  }
  const ground: Ground = { state, manifest, service, processes, place, words };
  switch (request.action) {
    case 'restart':
      return planRestart(ground, request);
    case 'reload':
      return planReload(ground, request);
    case 'add-instance':
      return planAdd(ground, request);
    case 'remove-instance':
      return planRemove(ground, request);
  }
}

/**
 * One instance at a time, and each once: drained, restarted, proven, let back in. Dead ones come first, since they cannot be missed and their twins then
 * have somebody beside them.
 */
function planRestart(ground: Ground, request: RestartRequest | ReloadRequest): ServiceDecision {
  const targets = targetsOf(ground, request.instances);
  if ('code' in targets) return refuse(targets);
  const { processes } = ground;
  const ordered = [...targets.filter((name) => isDead(processes, name)), ...targets.filter((name) => !isDead(processes, name))];
  const alone = aloneIn(ground, ordered);
  if (alone !== null) return refuse(alone);
  const steps = ordered.flatMap((instance): ServiceStep[] => [
    { name: 'drain', instance },
    { name: 'restart', instance },
    { name: 'prove', instance },
    { name: 'admit', instance },
  ]);
  const warnings = instancesRunning(ground).length === 1 ? [`Service ${ground.service.name} has one instance on ${ground.place}: its requests fail while it restarts.`] : [];
  return act(planOf(ground, request, [{ name: 'open-intent' }, { name: 'arm-recovery' }, ...steps], namesOf(ground), warnings));
}

function planReload(ground: Ground, request: ReloadRequest): ServiceDecision {
  const { service, processes, words } = ground;
  if (service.reloadSignal === null) {
    if (request.orRestart) return planRestart(ground, request);
    return refuse({
      class: 'request',
      code: 'reload_undeclared',
      message: `Service ${service.name} declares no reload signal in release ${ground.manifest.releaseId}: it cannot take up its configuration without a restart.`,
      hint: `Restart it: fairlead service restart ${service.name} ${words}. Or declare services.${service.name}.reloadSignal in fairlead.yaml.`,
    });
  }
  const targets = targetsOf(ground, request.instances);
  if ('code' in targets) return refuse(targets);
  const dead = targets.filter((name) => isDead(processes, name));
  if (dead.length > 0 && !request.orRestart) {
    return refuse({
      class: 'host',
      code: 'instance_not_running',
      message: `${dead.join(', ')} ${dead.length === 1 ? 'does' : 'do'} not run on ${ground.place}: there is no process that could reload.`,
      hint: `Restart the service: fairlead service restart ${service.name} ${words}`,
    });
  }
  const steps = targets.flatMap((instance): ServiceStep[] =>
    dead.includes(instance)
      ? [
          { name: 'drain', instance },
          { name: 'restart', instance },
          { name: 'prove', instance },
          { name: 'admit', instance },
        ]
      : [
          { name: 'reload', instance },
          { name: 'prove', instance },
        ],
  );
  return act(planOf(ground, request, [{ name: 'open-intent' }, { name: 'arm-recovery' }, ...steps], namesOf(ground), []));
}

function planAdd(ground: Ground, request: AddInstanceRequest): ServiceDecision {
  const { service, state, words } = ground;
  const { short } = request;
  if (!shortNamePattern.test(short) || isReservedShort(short)) {
    return refuse({
      class: 'request',
      code: 'instance_name_invalid',
      message: `"${short}" is no name for an instance: it must be 1 to 31 of a-z, 0-9, dash and underscore, start and end with a letter or digit, and not end with -green.`,
      hint: `Without the service's name: fairlead service add-instance ${service.name} c ${words}`,
    });
  }
  const known = (state.extras ?? []).find((extra) => extra.service === service.name && extra.short === short && extra.phase === state.phase);
  const name = nameOf(ground, short);
  const entry = state.instances[name];
  if (known?.settled && entry) {
    const serves = entry.admitted && !isDead(ground.processes, name);
    if (serves && (request.port === undefined || request.port === entry.port)) return { kind: 'unchanged', releaseId: ground.manifest.releaseId, note: `${name} is there already` };
    return refuse({
      class: 'request',
      code: 'instance_exists',
      message: `${name} is there already, on port ${entry.port}${serves ? '' : ', and does not serve'}.`,
      hint: serves
        ? `To move it, remove it first: fairlead service remove-instance ${service.name} ${short} ${words}`
        : `Start it again: fairlead service restart ${service.name} --instance ${name} ${words}`,
    });
  }
  if (known === undefined && declaredShorts(ground).includes(short)) {
    return refuse({
      class: 'request',
      code: 'instance_declared',
      message: `Release ${ground.manifest.releaseId} declares ${service.name}-${short} itself.`,
      hint: `Choose another name, or restart it: fairlead service restart ${service.name} --instance ${service.name}-${short} ${words}`,
    });
  }
  const taken = takenBy(ground, request.port, name);
  if (taken !== null) {
    return refuse({ class: 'request', code: 'port_taken', message: `Port ${request.port} belongs to ${taken} on ${ground.place}.`, hint: 'Leave --port out to have a free one chosen.' });
  }
  const port = request.port ?? known?.port ?? highestPort(ground) + 1;
  const of = { instance: name, service: service.name, short };
  const steps: ServiceStep[] = [
    { name: 'open-intent' },
    { name: 'add', ...of, port, portFixed: request.port !== undefined },
    { name: 'arm-recovery' },
    { name: 'restart', instance: name },
    { name: 'prove', instance: name },
    { name: 'admit', instance: name },
    { name: 'verify-health' },
    { name: 'settle', ...of },
    { name: 'close-intent' },
  ];
  return act({ ...planOf(ground, request, [], [...new Set([...namesOf(ground), name])], []), steps });
}

function planRemove(ground: Ground, request: RemoveInstanceRequest): ServiceDecision {
  const { service, state, manifest } = ground;
  const { short } = request;
  const extra = (state.extras ?? []).find((each) => each.service === service.name && each.short === short);
  const name = nameOf(ground, short);
  if (extra === undefined) {
    if (declaredShorts(ground).includes(short)) {
      return refuse({
        class: 'request',
        code: 'instance_declared',
        message: `${service.name}-${short} is declared by release ${manifest.releaseId}: the next update would bring it back.`,
        hint: `Take it out of services.${service.name}.instances in fairlead.yaml, and apply that release.`,
      });
    }
    return refuse(unknownInstance(ground, `${service.name}-${short}`, (state.extras ?? []).filter((each) => each.service === service.name).map((each) => `${each.service}-${each.short}`), 'Added instances'));
  }
  const runs = state.instances[name] !== undefined;
  const alone = runs ? aloneIn(ground, [name]) : null;
  if (alone !== null) return refuse(alone);
  const steps: ServiceStep[] = [
    { name: 'open-intent' },
    { name: 'arm-recovery' },
    ...(runs ? ([{ name: 'drain', instance: name }, { name: 'retire', instance: name }] as const) : []),
    { name: 'verify-health' },
    { name: 'forget', instance: name, service: service.name, short },
    { name: 'close-intent' },
  ];
  return act({ ...planOf(ground, request, [], namesOf(ground).filter((each) => each !== name), []), steps });
}

function planOf({ state, manifest, service }: Ground, { action }: ServiceRequest, steps: readonly ServiceStep[], after: readonly InstanceName[], warnings: readonly string[]): ServicePlan {
  return {
    action,
    service: service.name,
    phase: state.phase,
    releaseId: manifest.releaseId,
    instancesBefore: Object.keys(state.instances) as InstanceName[],
    instancesAfter: after,
    steps: [...steps, { name: 'verify-health' }, { name: 'close-intent' }],
    warnings,
  };
}

const namesOf = ({ state }: Ground): InstanceName[] => Object.keys(state.instances) as InstanceName[];

const instancesRunning = (ground: Ground): InstanceName[] => namesOf(ground).filter((name) => ground.state.instances[name]?.service === ground.service.name).sort();

const isDead = (processes: ServiceInspection['processes'], name: InstanceName): boolean => processes[name]?.status === 'inactive' || processes[name]?.status === 'failed';

function targetsOf(ground: Ground, named: readonly InstanceName[] | undefined): InstanceName[] | Reason {
  const all = instancesRunning(ground);
  const unknown = (named ?? []).find((name) => !all.includes(name));
  if (unknown !== undefined) return unknownInstance(ground, unknown, all, `Instances of ${ground.service.name}`);
  if (all.length === 0) {
    return {
      class: 'request',
      code: 'no_instances',
      message: `Service ${ground.service.name} has no instances on ${ground.place} in phase ${ground.state.phase}.`,
      hint: `See what there is: fairlead service status ${ground.words}`,
    };
  }
  return named === undefined ? all : all.filter((name) => named.includes(name));
}

const unknownInstance = ({ service, place, words }: Ground, name: string, known: readonly string[], heading: string): Reason => ({
  class: 'request',
  code: 'unknown_instance',
  message: `Service ${service.name} on ${place} has no instance "${name}"${heading.startsWith('Added') ? ' that was added there' : ''}.`,
  hint: known.length === 0 ? `See what there is: fairlead service status ${words}` : `${heading}: ${known.join(', ')}.`,
});

/**
 * The rule that a twin has to serve, as the host's activities hold it, asked beforehand: an instance that serves is taken away only while another
 * one of its service serves too, which may be one that the plan restarts before it.
 */
function aloneIn(ground: Ground, ordered: readonly InstanceName[]): Reason | null {
  const { state, processes, words, service } = ground;
  const all = instancesRunning(ground);
  if (all.length < 2) return null;
  for (const [index, name] of ordered.entries()) {
    if (isDead(processes, name)) continue;
    const others = all.filter((other) => other !== name);
    // Where the manager has not been asked, the run finds out.
    const serves = (other: InstanceName) => state.instances[other]?.admitted === true && (processes[other] === undefined || processes[other].status === 'active');
    if (others.some((other) => serves(other) || ordered.slice(0, index).includes(other))) continue;
    return {
      class: 'host',
      code: 'twin_down',
      message: `${name} is the only instance of its service that serves: ${others.join(', ')} is down or out of the router.`,
      hint: `Restart the whole service, which starts the others first: fairlead service restart ${service.name} ${words}`,
    };
  }
  return null;
}

/** The short names that the release itself declares. Extras stand behind them in what the host tells. */
function declaredShorts({ service, state }: Ground): string[] {
  const extras = (state.extras ?? []).filter((extra) => extra.service === service.name).map(({ short }) => short);
  return [...new Set([...service.instances.setup, ...service.instances.installed])].filter((short) => !extras.includes(short));
}

/** The instance's whole name in the colour that serves here. */
function nameOf({ manifest, service, state }: Ground, short: string): InstanceName {
  const extra: ExtraInstance = { service: service.name, short, port: 0, phase: state.phase, addedBy: '' as RunId, settled: true };
  const extended = withExtras(manifest as ProductManifest, [extra]);
  const colour = Object.keys(state.instances).some((name) => colourOf(name) === 'green') ? 'green' : 'blue';
  const wanted = colour === 'green' ? `${short}-green` : short;
  return (instancesOf(extended, state.phase, colour).find((each) => each.service.name === service.name && each.short === wanted) as InstanceDeclaration).name;
}

function takenBy({ state, manifest }: Ground, port: number | undefined, name: InstanceName): string | null {
  if (port === undefined) return null;
  if (state.router?.port === port) return 'the router';
  const holder = Object.entries(state.instances).find(([other, entry]) => other !== name && entry.port === port)?.[0];
  const declared = manifest.services.flatMap((service) => Object.entries(service.ports).map(([short, number]) => [`${service.name}-${short}`, number] as const)).find(([other, number]) => number === port && other !== name)?.[0];
  return holder ?? declared ?? null;
}

const highestPort = ({ service, state }: Ground): number =>
  Math.max(0, ...Object.values(service.ports), ...Object.values(state.instances).filter((entry) => entry.service === service.name).map(({ port }) => port));
