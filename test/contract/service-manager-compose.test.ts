import { startDockerDaemon, type DockerDaemon } from '../support/docker-daemon.ts';
import { composeMachine, makeNodeImage } from '../support/compose-machine.ts';
import { describeWith, program, root } from '../support/requirement.ts';
import { describeServiceManager } from '../support/service-manager-suite.ts';

const image = 'fairlead-test/node:compose';

describeWith([root, program('dockerd'), program('docker-compose'), program('setpriv')], 'with a real Docker daemon', () => {
  let daemon: DockerDaemon;

  beforeAll(async () => {
    daemon = await startDockerDaemon();
    await makeNodeImage(daemon, image);
  }, 120_000);
  afterAll(() => daemon?.end(), 60_000);

  describeServiceManager('compose', () => composeMachine(daemon, image));
});
