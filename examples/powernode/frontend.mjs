import { releaseId } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';

serve((url) => {
  if (url.pathname === '/frontend/health') return [200, { status: 'ok' }];
  return url.pathname === '/' ? [200, `<!doctype html><html lang="en"><meta charset="utf-8"><title>Powernode</title><h1>Powernode</h1><p>release ${releaseId}</p></html>`] : null;
});
