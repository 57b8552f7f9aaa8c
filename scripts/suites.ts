// What the test commands know of single suites, by the names of their files without `.test.ts`.

/**
 * The longest, longest first: two workers share the suites, and one that begins late with a long one ends alone. Without a cache, as on a fresh clone,
 * jest would go by the size of the files, which says nothing here.
 */
export const longest: readonly string[] = ['rollout', 'planted-secrets', 'kill-change-control', 'release', 'kill-control', 'kill-agent', 'kill-change', 'kill-certificate', 'shared-certificate', 'strategies', 'production', 'self-update-controller', 'self-update', 'certificate-renewal', 'certificates', 'certificate-schedule', 'certificate-issuer-kill', 'kill-restart', 'openrc', 'service-manager-openrc', 'promotion', 'load', 'fleet', 'router-traffic', 'service-manager-compose', 'service-manager-systemd', 'services', 'alone-beside-power-cut', 'systemd', 'drift', 'alone-after-power-cut', 'compose', 'power-cut', 'recovery', 'messages', 'server-kill', 'router', 'demo', 'outcomes', 'node-role', 'dev'];

/**
 * Run only on a machine that is there for testing (FAIRLEAD_REQUIRE_ALL=1): minutes each, on top of a suite that shows the same on fewer parts or at
 * fewer points and is always run. `npm test` counts each that it leaves out as skipped.
 */
export const thorough: Readonly<Record<string, string>> = {
  'alone-after-power-cut': 'power-cut',
  'alone-beside-power-cut': 'power-cut',
  'certificate-issuer-kill': 'certificate-issuer-faults',
  'certificate-renewal': 'certificates',
  drift: 'recovery',
  'kill-certificate': 'certificate-switch',
  'kill-change': 'kill-agent',
  'kill-change-control': 'kill-agent',
  'kill-control': 'kill-agent',
  'kill-restart': 'services',
  load: 'demo',
  release: 'handover',
  rollout: 'fleet',
  'router-traffic': 'router',
  'self-update': 'handover',
  'self-update-controller': 'handover',
  'server-kill': 'dev',
  'service-manager-openrc': 'service-manager',
  'shared-certificate': 'certificates',
  strategies: 'outcomes',
};

export const suiteOf = (path: string): string => /([^/]+)\.test\.ts$/.exec(path)?.[1] ?? path;
