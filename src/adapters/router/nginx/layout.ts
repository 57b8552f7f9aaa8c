import { hostLayout } from '../../../domain/host/layout.ts';
import type { ProductName } from '../../../domain/ids.ts';

export const statusSocketName = 'status.sock';
export const linkName = (generation: string, service: string) => `to-${generation}-${service}`;

/**
 * Where nginx lives on a host. Every generation of the configuration has a directory of its own; `nginx.conf` is a symlink to the one in
 * force, which is what the master reads again at a reload.
 */
export function nginxFiles(root: string, product: ProductName) {
  const directory = `${hostLayout(root, product).routerDir}/nginx`;
  return {
    directory,
    active: `${directory}/nginx.conf`,
    generations: `${directory}/generations`,
    generation: (name: string) => `${directory}/generations/${name}`,
    errorLog: `${directory}/error.log`,
    // Sockets are named relative to the working directory: the path of a socket is limited to 107 bytes (unix(7)).
    statusSocket: `${directory}/${statusSocketName}`,
    /** While it is there, answers tell clients to come back on a new connection. */
    closingFlag: `${directory}/closing`,
    /** What the flag is renamed from and to: that works on a full disk too. */
    loweredFlag: `${directory}/not-closing`,
    ways: `${directory}/ways`,
    way: (name: string) => `${directory}/ways/${name}`,
    /** Challenges of certificate authorities. In here, because the workers can reach nothing else. */
    webroot: `${directory}/webroot`,
    /** Logs of requests, see `traffic.ts`. */
    traffic: `${directory}/traffic`,
    /** The symlink that a service's requests follow to the way in use. */
    link: (generation: string, service: string) => `${directory}/${linkName(generation, service)}`,
  };
}
export type NginxFiles = ReturnType<typeof nginxFiles>;
