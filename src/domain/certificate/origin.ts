import type { Reason } from '../failure.ts';
import { hostNameProblem } from './host-name.ts';

/** What was learned of one name by asking it from the host itself. */
export interface OriginSight {
  readonly name: string;
  /** What the name resolves to; empty where it does not. */
  readonly addresses: readonly string[];
  /** What each address answered on the plain port: `own` is this host's router, `other` somebody else; else the error. `got` is how the other's answer begins. */
  readonly answers: readonly { readonly address: string; readonly answer: 'own' | 'other' | { readonly error: string }; readonly got?: string }[];
}

/** Pure: an answer in few words, for people: its status, and how its text begins. */
export function briefAnswer({ status, body }: { readonly status: number; readonly body: string }): string {
  const text = body.replaceAll(/[^\x21-\x7e]+/g, ' ').trim();
  return text === '' ? `${status}` : `${status} ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`;
}

/**
 * Pure: the host name of a public origin (RFC 6454: scheme, host and port, nothing else), or why it cannot be one.
 * @param ports the ports on which the router of the host ends TLS
 */
export function parseOrigin(origin: string, ports: readonly number[]): { readonly name: string } | { readonly problem: Reason } {
  const problem = (code: string, message: string, hint: string) => ({ problem: { class: 'request', code, message: `The public origin ${JSON.stringify(origin.slice(0, 260))} ${message}.`, hint } as const });
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/i.exec(origin.trim());
  if (match === null) return problem('origin_invalid', 'is no origin', 'Give it as https://app.example.org.');
  const [, scheme = '', authority = '', rest = ''] = match;
  if (scheme.toLowerCase() !== 'https') return problem('origin_not_https', `is ${scheme.toLowerCase()}, not https`, 'Give it as https://app.example.org; plain HTTP is redirected there.');
  if (authority.includes('@')) return problem('origin_with_user', 'holds a user or a password', 'Leave them out.');
  if (rest !== '' && rest !== '/') return problem('origin_with_path', `has more behind the host: ${rest.slice(0, 60)}`, 'An origin ends with the host name, or the port.');
  const [, host = '', given] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(authority) ?? [];
  const name = host.toLowerCase().replace(/\.$/, '');
  const why = name.startsWith('*') ? 'is a pattern; it must be one host name' : hostNameProblem(name);
  if (why !== null) return problem('origin_name_invalid', why, 'It has to be the name that people type into their browsers.');
  const port = given === undefined || given === '' ? 443 : Number(given);
  if (ports.includes(port)) return { name };
  return problem('origin_port_not_served', `means port ${given ?? 443}, and the router of this host ends TLS on ${ports.join(', ')}`, 'Leave the port out for 443, or set certificates.listen in fairlead.yaml.');
}

/** Pure: why a certificate authority would not find this host by that name; null where it would. */
export function sightProblem({ name, addresses, answers }: OriginSight, port: number): Reason | null {
  if (addresses.length === 0) return { class: 'dependency', code: 'origin_unresolved', message: `${name} resolves to no address.`, hint: `Add an A or AAAA record for ${name} that leads to this host; a new record may take its time to be seen.` };
  const elsewhere = answers.filter(({ answer }) => answer === 'other').map(({ address, got }) => (got === undefined ? address : `${address} (${got})`));
  if (elsewhere.length > 0) {
    return { class: 'host', code: 'origin_elsewhere', message: `${name} leads to ${elsewhere.join(', ')}, where something else than the router of this host answers on port ${port}.`, hint: `Every address of ${name} has to lead here; a stale AAAA record is a common cause.` };
  }
  const failed = answers.find(({ answer }) => typeof answer === 'object');
  if (failed === undefined) return null;
  return {
    class: 'host',
    code: 'origin_unreachable',
    message: `${name} leads to ${failed.address}, and port ${port} there cannot be reached: ${typeof failed.answer === 'object' ? failed.answer.error : ''}`,
    hint: 'Open the port in the firewall and forward it to this host. Where a router at home does not let a host reach its own public address, skip this check.',
  };
}
