import Sequencer from '@jest/test-sequencer';

// Two workers share the suites: the longest have to begin first, or one worker ends alone with one of them. Without a cache, as on a fresh clone, jest
// would go by the size of the files, which says nothing here.
const longest = ['rollout', 'planted-secrets', 'kill-change-control', 'release', 'kill-control', 'kill-agent', 'kill-change', 'kill-certificate', 'strategies', 'production', 'self-update-controller', 'self-update', 'certificate-renewal', 'certificates', 'shared-certificate', 'certificate-schedule', 'certificate-issuer-kill', 'kill-restart', 'service-manager-openrc', 'promotion', 'load', 'fleet', 'router-traffic', 'service-manager-compose', 'service-manager-systemd', 'services', 'alone-beside-power-cut', 'systemd', 'drift', 'openrc', 'alone-after-power-cut', 'compose', 'power-cut', 'recovery', 'messages', 'server-kill', 'router', 'demo', 'outcomes', 'node-role', 'dev'];
const rank = ({ path }) => {
  const at = longest.findIndex((name) => path.endsWith(`/${name}.test.ts`));
  return at === -1 ? longest.length : at;
};

export default class LongestFirst extends (Sequencer.default ?? Sequencer) {
  sort(tests) {
    return [...super.sort(tests)].sort((a, b) => rank(a) - rank(b));
  }
}
