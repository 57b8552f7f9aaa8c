import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { Api } from './api.ts';

/** Makes the OpenAPI document from the schemas of the routes that are added afterwards. */
export function describeRoutes(app: Api, version: string): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Fairlead',
        version,
        description: 'Deploys self-hosted products onto the machines that run them. Whatever is refused is answered with problem details (RFC 9457): `code` for programs, `detail` and `hint` for people.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'fl_<role>_<49 characters>' },
          runtimeApiKey: { type: 'apiKey', in: 'header', name: 'X-RUNTIME-API-KEY', description: 'The same key, for clients of the older kind' },
        },
      },
      tags: [
        { name: 'updates', description: 'Updates of one host' },
        { name: 'runs', description: 'What was started, and how it goes' },
        { name: 'releases', description: 'What can be deployed' },
        { name: 'hosts', description: 'Where it runs' },
        { name: 'audit', description: 'Who did what' },
        { name: 'keys', description: 'Who may do what' },
        { name: 'health', description: 'Fairlead itself' },
      ],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => withoutUnused(jsonSchemaTransformObject(document) as Document) as never,
  });
}

interface Document {
  components?: { schemas?: Record<string, unknown> };
}

/** Every schema is generated once as it is sent and once as it is received; those that no route leads to are left out. */
function withoutUnused(document: Document): Document {
  const schemas = document.components?.schemas ?? {};
  const used = new Set<string>();
  const visit = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (name === undefined || used.has(name)) continue;
      used.add(name);
      visit(schemas[name] ?? null);
    }
  };
  // Streamed, so that no answer's schema leads to it.
  visit({ $ref: '#/components/schemas/RunEvent' });
  visit({ ...document, components: {} });
  return { ...document, components: { ...document.components, schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name))) } };
}
