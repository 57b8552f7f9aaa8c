/**
 * What a key may do. `viewer` looks; `operator` changes hosts, releases and rollouts; `approver` looks and decides gates, and nothing else, so that who deploys and who
 * agrees can be two; `admin` may everything but speak for a host; `agent` is one host's.
 */
export const keyRoles = ['viewer', 'operator', 'approver', 'admin', 'agent'] as const;
export type KeyRole = (typeof keyRoles)[number];
