import type { RouterState, RouterTls } from '../../../ports/router.ts';
import { challengePath } from '../webroot.ts';
import type { NginxSettings } from './commands.ts';

/**
 * Pure: the servers that face clients. Without TLS one, on the plain port. With it, one on every TLS port, and on the plain port a redirect, or the same again
 * where the product or the moment wants none. Challenges of certificate authorities are answered on the plain port in each case.
 * @param body what a server that passes requests on consists of, without its `listen`
 */
export function renderListeners(state: RouterState, settings: NginxSettings, body: string, quote: (text: string) => string): string {
  // The first one on a port answers for every other name.
  const plain = (names: string, inside: string, isFirst = false) => `    server {
        listen ${settings.listenAddress}:${state.port}${isFirst ? ' backlog=1024' : ''};
        server_name ${names};
${state.challenges === true ? challengeLocation : ''}${inside}    }
`;
  const { tls } = state;
  if (tls === null || tls === undefined) return plain('_', body, true);
  return [...(tls.redirect ? [plain('_', redirectTo(tls.names.find((name) => !name.startsWith('*')) ?? null, tls), true), plain(tls.names.map(quote).join(' '), redirectTo('$host', tls))] : [plain('_', body, true)]), renderTlsServer(tls, settings, withoutCloseHeader(body), quote)].join('\n');
}

/** In HTTP/2 it is no header (RFC 9113 section 8.2.2): nginx itself tells clients to leave. */
const withoutCloseHeader = (body: string): string =>
  body.replace('        add_header Connection', `        if ($server_protocol = HTTP/2.0) {
            set $fairlead_closing '';
        }
        add_header Connection`);

/** The workers can always enter their own working directory, and only that. */
const challengeLocation = `        location ^~ ${challengePath}/ {
            root /proc/self/cwd/webroot;
            default_type text/plain;
        }
`;

/**
 * 308 and not 301: a POST stays one (RFC 9110 section 15.4.9). Browsers may keep it for a while only, so that a host can leave TLS again. The name that the client
 * asked for is repeated only where it is one of the certificate's.
 */
function redirectTo(name: string | null, { ports }: RouterTls): string {
  const port = ports[0] === 443 || ports[0] === undefined ? '' : `:${ports[0]}`;
  return `        location / {
            add_header Cache-Control "max-age=300";
            ${name === null ? 'return 421' : `return 308 https://${name}${port}$request_uri`};
        }
`;
}

/**
 * TLS 1.2 and 1.3 with the suites that Mozilla calls intermediate. No session tickets: their key would have to be rotated by hand (RFC 8446 section 8.1). Older
 * nginx says `http2` with `listen`.
 */
function renderTlsServer({ ports, names, directory, hsts }: RouterTls, { listenAddress, version, http2 = false }: NginxSettings, body: string, quote: (text: string) => string): string {
  const own = version[0] > 1 || (version[0] === 1 && (version[1] > 25 || (version[1] === 25 && version[2] >= 1)));
  const strict = hsts === null ? '' : `        add_header Strict-Transport-Security "max-age=${hsts.maxAgeSeconds}${hsts.includeSubDomains ? '; includeSubDomains' : ''}${hsts.preload ? '; preload' : ''}" always;\n`;
  return `    server {
${ports.map((port) => `        listen ${listenAddress}:${port} ssl${http2 && !own ? ' http2' : ''} backlog=1024;\n`).join('')}${http2 && own ? '        http2 on;\n' : ''}        server_name ${names.map(quote).join(' ')} _;
        ssl_certificate ${quote(`${directory}/fullchain.pem`)};
        ssl_certificate_key ${quote(`${directory}/key.pem`)};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
        ssl_prefer_server_ciphers off;
        ssl_session_cache shared:fairlead_tls:10m;
        ssl_session_timeout 1d;
        ssl_session_tickets off;
${strict}${body}    }
`;
}
