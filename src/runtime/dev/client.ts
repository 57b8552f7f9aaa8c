/** The few questions that `fairlead dev` asks its own API to know what is ready. */
export interface DevHost {
  readonly host: string;
  readonly lastSeenAt: string;
  readonly products: readonly { readonly product: string; readonly activeReleaseId: string | null; readonly routerPort: number | null }[];
}

/** @returns null where the API serves everything, else what it answered */
export async function whatApiLacks(url: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(3_000) });
    const text = await response.text();
    return response.ok ? null : `${url}/health/ready answered ${response.status}: ${text.slice(0, 300)}`;
  } catch (error) {
    const { message } = ((error as { cause?: unknown }).cause ?? error) as { message?: unknown };
    return `${url} does not answer: ${String(message ?? error)}`;
  }
}

/** @returns null where a control worker polls for runs, else what is known */
export async function whatControlLacks(url: string, key: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/health/detailed`, { headers: { authorization: `Bearer ${key}` }, signal: AbortSignal.timeout(5_000) });
    const { controlWorkers } = (await response.json()) as { controlWorkers: number | null };
    return (controlWorkers ?? 0) > 0 ? null : 'no control worker polls for runs yet';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The hosts that said hello. @throws Error where the API does not answer with them */
export async function listHosts(url: string, key: string): Promise<DevHost[]> {
  const response = await fetch(`${url}/api/hosts`, { headers: { authorization: `Bearer ${key}` }, signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error(`${url}/api/hosts answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
  const { hosts } = (await response.json()) as {
    hosts: { host: string; lastSeenAt: string; products: { product: string; state: { activeReleaseId: string | null; router: { port: number } | null } | null }[] }[];
  };
  return hosts.map(({ host, lastSeenAt, products }) => ({
    host,
    lastSeenAt,
    products: products.map(({ product, state }) => ({ product, activeReleaseId: state?.activeReleaseId ?? null, routerPort: state?.router?.port ?? null })),
  }));
}
