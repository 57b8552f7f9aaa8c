import { ownProduct } from '../../domain/ids.ts';
import type { InstanceRef } from '../../ports/service-manager.ts';

/**
 * Fairlead's own agent is an instance unlike others: routers and the helper that puts its successor in its place are its children and outlive it, and whatever made
 * it end it has to come back, for nobody else brings the host back.
 */
export const isOwnAgent = ({ product, service }: Pick<InstanceRef, 'product' | 'service'>): boolean => product === ownProduct && service === 'agent';
