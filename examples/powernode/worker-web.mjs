import { releaseId } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';

serve((url) => {
  if (url.pathname === '/health') return [200, { status: 'ok' }];
  return url.pathname === '/' ? [200, `<!doctype html><title>Powernode jobs</title><h1>Jobs</h1><p>release ${releaseId}</p>`] : null;
});
