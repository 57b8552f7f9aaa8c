import { hostNameProblem } from '../../domain/certificate/host-name.ts';
import { namePattern } from '../../domain/ids.ts';
import { isReservedShort } from '../../domain/product/manifest.ts';
import type { Path } from './position.ts';
import { didYouMean } from './suggest.ts';

/** A problem before it is placed in the text. */
export interface Finding {
  readonly path: Path;
  readonly at?: 'key';
  readonly message: string;
  readonly hint?: string;
}

const phases = ['setup', 'installed'] as const;

type Written = Readonly<Record<string, unknown>>;
const mapAt = (value: unknown, key: string): Written => asMap(asMap(value)[key]);
const asMap = (value: unknown): Written => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Written) : {});
const namesAt = (value: unknown, key: string): string[] => {
  const list = asMap(value)[key];
  return Array.isArray(list) ? list.map(String) : [];
};
const textAt = (value: unknown, key: string): string | undefined => {
  const text = asMap(value)[key];
  return typeof text === 'string' ? text : undefined;
};

/**
 * What no single field shows: that names refer to something that exists, that ports differ, that a promise can be kept. Works on the
 * document as it was written and skips what has the wrong shape, so that these problems are told together with those of the shape.
 */
export function checkReferences(document: unknown): Finding[] {
  return [
    ...checkNames(document),
    ...checkInstances(document),
    ...checkPorts(document),
    ...checkProbes(document),
    ...checkServiceProbes(document),
    ...checkHealth(document),
    ...checkRouter(document),
    ...checkData(document),
    ...checkPaths(document),
    ...checkSetup(document),
    ...checkCanary(document),
    ...checkCertificates(document),
  ];
}

function checkNames(document: unknown): Finding[] {
  return ['services', 'probes'].flatMap((section) =>
    Object.keys(mapAt(document, section))
      .filter((name) => !namePattern.test(name))
      .map((name): Finding => ({
        path: [section, name],
        at: 'key',
        message: `${section}.${name}: the name must be lower-case letters, digits, dots, dashes or underscores, at most 63.`,
      })),
  );
}

function checkInstances(document: unknown): Finding[] {
  const findings: Finding[] = [];
  const owners = new Map<string, string>();
  for (const [name, service] of Object.entries(mapAt(document, 'services'))) {
    const ports = mapAt(service, 'ports');
    const known = new Set<string>();
    for (const phase of phases) {
      const seen = new Set<string>();
      for (const [index, short] of namesAt(asMap(service)['instances'], phase).entries()) {
        const path = ['services', name, 'instances', phase, index];
        if (seen.has(short)) findings.push({ path, message: `services.${name}.instances.${phase} names ${short} twice.` });
        seen.add(short);
        if (isReservedShort(short)) findings.push({ path, message: `Instance ${short} of service ${name}: names that end in -green are kept for the second colour of a blue-green or canary update.` });
        if (!known.has(short) && !(short in ports)) {
          findings.push({ path, message: `Instance ${short} of service ${name} has no port.`, hint: `Add it to services.${name}.ports.` });
        }
        known.add(short);
        const owner = owners.get(`${name}-${short}`);
        if (owner !== undefined && owner !== name) {
          findings.push({ path, message: `Instance ${name}-${short} is declared by services ${owner} and ${name}.`, hint: 'The full name becomes a unit and a file: rename one.' });
        }
        owners.set(`${name}-${short}`, name);
      }
    }
    if (known.size === 0 && Object.keys(asMap(service)).includes('instances')) {
      findings.push({ path: ['services', name, 'instances'], message: `Service ${name} has no instance in any phase.` });
    }
    for (const short of Object.keys(ports)) {
      if (!known.has(short) && !(isReservedShort(short) && known.has(short.slice(0, -'-green'.length)))) {
        findings.push({ path: ['services', name, 'ports', short], at: 'key', message: `services.${name}.ports.${short} is the port of no instance.`, hint: didYouMean(short, [...known]) });
      }
    }
  }
  return findings;
}

function checkPorts(document: unknown): Finding[] {
  const findings: Finding[] = [];
  const taken = new Map<number, string>();
  const take = (port: unknown, path: Path): void => {
    if (typeof port !== 'number') return;
    const holder = taken.get(port);
    if (holder === undefined) taken.set(port, path.join('.'));
    else findings.push({ path, message: `${path.join('.')} is port ${port}, which ${holder} has already.`, hint: 'Every instance and the router need a port of their own.' });
  };
  for (const [name, service] of Object.entries(mapAt(document, 'services'))) {
    for (const [short, port] of Object.entries(mapAt(service, 'ports'))) take(port, ['services', name, 'ports', short]);
  }
  take(mapAt(document, 'router')['listen'], ['router', 'listen']);
  const tls = mapAt(document, 'certificates')['listen'];
  if (Array.isArray(tls)) tls.forEach((port, index) => take(port, ['certificates', 'listen', index]));
  else take(tls, ['certificates', 'listen']);
  return findings;
}

function checkProbes(document: unknown): Finding[] {
  const services = Object.keys(mapAt(document, 'services'));
  return Object.entries(mapAt(document, 'probes')).flatMap(([name, probe]): Finding[] => {
    const service = textAt(probe, 'service');
    const router = 'router' in asMap(probe);
    const path = ['probes', name];
    if (service === undefined && !router && !('service' in asMap(probe))) {
      return [{ path, at: 'key', message: `probes.${name} does not say what it asks.`, hint: 'Add `service: NAME` or `router: true`.' }];
    }
    if (service !== undefined && router) return [{ path, at: 'key', message: `probes.${name} names a service and the router; it asks one of them.` }];
    if (service !== undefined && !services.includes(service)) {
      return [{ path: [...path, 'service'], message: `probes.${name}.service is ${service}, which is no service.`, hint: didYouMean(service, services) }];
    }
    if (router && !('router' in asMap(document))) {
      return [{ path: [...path, 'router'], message: `probes.${name} asks through the router, and none is declared.`, hint: 'Add `router:`, or let the probe ask a service.' }];
    }
    return [];
  });
}

function checkServiceProbes(document: unknown): Finding[] {
  const probes = mapAt(document, 'probes');
  return Object.entries(mapAt(document, 'services')).flatMap(([name, service]) =>
    ['live', 'ready', 'detailed'].flatMap((kind): Finding[] => {
      const probe = textAt(asMap(service)['probes'], kind);
      if (probe === undefined) return [];
      const path = ['services', name, 'probes', kind];
      if (!(probe in probes)) return [{ path, message: `${path.join('.')} is ${probe}, which is no probe.`, hint: didYouMean(probe, Object.keys(probes)) }];
      if (textAt(probes[probe], 'service') === name) return [];
      return [{ path, message: `${path.join('.')} is ${probe}, which does not ask ${name}.`, hint: `A service's own probes ask its instances: declare one with \`service: ${name}\`.` }];
    }),
  );
}

function checkHealth(document: unknown): Finding[] {
  const probes = mapAt(document, 'probes');
  const services = mapAt(document, 'services');
  return phases.flatMap((phase) =>
    namesAt(asMap(document)['health'], phase).flatMap((probe, index): Finding[] => {
      const path = ['health', phase, index];
      if (!(probe in probes)) return [{ path, message: `health.${phase} names ${probe}, which is no probe.`, hint: didYouMean(probe, Object.keys(probes)) }];
      const service = textAt(probes[probe], 'service');
      if (service === undefined || !(service in services) || namesAt(mapAt(services, service)['instances'], phase).length > 0) return [];
      return [{ path, message: `health.${phase} names ${probe}, but service ${service} has no instance in phase ${phase}.` }];
    }),
  );
}

function checkRouter(document: unknown): Finding[] {
  const router = mapAt(document, 'router');
  const services = Object.keys(mapAt(document, 'services'));
  const routed = Object.values(mapAt(router, 'routes')).map(String);
  const findings = Object.entries(mapAt(router, 'routes')).flatMap(([path, service]): Finding[] => {
    const at = ['router', 'routes', path];
    if (!/^\/[\x21-\x7e]*$/.test(path)) return [{ path: at, at: 'key', message: `router.routes: ${JSON.stringify(path)} must be a path that begins with / and holds no spaces.` }];
    if (typeof service === 'string' && !services.includes(service)) {
      return [{ path: at, message: `router.routes: ${path} goes to ${service}, which is no service.`, hint: didYouMean(service, services) }];
    }
    return [];
  });
  for (const service of Object.keys(mapAt(mapAt(router, 'nginx'), 'upstreams'))) {
    if (!routed.includes(service)) {
      findings.push({ path: ['router', 'nginx', 'upstreams', service], at: 'key', message: `router.nginx.upstreams.${service} names no routed service.`, hint: didYouMean(service, routed) });
    }
  }
  const include = textAt(mapAt(router, 'nginx'), 'include');
  if (include !== undefined && leavesTheRelease(include)) {
    findings.push({ path: ['router', 'nginx', 'include'], message: `router.nginx.include is ${include}; it must be a relative path in the bundle.` });
  }
  return findings;
}

function checkData(document: unknown): Finding[] {
  const findings: Finding[] = [];
  const data = mapAt(document, 'data');
  const hooks = mapAt(document, 'hooks');
  const generation = data['schemaGeneration'] ?? 1;
  if (typeof data['readsFrom'] === 'number' && typeof generation === 'number' && data['readsFrom'] > generation) {
    findings.push({ path: ['data', 'readsFrom'], message: `data.readsFrom is ${data['readsFrom']}, which is newer than data.schemaGeneration (${generation}).` });
  }
  // Guessing here would lose rows or strand a host: the product's author has to say it.
  if ('migrate' in hooks && !('onRollback' in data)) {
    findings.push({
      path: ['hooks', 'migrate'],
      at: 'key',
      message: 'A manifest with hooks.migrate must say data.onRollback.',
      hint: 'keep: the old release reads the new rows; restore: the backup is put back; stop: a person decides.',
    });
  }
  if (data['onRollback'] === 'restore') {
    const nothingKept = namesAt(asMap(document)['backup'], 'paths').length === 0 && !('backup' in hooks);
    if (nothingKept) findings.push({ path: ['data', 'onRollback'], message: 'data.onRollback is restore, but nothing is backed up.', hint: 'Add backup.paths, or hooks.backup with hooks.restore.' });
    if ('backup' in hooks && !('restore' in hooks)) {
      findings.push({ path: ['hooks', 'backup'], at: 'key', message: 'hooks.backup has no hooks.restore that puts its backup back.' });
    }
  }
  return findings;
}

function checkSetup(document: unknown): Finding[] {
  const service = textAt(mapAt(document, 'setup'), 'service');
  const services = Object.keys(mapAt(document, 'services'));
  if (service === undefined) return [];
  if (!services.includes(service)) return [{ path: ['setup', 'service'], message: `setup.service is ${service}, which is no service.`, hint: didYouMean(service, services) }];
  const inSetup = namesAt(asMap(mapAt(document, 'services')[service])['instances'], 'setup');
  return inSetup.length > 0 ? [] : [{ path: ['setup', 'service'], message: `setup.service is ${service}, which has no instance in the phase setup.` }];
}

function checkCanary(document: unknown): Finding[] {
  const tiers = mapAt(document, 'canary')['tiers'];
  if (!Array.isArray(tiers)) return [];
  const rising = tiers.every((tier, at) => at === 0 || Number(tier) > Number(tiers[at - 1]));
  return rising ? [] : [{ path: ['canary', 'tiers'], message: `canary.tiers must rise: ${tiers.join(', ')}.`, hint: 'For example [1, 10, 50]; after the last tier come all requests.' }];
}

function checkCertificates(document: unknown): Finding[] {
  if (!('certificates' in asMap(document))) return [];
  const certificates = mapAt(document, 'certificates');
  const findings: Finding[] = [];
  if (!('router' in asMap(document))) findings.push({ path: ['certificates'], at: 'key', message: 'certificates are served by the router, and none is declared.', hint: 'Add `router:`.' });
  const seen = new Set<string>();
  for (const [index, name] of namesAt(asMap(document)['certificates'], 'names').entries()) {
    const path = ['certificates', 'names', index];
    const problem = hostNameProblem(name);
    if (problem !== null) findings.push({ path, message: `certificates.names: ${JSON.stringify(name)} ${problem}.` });
    if (seen.has(name.toLowerCase())) findings.push({ path, message: `certificates.names has ${name} twice.` });
    seen.add(name.toLowerCase());
  }
  const hsts = mapAt(certificates, 'hsts');
  // What the list of the browsers demands; it is asked for by name and hard to leave.
  if (hsts['preload'] === true && (hsts['includeSubDomains'] !== true || (typeof hsts['maxAgeSeconds'] === 'number' && hsts['maxAgeSeconds'] < 365 * 86_400))) {
    findings.push({ path: ['certificates', 'hsts', 'preload'], message: 'certificates.hsts.preload needs includeSubDomains: true and maxAgeSeconds of at least 31536000.', hint: 'See hstspreload.org; leave preload out unless every subdomain is https for good.' });
  }
  if (certificates['redirect'] === false && 'hsts' in certificates) {
    findings.push({ path: ['certificates', 'hsts'], at: 'key', message: 'certificates.hsts tells browsers never to use plain HTTP, and certificates.redirect: false keeps it.', hint: 'Leave one of the two out.' });
  }
  return findings;
}

function checkPaths(document: unknown): Finding[] {
  return namesAt(asMap(document)['backup'], 'paths').flatMap((path, index): Finding[] => {
    const safe = /^(\{(state|config)\}(\/|$)|\/)/.test(path) && !path.split('/').includes('..');
    return safe ? [] : [{ path: ['backup', 'paths', index], message: `backup.paths: ${path} must begin with {state}, {config} or /, and hold no "..".` }];
  });
}

/** Of a source: that it says for which roles it is, and does not name one beside them. */
export function checkRoles(document: unknown): Finding[] {
  if (!('roles' in asMap(document))) return [];
  if ('artifact' in asMap(document)) return [{ path: ['roles'], at: 'key', message: 'The manifest has artifact and roles; a bundle has artifact, its source may have roles.' }];
  return Object.keys(mapAt(document, 'roles')).length === 0 ? [{ path: ['roles'], message: 'roles must name controller or node.' }] : [];
}

const leavesTheRelease = (path: string): boolean => path.startsWith('/') || path.split('/').includes('..');
