import { createHash } from 'node:crypto';
import { parse as parseYaml, stringify } from 'yaml';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { InstanceRef, InstanceSpec } from '../../../ports/service-manager.ts';

/** What an instance's container is called, and where its files lie. */
export interface ComposeNames {
  /** The Compose project: one for each product of a host. */
  readonly project: string;
  readonly container: string;
  readonly composeFile: string;
  /** Holds the id of the container that was told to stop: how it ends after that is no failure. */
  readonly stopMark: string;
}

/** By these the manager knows a container, whoever made it. */
export const labels = { root: 'fairlead.root', product: 'fairlead.product', instance: 'fairlead.instance', release: 'fairlead.release' } as const;

/** Rotation by the daemon's `json-file` driver, while the instance runs. */
export const logOptions = { 'max-size': '16m', 'max-file': '2' } as const;

export function composeNames(root: string, { product, instance }: Pick<InstanceRef, 'product' | 'instance'>): ComposeNames {
  const project = projectName(root, product);
  const directory = `${hostLayout(root, product).fairleadDir}/compose`;
  return { project, container: `${project}-${instance}`, composeFile: `${directory}/${instance}.yml`, stopMark: `${directory}/${instance}.stopping` };
}

/**
 * The image of a release that carries its own as `image.tar`. The project is in its name, because two hosts on one machine may give one id to
 * different releases.
 */
export function releaseImage(root: string, { product, releaseId }: Pick<InstanceSpec, 'product' | 'releaseId'>): string {
  const tag = releaseId.replaceAll('+', '-');
  return `${projectName(root, product)}:${tag === releaseId ? tag : `${tag.slice(0, 100)}-${shortHash(releaseId)}`}`;
}

/** The environment beside the image's own. The PATH is the image's: the machine's would name programs that the image does not have. */
export function instanceEnvironment(root: string, spec: InstanceSpec): Record<string, string> {
  return { HOME: hostLayout(root, spec.product).stateRoot, LANG: 'C.UTF-8', ...spec.env };
}

/** What the manager itself says in the environment; nothing wins over it. */
export function identityEnvironment(root: string, { product, instance, releaseId }: InstanceSpec): Record<string, string> {
  return { FAIRLEAD_RELEASE_ID: releaseId, FAIRLEAD_INSTANCE: `${product}/${instance}`, FAIRLEAD_ROOT: root };
}

/** Directories that a container shares with the host, each at its own path, so that `{release}`, `{state}` and `{config}` mean the same on both sides. */
export function sharedDirectories(root: string, spec: InstanceSpec): readonly { readonly path: string; readonly readOnly: boolean }[] {
  const { configDir, stateRoot } = hostLayout(root, spec.product);
  return [
    { path: spec.releaseDir, readOnly: true },
    { path: configDir, readOnly: true },
    { path: stateRoot, readOnly: false },
  ];
}

export function containerLabels(root: string, { product, instance, releaseId }: InstanceSpec): Record<string, string> {
  return { [labels.root]: root, [labels.product]: product, [labels.instance]: instance, [labels.release]: releaseId };
}

/**
 * One instance as a Compose file (Compose Specification) with a single service, which `docker compose` and `docker-compose` 1.29 read alike.
 *
 * The conf file's values are not in it: each stands as a variable that the command which reads the file must be given, so that no secret is
 * written a second time, and none passes through an env file, whose quoting the versions of Compose read differently. Run by hand without those
 * variables, Compose refuses the file instead of starting the instance with empty values.
 *
 * `restart` is `no`: while a release is proved, a crash has to be seen as one. The manager has the daemon bring the container back once it has run
 * for a while. `init` puts the image's process under docker-init, which passes signals on and collects what it leaves behind.
 * @param command argv of the instance, as the image is to run it
 * @returns the file's text, and the variables for the command that reads it
 */
export function composeFile(
  root: string,
  spec: InstanceSpec,
  image: string,
  command: readonly string[],
  conf: Readonly<Record<string, string>>,
): { readonly text: string; readonly variables: Readonly<Record<string, string>> } {
  const { container } = composeNames(root, spec);
  const variables: Record<string, string> = {};
  const environment: Record<string, string> = literals(instanceEnvironment(root, spec));
  for (const [at, [name, value]] of Object.entries(conf).entries()) {
    const variable = `FAIRLEAD_VALUE_${at}`;
    variables[variable] = value;
    environment[name] = `\${${variable}?the agent gives it, from the conf file}`;
  }
  Object.assign(environment, literals(identityEnvironment(root, spec)));
  const service = {
    container_name: container,
    image: literal(image),
    init: true,
    network_mode: 'host',
    restart: 'no',
    entrypoint: command.map(literal),
    working_dir: literal(spec.releaseDir),
    environment,
    volumes: sharedDirectories(root, spec).map(({ path, readOnly }) => ({ type: 'bind', source: literal(path), target: literal(path), read_only: readOnly })),
    stop_signal: spec.stopSignal,
    stop_grace_period: `${Math.max(1, Math.ceil(spec.stopSeconds))}s`,
    labels: literals(containerLabels(root, spec)),
    logging: { driver: 'json-file', options: logOptions },
  };
  const head = `# Written by Fairlead at each start of ${spec.instance}. What is changed here is lost; the instance's settings are in ${spec.configFile}.\n`;
  // docker-compose 1.29 reads YAML 1.1, where `no`, `on` and `1:30` are no texts.
  return { text: head + stringify({ services: { [spec.instance]: service } }, { version: '1.1', defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 }), variables };
}

/** The image in a text of `composeFile`; null where it names none. */
export function imageIn(text: string): string | null {
  const image: unknown = Object.values((parseYaml(text) as { services?: Record<string, { image?: unknown }> } | null)?.services ?? {})[0]?.image;
  return typeof image === 'string' ? image.replaceAll('$$', '$') : null;
}

/** Compose would read `$NAME` in any value as a variable. */
const literal = (text: string): string => text.replaceAll('$', '$$$$');
const literals = (values: Readonly<Record<string, string>>): Record<string, string> => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, literal(value)]));

/** Project names take lower-case letters, digits, dashes and underscores only; product names also dots. The hash keeps apart what would look alike. */
function projectName(root: string, product: ProductName): string {
  const plain = product.replaceAll('.', '-');
  const needsHash = root !== '/' || plain !== product;
  return `fairlead-${plain}${needsHash ? `-${shortHash(`${root}\n${product}`)}` : ''}`;
}

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
