// Node runs the sources as they are (type stripping); only jest needs a transform, because its module loader has none.
const common = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } }] },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.fairlead/'],
};
const project = (name, folder) => ({ ...common, displayName: name, rootDir: import.meta.dirname, testMatch: [`<rootDir>/test/${folder}/**/*.test.ts`] });

export default {
  // `npm run test:fast` runs unit and contract; the others start real parts.
  projects: [project('unit', 'unit'), project('contract', 'contract'), project('workflows', 'workflows'), project('e2e', 'e2e')],
  testTimeout: 60_000,
};
