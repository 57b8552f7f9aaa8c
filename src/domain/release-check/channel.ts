/** From the most careful to the least: who follows one also takes what is in those before it. */
export const channels = ['stable', 'beta', 'edge'] as const;
export type Channel = (typeof channels)[number];

/** The channel of a release, and of a host, of which nobody says another one. */
export const defaultChannel: Channel = 'stable';

/** Whether a release in `channel` is for those who follow `followed`. */
export const isFor = (channel: Channel, followed: Channel): boolean => channels.indexOf(channel) <= channels.indexOf(followed);
