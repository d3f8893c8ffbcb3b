// Verifies access tokens of Ticketgate with nothing but the JDK (17 or newer), for ES256:
// `java Verify.java < tokens`. Prints `accept SUB SID`, `refuse REASON` or `unavailable` a line.
// If your build has Nimbus JOSE + JWT, use its JWKSourceBuilder and DefaultJWTProcessor instead.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.*;
import java.math.BigInteger;
import java.net.*;
import java.net.http.*;
import java.security.*;
import java.security.spec.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.*;

public class Verify {
    static final long CLOCK_SKEW = 30, COOLDOWN = 10_000;
    static final Map<String, String> ENV = System.getenv();
    static final String ISSUER = ENV.get("ISSUER"), AUDIENCE = ENV.getOrDefault("AUDIENCE", ISSUER);
    static final String JWKS_URL = ENV.getOrDefault("JWKS_URL", ISSUER + "/.well-known/jwks.json");
    static final HttpClient HTTP =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();
    static final Pattern MAX_AGE = Pattern.compile("max-age=(\\d+)");
    static final Pattern OBJECT = Pattern.compile("\\{[^{}]*\\}");
    // A member whose value is a string without escapes or a whole number: Ticketgate writes no other.
    static final Pattern MEMBER = Pattern.compile(
            "[{,]\\s*\"(\\w+)\"\\s*:\\s*(?:\"([^\"\\\\]*)\"|(\\d{1,15}))\\s*(?=[,}])");

    static final String FEED_URL = ENV.get("REVOCATIONS_URL");
    static final Map<String, Long> revoked = new ConcurrentHashMap<>(); // sessions until their expires_at
    static String cursor = "";
    static volatile Map<String, PublicKey> keys = Map.of();
    static volatile long staleAt, unknownAfter;

    static class Refused extends Exception {
        Refused(String reason) { super(reason); }
    }

    /** Returns the claims. Answer 401 to Refused; its text is for your log. 503 without keys. */
    static Map<String, Object> verify(String token) throws Refused {
        try {
            String[] parts = token.split("\\.", -1);
            if (parts.length != 3) throw new Refused("form");
            Map<String, Object> header = members(decoded(parts[0]));
            require("ES256".equals(header.get("alg")) && "at+jwt".equals(header.get("typ")), "alg or typ");
            PublicKey key = find(String.valueOf(header.get("kid")));
            require(key != null, "kid");
            Signature signature = Signature.getInstance("SHA256withECDSAinP1363Format");
            signature.initVerify(key);
            signature.update((parts[0] + "." + parts[1]).getBytes(UTF_8));
            require(signature.verify(Base64.getUrlDecoder().decode(parts[2])), "signature");
            Map<String, Object> claims = members(decoded(parts[1]));
            require(ISSUER.equals(claims.get("iss")) && AUDIENCE.equals(claims.get("aud")), "iss or aud");
            require(claims.containsKey("sub") && claims.containsKey("sid"), "sub or sid");
            long now = System.currentTimeMillis() / 1000;
            // Without leeway: the revocation feed forgets the session then.
            require(claims.get("exp") instanceof Long exp && exp > now, "exp");
            require(claims.get("iat") instanceof Long iat && iat <= now + CLOCK_SKEW, "iat");
            require(!revoked.containsKey((String) claims.get("sid")), "revoked");
            return claims;
        } catch (GeneralSecurityException | IllegalArgumentException error) {
            throw new Refused(error.toString());
        }
    }

    static void require(boolean condition, String otherwise) throws Refused {
        if (!condition) throw new Refused(otherwise);
    }

    static String decoded(String part) {
        return new String(Base64.getUrlDecoder().decode(part), UTF_8);
    }

    static Map<String, Object> members(String json) {
        Map<String, Object> found = new HashMap<>();
        for (Matcher m = MEMBER.matcher(json); m.find(); )
            found.put(m.group(1), m.group(2) != null ? m.group(2) : Long.valueOf(m.group(3)));
        return found;
    }

    /** Finds a key. A fetch that fails keeps the old keys; an unknown kid causes one fetch. */
    static PublicKey find(String kid) {
        if (System.currentTimeMillis() >= staleAt) fetch();
        synchronized (Verify.class) {
            if (!keys.containsKey(kid) && System.currentTimeMillis() >= unknownAfter) {
                fetch();
                unknownAfter = System.currentTimeMillis() + COOLDOWN;
            }
        }
        return keys.get(kid);
    }

    static void fetch() {
        staleAt = System.currentTimeMillis() + COOLDOWN; // meanwhile others use the old keys
        try {
            HttpResponse<String> response = get(HttpRequest.newBuilder(URI.create(JWKS_URL)));
            Map<String, PublicKey> fetched = new HashMap<>();
            for (Matcher m = OBJECT.matcher(response.body()); m.find(); ) {
                Map<String, Object> jwk = members(m.group());
                if ("ES256".equals(jwk.get("alg"))) fetched.put((String) jwk.get("kid"), publicKey(jwk));
            }
            Matcher maxAge = MAX_AGE.matcher(response.headers().firstValue("Cache-Control").orElse(""));
            keys = fetched.isEmpty() ? keys : fetched;
            staleAt = System.currentTimeMillis() + (maxAge.find() ? 1000 * Long.parseLong(maxAge.group(1)) : COOLDOWN);
        } catch (IOException | InterruptedException | GeneralSecurityException | RuntimeException error) {
            System.err.println("the JWKS cannot be fetched: " + error);
        }
    }

    static HttpResponse<String> get(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<String> response =
                HTTP.send(request.timeout(Duration.ofSeconds(2)).build(), HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) throw new IOException("status " + response.statusCode());
        return response;
    }

    /** Asks the revocation feed once; returns the seconds until the next time (0: there is more). */
    static long poll() throws InterruptedException {
        try {
            URI uri = URI.create(FEED_URL + "?after=" + URLEncoder.encode(cursor, UTF_8));
            String bearer = "Bearer " + ENV.get("SERVICE_API_KEY");
            String page = get(HttpRequest.newBuilder(uri).header("Authorization", bearer)).body();
            for (Matcher m = OBJECT.matcher(page); m.find(); ) {
                Map<String, Object> event = members(m.group());
                revoked.put((String) event.get("sid"), (Long) event.get("expires_at"));
            }
            revoked.values().removeIf(expiresAt -> expiresAt <= System.currentTimeMillis() / 1000);
            Map<String, Object> around = members(OBJECT.matcher(page).replaceAll("0"));
            cursor = (String) around.get("cursor");
            return (Long) around.get("poll_after");
        } catch (IOException | RuntimeException error) { // what is known stays in force
            System.err.println("the revocation feed cannot be followed: " + error);
            return 1;
        }
    }

    static void follow() {
        try {
            for (long pause = poll(); ; pause = poll()) Thread.sleep(1000 * pause);
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }

    static PublicKey publicKey(Map<String, Object> jwk) throws GeneralSecurityException {
        AlgorithmParameters curve = AlgorithmParameters.getInstance("EC");
        curve.init(new ECGenParameterSpec("secp256r1"));
        ECPoint point = new ECPoint(coordinate(jwk.get("x")), coordinate(jwk.get("y")));
        ECParameterSpec parameters = curve.getParameterSpec(ECParameterSpec.class);
        return KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(point, parameters));
    }

    static BigInteger coordinate(Object base64url) {
        return new BigInteger(1, Base64.getUrlDecoder().decode((String) base64url));
    }

    public static void main(String[] arguments) throws Exception {
        if (FEED_URL != null) {
            while (poll() == 0); // all that has ended so far, before the first verdict
            Thread follower = new Thread(Verify::follow);
            follower.setDaemon(true);
            follower.start();
        }
        BufferedReader tokens = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String token; (token = tokens.readLine()) != null; ) {
            try {
                Map<String, Object> claims = verify(token);
                System.out.println("accept " + claims.get("sub") + " " + claims.get("sid"));
            } catch (Refused reason) {
                System.out.println(keys.isEmpty() ? "unavailable" : "refuse " + reason.getMessage());
            }
        }
    }
}
