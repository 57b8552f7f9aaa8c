/** Fairlead's own version, shown in identities and answers. A test holds it against package.json. */
export const version = '0.1.0';
