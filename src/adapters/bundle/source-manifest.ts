import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { isMap, parseDocument, type Scalar } from 'yaml';
import type { ReleaseId } from '../../domain/ids.ts';
import { manifestFileName, type ProductManifest, type Role } from '../../domain/product/manifest.ts';
import { isMissing } from '../files/durable.ts';
import { manifestError, parseManifest } from '../manifest/parse.ts';
import { roleSections } from '../manifest/roles.ts';
import { refuseSource } from './source-tree.ts';

/**
 * The manifest of a source directory as it goes into the bundle of one release and role: comments and order stay. A source that names
 * `roles` needs one of them: its profile, its files and the sections that it says for itself are that role's.
 *
 * Refuses `manifest_missing`, `manifest_invalid` (lines as in the source), `role_required`, `role_unknown`.
 */
export async function readSourceManifest(directory: string, releaseId: ReleaseId, role: Role | undefined): Promise<{ text: string; manifest: ProductManifest; files: readonly string[] | null }> {
  const file = join(directory, manifestFileName);
  const source = await fs.readFile(file, 'utf8').catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    throw refuseSource('manifest_missing', `${directory} has no ${manifestFileName}.`, 'Write one at the top of the directory; examples/ has commented ones.');
  });
  const asWritten = parseManifest(source, file, { releaseId });
  if (!asWritten.ok) throw manifestError(asWritten.problems, file);

  const document = parseDocument(source);
  document.set('releaseId', releaseId);
  const artifact = artifactOf(document.toJS() as { roles?: Roles; artifact?: { profile?: string } }, role);
  const files = artifact === null ? null : filesOf(document.toJS() as { roles?: Roles }, artifact.role);
  if (artifact !== null) {
    const said = document.getIn(['roles', artifact.role]);
    for (const { key, value } of isMap<Scalar<string>>(said) ? said.items : []) if ((roleSections as readonly string[]).includes(key.value)) document.set(key.value, value);
    document.delete('roles');
    document.set('artifact', document.createNode(artifact, { flow: true }));
  }
  const text = document.toString({ lineWidth: 0 });
  const parsed = parseManifest(text, manifestFileName);
  if (!parsed.ok || !isMap(document.contents)) throw manifestError(parsed.ok ? [] : parsed.problems, file);
  return { text, manifest: parsed.manifest, files };
}

type Roles = Partial<Record<Role, { profile?: string; files?: string[] } | null>>;

/** What of the directory goes into the role's bundle; null is everything. */
const filesOf = ({ roles }: { roles?: Roles }, role: Role): readonly string[] | null => roles?.[role]?.files ?? null;

/** What `artifact` has to say in the bundle; null leaves what is written. */
function artifactOf({ roles, artifact }: { roles?: Roles; artifact?: { profile?: string } }, role: Role | undefined): { role: Role; profile: string } | null {
  if (roles === undefined) return role === undefined ? null : { role, profile: artifact?.profile ?? 'default' };
  const known = Object.keys(roles) as Role[];
  const chosen = role ?? (known.length === 1 ? known[0] : undefined);
  if (chosen === undefined) throw refuseSource('role_required', `The manifest has the roles ${known.join(' and ')}; a bundle is built for one.`, 'Say which with --role.');
  if (!known.includes(chosen)) throw refuseSource('role_unknown', `The manifest has no role ${chosen}; it has ${known.join(' and ')}.`);
  return { role: chosen, profile: roles[chosen]?.profile ?? 'default' };
}
