<?php
// An application that leaves signing in to Doorward: PHP 8 with curl and openssl, behind a server that speaks TLS. STATE_DIR is
// a folder of its own outside of the document root, writable by PHP.
declare(strict_types=1);

const SCOPES = 'openid profile email';
[$issuer, $client, $base, $state] = array_map('getenv', ['ISSUER', 'CLIENT_ID', 'BASE_URL', 'STATE_DIR']);

session_name('__Host-catalog');
session_set_cookie_params(['path' => '/', 'secure' => true, 'httponly' => true, 'samesite' => 'Lax']);
ini_set('session.use_strict_mode', '1');

function refuse(int $status, string $why): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit($why);
}

function redirect(string $to): never
{
    header('Location: ' . $to, true, 303);
    exit;
}

function b64(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function unb64(string $text): string
{
    return (string) base64_decode(strtr($text, '-_', '+/'), true);
}

// call fetches JSON over TLS, whose certificate curl verifies.
function call(string $url, array $options = []): ?array
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 10, CURLOPT_PROTOCOLS => CURLPROTO_HTTPS] + $options);
    $body = curl_exec($curl);
    if ($body === false || curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
        error_log("$url: " . curl_error($curl) . ' ' . $body);
        return null;
    }
    return json_decode($body, true);
}

// known is what the provider publishes, kept for five minutes: a stranger who calls us does not make us call it each time.
function known(string $url): array
{
    global $state;
    $file = $state . '/' . hash('sha256', $url) . '.json';
    if (!is_file($file) || filemtime($file) < time() - 300) {
        $fresh = call($url) ?? refuse(502, 'The sign-in cannot be reached. Please try again.');
        file_put_contents($file . getmypid(), json_encode($fresh));
        rename($file . getmypid(), $file);
    }
    return json_decode(file_get_contents($file), true);
}

function metadata(): array
{
    global $issuer;
    $found = known($issuer . '/.well-known/openid-configuration');
    return ($found['issuer'] ?? '') === $issuer ? $found : refuse(502, 'ISSUER is not the issuer that answers there.');
}

// verified returns the claims of a token that Doorward signed for this application and that has not expired, else null.
function verified(string $token, ?string $type = null): ?array
{
    global $issuer, $client;
    $parts = explode('.', $token);
    $head = json_decode(unb64($parts[0]), true);
    if (count($parts) !== 3 || ($head['alg'] ?? '') !== 'ES256' || $type !== null && ($head['typ'] ?? '') !== $type) {
        return null;
    }
    foreach (known(metadata()['jwks_uri'])['keys'] as $key) {
        if ($key['kid'] !== ($head['kid'] ?? '') || $key['kty'] !== 'EC' || $key['crv'] !== 'P-256') {
            continue;
        }
        // A P-256 key as RFC 5480 writes it, and the two numbers of the signature as DER.
        $der = hex2bin('3059301306072a8648ce3d020106082a8648ce3d03010703420004') . unb64($key['x']) . unb64($key['y']);
        $pem = "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($der), 64, "\n") . "-----END PUBLIC KEY-----\n";
        $raw = unb64($parts[2]);
        $number = function (string $n): string {
            $n = ltrim($n, "\0");
            $n = $n === '' || ord($n[0]) > 127 ? "\0" . $n : $n;
            return "\x02" . chr(strlen($n)) . $n;
        };
        $pair = $number(substr($raw, 0, 32)) . $number(substr($raw, 32));
        $claims = json_decode(unb64($parts[1]), true);
        if (
            strlen($raw) === 64 && openssl_verify("$parts[0].$parts[1]", "\x30" . chr(strlen($pair)) . $pair, $pem, OPENSSL_ALGO_SHA256) === 1
            && ($claims['iss'] ?? '') === $issuer && (array) ($claims['aud'] ?? []) === [$client] && ($claims['exp'] ?? 0) > time()
        ) {
            return $claims;
        }
    }
    return null;
}

// ended names the file that says that a session at Doorward is over. Throw those away that are older than your sessions.
function ended(string $sid): string
{
    global $state;
    return $state . '/ended-' . hash('sha256', $sid);
}

switch ($_SERVER['REQUEST_METHOD'] . ' ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case 'GET /':
        session_start();
        if (isset($_SESSION['sid']) && is_file(ended($_SESSION['sid']))) {
            $_SESSION = [];
        }
        header('Cache-Control: no-store');
        echo '<!doctype html><html lang="en"><title>Catalog</title><main>';
        if (isset($_SESSION['sid'])) {
            [$name, $email] = array_map('htmlspecialchars', [$_SESSION['name'], $_SESSION['email']]);
            echo "<p>Hello $name, <span id=\"email\">$email</span></p><form method=\"post\" action=\"/signout\"><button>Sign out</button></form>";
        } else {
            echo '<p><a href="/signin">Sign in</a></p>';
        }
        echo '</main></html>';
        break;

    case 'GET /signin': // state, nonce and verifier stay with this browser's session: an answer that another one asked for is none
        session_start();
        $_SESSION['begun'] = $begun = ['state' => b64(random_bytes(24)), 'nonce' => b64(random_bytes(24)), 'verifier' => b64(random_bytes(32))];
        redirect(metadata()['authorization_endpoint'] . '?' . http_build_query([
            'response_type' => 'code', 'client_id' => $client, 'redirect_uri' => "$base/callback", 'scope' => SCOPES,
            'state' => $begun['state'], 'nonce' => $begun['nonce'],
            'code_challenge' => b64(hash('sha256', $begun['verifier'], true)), 'code_challenge_method' => 'S256',
        ]));

    case 'GET /callback':
        session_start();
        $begun = $_SESSION['begun'] ?? null;
        unset($_SESSION['begun']);
        if (!$begun || !hash_equals($begun['state'], (string) ($_GET['state'] ?? '')) || ($_GET['iss'] ?? '') !== $issuer) {
            refuse(400, 'This answer is not one to a sign-in that began here. Please begin again.');
        }
        if (isset($_GET['error'])) {
            refuse(403, 'You were not signed in: ' . $_GET['error']);
        }
        $tokens = call(metadata()['token_endpoint'], [
            CURLOPT_USERPWD => rawurlencode($client) . ':' . rawurlencode(getenv('CLIENT_SECRET')),
            CURLOPT_POSTFIELDS => http_build_query([
                'grant_type' => 'authorization_code', 'code' => $_GET['code'] ?? '', 'redirect_uri' => "$base/callback", 'code_verifier' => $begun['verifier'],
            ]),
        ]);
        $claims = verified($tokens['id_token'] ?? '');
        if (!$claims || !hash_equals($begun['nonce'], $claims['nonce'] ?? '')) {
            refuse(502, 'The sign-in could not be finished. Please begin again.');
        }
        $who = call(metadata()['userinfo_endpoint'], [CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . $tokens['access_token']]]);
        if (($who['sub'] ?? '') !== $claims['sub']) { // name and address come from there
            refuse(502, 'The sign-in could not be finished. Please begin again.');
        }
        session_regenerate_id(true); // nobody knew the new one before
        $_SESSION = ['sub' => $claims['sub'], 'sid' => $claims['sid'], 'name' => $who['name'], 'email' => $who['email'], 'id_token' => $tokens['id_token']];
        redirect('/');

    case 'POST /signout': // here first, then at Doorward, which brings the browser back and tells the other applications
        if (($_SERVER['HTTP_ORIGIN'] ?? '') !== $base) {
            refuse(403, 'Only a page of ours signs people out.');
        }
        session_start();
        $hint = $_SESSION['id_token'] ?? null;
        $_SESSION = [];
        session_destroy();
        redirect(metadata()['end_session_endpoint'] . '?' . http_build_query(array_filter([
            'client_id' => $client, 'post_logout_redirect_uri' => "$base/", 'id_token_hint' => $hint,
        ])));

    case 'POST /backchannel-logout': // called by Doorward when a session ended elsewhere (Back-Channel Logout 2.6)
        $claims = verified((string) ($_POST['logout_token'] ?? ''), 'logout+jwt');
        if (!$claims || !isset($claims['events']['http://schemas.openid.net/event/backchannel-logout'], $claims['sid']) || isset($claims['nonce'])) {
            refuse(400, 'not a log-out token');
        }
        touch(ended($claims['sid']));
        header('Cache-Control: no-store');
        break;

    default:
        refuse(404, 'There is no such page.');
}
