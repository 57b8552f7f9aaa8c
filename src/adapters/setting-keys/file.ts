import { createHash } from 'node:crypto';
import { FairleadError } from '../../domain/failure.ts';
import { readIfThere } from '../files/durable.ts';
import { readKeyLines } from '../sealed/key-lines.ts';
import { createSealing, type Sealing } from '../sealed/sealing.ts';

export interface SettingKeySource {
  readonly file: string;
  /** The keys themselves, from the environment; they win over the file. Null where they are not given. */
  readonly text: string | null;
}

export type SettingSealing = () => Promise<Sealing>;

/** The keys of the settings, read anew each time: a key that is put in front needs no restart. @throws FairleadError `settings_key_missing`, `settings_keys_invalid` */
export function createSettingSealing({ file, text }: SettingKeySource): SettingSealing {
  let made: { readonly of: string; readonly sealing: Sealing } | null = null;
  return async () => {
    const found = text === null ? await readIfThere(file) : text.replaceAll(/[,;]/g, '\n');
    if (found === null) throw missing(file);
    const of = createHash('sha256').update(found).digest('hex');
    if (made?.of !== of) made = { of, sealing: createSealing(readKeyLines(found, text === null ? file : 'FAIRLEAD_SETTINGS_KEYS', invalid), 'settings') };
    return made.sealing;
  };
}

const missing = (file: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'settings_key_missing',
    message: `Settings cannot be sealed or opened: there is no key, neither in ${file} nor in FAIRLEAD_SETTINGS_KEYS.`,
    hint: `Make one: (umask 077; echo "k1 $(head -c 32 /dev/urandom | base64)" > ${file}); every copy of the API and of control needs the same, and a backup of the database is worth nothing without it.`,
  });

const invalid = (problem: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'settings_keys_invalid', message: `Settings cannot be sealed or opened: ${problem}.`, hint: 'A key is one line: an id, a space, and 32 random bytes in base64; the first one seals, every one opens.' });
