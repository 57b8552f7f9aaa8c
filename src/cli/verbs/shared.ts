import type { Command } from 'commander';
import { reasonHeader } from '../../contract/index.ts';
import type { HostList } from '../../contract/index.ts';
import { createApiClient } from '../api-client.ts';
import type { ApiClient } from '../api-client.ts';
import { findConnection, withConnection } from '../connection.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';

export interface CommonOptions extends ConnectionOptions {
  readonly json?: boolean;
}

/** A command that talks to the API: its options, and the client that its action gets. */
export function apiCommand<Options extends CommonOptions, Arguments extends readonly unknown[]>(
  command: Command,
  context: Context,
  act: (api: ApiClient, options: Options, ...values: Arguments) => Promise<void>,
): Command {
  return withConnection(command).action(async (...given: unknown[]) => {
    const options = given[given.length - 2] as Options;
    await act(createApiClient(findConnection(options, context)), options, ...(given.slice(0, -2) as unknown as Arguments));
  });
}

/** The options that name the API, as they have to be typed again to come back to the same one. */
export function connectionWords(options: ConnectionOptions): string {
  return [['--api', options.api], ['--key-file', options.keyFile], ['--dir', options.dir]].map(([name, value]) => (value === undefined ? '' : ` ${name} ${value}`)).join('');
}

/** The query part of an address; what is undefined is left out. */
export function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(values).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(Object.fromEntries(pairs.map(([name, value]) => [name, String(value)]))).toString()}`;
}

/** For commander: a whole or decimal number of at least `min`. */
export const numberFrom = (min: number, option: string) => (text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < min) throw usageError(`${option} is ${JSON.stringify(text)}: expected a number of at least ${min}`);
  return value;
};

/** Every page of a list, one after the other. @param path without `after` */
export async function everyPage<Page extends { readonly nextAfter?: string | null }>(api: ApiClient, path: string): Promise<Page[]> {
  const pages: Page[] = [];
  for (let after: string | null = null; ; ) {
    const page: Page = await api.get<Page>(after === null ? path : `${path}${path.includes('?') ? '&' : '?'}after=${encodeURIComponent(after)}`);
    pages.push(page);
    after = page.nextAfter ?? null;
    if (after === null) return pages;
  }
}

/** Every host, heard and pending. */
export async function everyHost(api: ApiClient): Promise<HostList> {
  const pages = await everyPage<HostList>(api, '/api/hosts');
  return { hosts: pages.flatMap(({ hosts }) => hosts), pending: pages.flatMap(({ pending }) => pending ?? []), nextAfter: null };
}

/** The header that says why, where the body has no room for it. */
export const because = (reason: string | undefined): Readonly<Record<string, string>> => (reason === undefined ? {} : { [reasonHeader]: encodeURIComponent(reason) });

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * An instant that is given as one (2026-11-21T18:00:00Z, 2026-11-21), or as a duration from now.
 * @param way where a duration leads
 * @returns RFC 3339, UTC
 */
export function instantOf(text: string, option: string, way: 'ahead' | 'back'): string {
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() + secondsOf(text, option) * (way === 'ahead' ? 1_000 : -1_000)).toISOString();
  const at = Date.parse(text);
  if (Number.isNaN(at) || !/^\d{4}-/.test(text)) throw usageError(`${option} is ${JSON.stringify(text)}: expected an instant such as 2026-11-21T18:00:00Z, or a duration such as 2h`);
  return new Date(at).toISOString();
}

/** @param text a whole number with s, m, h or d */
export function secondsOf(text: string, option: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  if (match === null) throw usageError(`${option} is ${JSON.stringify(text)}: expected a number with s, m, h or d, such as 1h`);
  return Number(match[1]) * (unitSeconds[match[2] ?? 's'] ?? 1);
}
