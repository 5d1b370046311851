// An application that leaves signing in to Doorward: the JDK (17 or later) and Gson for JSON. It listens in the clear on
// loopback, behind a proxy that speaks TLS.
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.AlgorithmParameters;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;

public class App {
    record Session(String sub, String sid, String name, String email, String idToken) {}

    /** Something a visitor is told, with its status. */
    static class Refusal extends Exception {
        final int status;

        Refusal(int status, String why) {
            super(why);
            this.status = status;
        }
    }

    static final String ISSUER = System.getenv("ISSUER"), CLIENT = System.getenv("CLIENT_ID"), BASE = System.getenv("BASE_URL");
    static final String EVENT = "http://schemas.openid.net/event/backchannel-logout";
    static final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    static final Map<String, Session> sessions = new ConcurrentHashMap<>(); // yours stand where your sessions are, and end after some hours
    static final Map<String, PublicKey> keys = new HashMap<>();
    static Instant keysRead = Instant.MIN;
    static JsonObject metadata;

    public static void main(String[] args) throws Exception {
        metadata = call(HttpRequest.newBuilder(URI.create(ISSUER + "/.well-known/openid-configuration")));
        if (!ISSUER.equals(metadata.get("issuer").getAsString())) throw new IOException("ISSUER is not the issuer that answers there");
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            try (exchange) {
                serve(exchange);
            } catch (Refusal e) {
                setCookie(exchange, "__Host-signin", "", 0);
                send(exchange, e.status, "text/plain", e.getMessage());
            } catch (Exception e) {
                e.printStackTrace();
                send(exchange, 502, "text/plain", "The sign-in could not be finished. Please begin again.");
            }
        });
        server.start();
    }

    static void serve(HttpExchange x) throws Exception {
        switch (x.getRequestMethod() + " " + x.getRequestURI().getPath()) {
            case "GET /" -> home(x);
            case "GET /signin" -> signIn(x);
            case "GET /callback" -> callback(x);
            case "POST /signout" -> signOut(x);
            case "POST /backchannel-logout" -> backchannel(x);
            default -> throw new Refusal(404, "There is no such page.");
        }
    }

    static void home(HttpExchange x) throws IOException {
        var s = sessions.get(cookie(x, "__Host-invoices"));
        send(x, 200, "text/html", "<!doctype html><html lang=\"en\"><title>Invoices</title><main>" + (s == null ? "<p><a href=\"/signin\">Sign in</a></p>"
            : "<p>Hello " + html(s.name) + ", <span id=\"email\">" + html(s.email) + "</span></p><form method=\"post\" action=\"/signout\"><button>Sign out</button></form>")
            + "</main></html>");
    }

    /** state, nonce and PKCE verifier stay with the browser that begins: an answer that another browser asked for is none. */
    static void signIn(HttpExchange x) throws Exception {
        String state = random(), nonce = random(), verifier = random();
        setCookie(x, "__Host-signin", state + "." + nonce + "." + verifier, 3600);
        var challenge = encode(MessageDigest.getInstance("SHA-256").digest(verifier.getBytes(StandardCharsets.US_ASCII)));
        redirect(x, endpoint("authorization_endpoint") + "?" + form(Map.of(
            "response_type", "code", "client_id", CLIENT, "redirect_uri", BASE + "/callback", "scope", "openid profile email",
            "state", state, "nonce", nonce, "code_challenge", challenge, "code_challenge_method", "S256")));
    }

    static void callback(HttpExchange x) throws Exception {
        var answer = parse(x.getRequestURI().getRawQuery());
        var begun = cookie(x, "__Host-signin").split("\\.");
        if (begun.length != 3 || !begun[0].equals(answer.get("state")) || !ISSUER.equals(answer.get("iss"))) {
            throw new Refusal(400, "This answer is not one to a sign-in that began here. Please begin again.");
        }
        if (answer.containsKey("error")) throw new Refusal(403, "You were not signed in: " + answer.get("error"));
        var basic = Base64.getEncoder().encodeToString((quote(CLIENT) + ":" + quote(System.getenv("CLIENT_SECRET"))).getBytes(StandardCharsets.US_ASCII));
        var tokens = call(HttpRequest.newBuilder(URI.create(endpoint("token_endpoint"))).header("Authorization", "Basic " + basic)
            .header("Content-Type", "application/x-www-form-urlencoded").POST(HttpRequest.BodyPublishers.ofString(form(Map.of(
                "grant_type", "authorization_code", "code", answer.getOrDefault("code", ""), "redirect_uri", BASE + "/callback", "code_verifier", begun[2])))));
        var raw = tokens.get("id_token").getAsString();
        var claims = verified(raw, null);
        if (claims == null || !begun[1].equals(text(claims, "nonce"))) throw new IOException("ID token refused");
        var who = call(HttpRequest.newBuilder(URI.create(endpoint("userinfo_endpoint"))).header("Authorization", "Bearer " + tokens.get("access_token").getAsString()));
        if (!text(who, "sub").equals(text(claims, "sub"))) throw new IOException("userinfo speaks of somebody else"); // name and address come from there
        var id = random();
        sessions.put(id, new Session(text(claims, "sub"), text(claims, "sid"), text(who, "name"), text(who, "email"), raw));
        setCookie(x, "__Host-signin", "", 0);
        setCookie(x, "__Host-invoices", id, -1);
        redirect(x, "/");
    }

    /** Ends the session here, then at Doorward, which brings the browser back and tells the other applications. */
    static void signOut(HttpExchange x) throws Exception {
        if (!BASE.equals(x.getRequestHeaders().getFirst("Origin"))) throw new Refusal(403, "Only a page of ours signs people out.");
        var to = new HashMap<>(Map.of("client_id", CLIENT, "post_logout_redirect_uri", BASE + "/"));
        var s = sessions.remove(cookie(x, "__Host-invoices"));
        if (s != null) to.put("id_token_hint", s.idToken);
        setCookie(x, "__Host-invoices", "", 0);
        redirect(x, endpoint("end_session_endpoint") + "?" + form(to));
    }

    /** Called by Doorward when a session ended elsewhere (OpenID Connect Back-Channel Logout 2.6). */
    static void backchannel(HttpExchange x) throws Exception {
        var body = new String(x.getRequestBody().readNBytes(20_000), StandardCharsets.UTF_8);
        var claims = verified(parse(body).getOrDefault("logout_token", ""), "logout+jwt");
        if (claims == null || claims.has("nonce") || !claims.has("sid") || !(claims.get("events") instanceof JsonObject e && e.has(EVENT))) {
            throw new Refusal(400, "not a log-out token");
        }
        sessions.values().removeIf(s -> s.sid.equals(text(claims, "sid")));
        send(x, 200, "text/plain", "");
    }

    /** The claims of a token that Doorward signed for this application and that has not expired, else null. */
    static JsonObject verified(String token, String type) {
        try {
            var parts = token.split("\\.", -1);
            var head = JsonParser.parseString(new String(decode(parts[0]), StandardCharsets.UTF_8)).getAsJsonObject();
            if (parts.length != 3 || !"ES256".equals(text(head, "alg")) || type != null && !type.equals(text(head, "typ"))) return null;
            var signature = Signature.getInstance("SHA256withECDSAinP1363Format");
            signature.initVerify(key(text(head, "kid")));
            signature.update((parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII));
            if (!signature.verify(decode(parts[2]))) return null;
            var claims = JsonParser.parseString(new String(decode(parts[1]), StandardCharsets.UTF_8)).getAsJsonObject();
            var audience = claims.get("aud");
            var ours = audience.isJsonArray() ? audience.getAsJsonArray().size() == 1 && CLIENT.equals(audience.getAsJsonArray().get(0).getAsString())
                : CLIENT.equals(audience.getAsString());
            return ours && ISSUER.equals(text(claims, "iss")) && claims.get("exp").getAsLong() > Instant.now().getEpochSecond() ? claims : null;
        } catch (Exception e) {
            return null;
        }
    }

    /** A key of the provider. They are read again for one that is not known, at most once a minute: anybody can make names up. */
    static synchronized PublicKey key(String kid) throws Exception {
        if (!keys.containsKey(kid) && keysRead.isBefore(Instant.now().minusSeconds(60))) {
            keysRead = Instant.now();
            var parameters = AlgorithmParameters.getInstance("EC");
            parameters.init(new ECGenParameterSpec("secp256r1"));
            var curve = parameters.getParameterSpec(ECParameterSpec.class);
            var published = call(HttpRequest.newBuilder(URI.create(endpoint("jwks_uri")))).getAsJsonArray("keys");
            keys.clear();
            for (JsonElement e : published) {
                var k = e.getAsJsonObject();
                if (!"P-256".equals(text(k, "crv"))) continue;
                var point = new ECPoint(new BigInteger(1, decode(text(k, "x"))), new BigInteger(1, decode(text(k, "y"))));
                keys.put(text(k, "kid"), KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(point, curve)));
            }
        }
        return keys.get(kid);
    }

    static JsonObject call(HttpRequest.Builder request) throws Exception {
        var answer = http.send(request.timeout(Duration.ofSeconds(10)).build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) throw new IOException(answer.uri() + ": " + answer.statusCode() + " " + answer.body());
        return JsonParser.parseString(answer.body()).getAsJsonObject();
    }

    static String endpoint(String name) {
        return metadata.get(name).getAsString();
    }

    static String text(JsonObject o, String name) {
        return o.has(name) ? o.get(name).getAsString() : "";
    }

    static String random() {
        var bytes = new byte[32];
        new SecureRandom().nextBytes(bytes);
        return encode(bytes);
    }

    static String encode(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    static byte[] decode(String text) {
        return Base64.getUrlDecoder().decode(text);
    }

    static String quote(String s) {
        return URLEncoder.encode(s, StandardCharsets.UTF_8);
    }

    static String form(Map<String, String> values) {
        return values.entrySet().stream().map(e -> quote(e.getKey()) + "=" + quote(e.getValue())).reduce((a, b) -> a + "&" + b).orElse("");
    }

    static Map<String, String> parse(String form) {
        var values = new HashMap<String, String>();
        for (var pair : (form == null ? "" : form).split("&")) {
            var at = pair.indexOf('=');
            if (at > 0) values.put(URLDecoder.decode(pair.substring(0, at), StandardCharsets.UTF_8), URLDecoder.decode(pair.substring(at + 1), StandardCharsets.UTF_8));
        }
        return values;
    }

    static String html(String s) {
        return s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }

    static String cookie(HttpExchange x, String name) {
        for (var header : x.getRequestHeaders().getOrDefault("Cookie", java.util.List.of())) {
            for (var c : header.split("; *")) if (c.startsWith(name + "=")) return c.substring(name.length() + 1);
        }
        return "";
    }

    static void setCookie(HttpExchange x, String name, String value, int age) {
        x.getResponseHeaders().add("Set-Cookie", name + "=" + value + "; Path=/; Secure; HttpOnly; SameSite=Lax" + (age < 0 ? "" : "; Max-Age=" + age));
    }

    static void redirect(HttpExchange x, String to) throws IOException {
        x.getResponseHeaders().set("Location", to);
        send(x, 303, "text/plain", "");
    }

    static void send(HttpExchange x, int status, String type, String body) throws IOException {
        var bytes = body.getBytes(StandardCharsets.UTF_8);
        x.getResponseHeaders().set("Content-Type", type + "; charset=utf-8");
        x.getResponseHeaders().set("Cache-Control", "no-store");
        x.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        x.getResponseBody().write(bytes);
    }
}
