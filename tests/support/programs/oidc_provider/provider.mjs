// A certified OpenID Connect provider on loopback, for tests. It says "listening PORT" on its standard output, and then
// takes one word a line on its standard input: "rotate" signs with a new key from now on and publishes the one before
// beside it, "withdraw" publishes the new one only; each is answered by "signs with KID".
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { Provider } from 'oidc-provider';

const pair = promisify(generateKeyPair);
let made = 0;
let keys = [];
let answer = null;

async function key() {
  made += 1;
  const { privateKey } = await pair('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: `key-${made}` };
}

function provider(issuer) {
  const made = new Provider(issuer, {
    clients: [
      {
        client_id: 'builder',
        client_secret: 'a secret of these tests only',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys },
    ttl: { ClientCredentials: 300 },
    scopes: ['builders', 'readers'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          audience,
          scope: 'builders readers',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({ groups: (token.scope ?? '').split(' ').filter(Boolean) }),
  });
  return made.callback();
}

const server = createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  keys = [await key()];
  answer = provider(issuer);
  console.log(`listening ${server.address().port}`);
  for await (const word of createInterface({ input: process.stdin })) {
    keys = [await key(), ...(word === 'rotate' ? keys : [])];
    answer = provider(issuer);
    console.log(`signs with ${keys[0].kid}`);
  }
  process.exit(0); // Its starter has gone.
});
