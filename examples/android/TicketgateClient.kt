/** The app's side of Ticketgate, without third-party network code. docs/mobile.md has the reason of each rule. */
package ticketgate

import java.io.IOException
import java.util.Base64
import java.util.UUID
import kotlin.math.pow
import kotlin.random.Random
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import org.json.JSONException
import org.json.JSONObject

private val NO_RESPONSE = HttpResponse(0, emptyMap(), "")
private val SIGNED_OUT = HttpResponse(0, emptyMap(), """{"code": "signed_out", "client_action": "relaunch_wechat"}""")
private const val ATTEMPTS = 3

/** `baseUrl` is SESSION_ISSUER of the service, without a slash at the end. */
class TicketgateClient(
    private val baseUrl: String,
    private val device: Device,
    private val transport: Transport,
    private val store: SecureStore,
    private val deviceKey: DeviceKey?,
) {
    // A login or a refresh goes on when the screen that asked for it has gone.
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.IO)
    private val mutex = Mutex()
    @Volatile private var nonce: String? = null
    @Volatile private var refreshAt = Long.MAX_VALUE // after a restart, a 401 says that it is time
    private var refreshing: Deferred<String>? = null

    /** What the WeChat SDK gets, unchanged. */
    suspend fun launchRequest(platform: String = "android"): LaunchRequest =
        attempt(HttpRequest("GET", "$baseUrl/v1/launch?platform=$platform", emptyMap())) {
            val launch = JSONObject(it.body)
            LaunchRequest(launch.getString("user_name"), launch.getString("path"), launch.getInt("mini_program_type"))
        }

    suspend fun isSignedIn(): Boolean = withContext(Dispatchers.IO) { read().has("tokens") }

    /** Signs in with the `extMsg` that WeChat returned, and gives the user. */
    suspend fun signIn(extMsg: String): JSONObject {
        val login = JSONObject().put("ext_msg", extMsg).put("key", newKey())
        exclusively { store.write(it.put("login", login).toString()) }
        return resume()!!
    }

    /** Finishes a login or a log-out that was interrupted. Call it at each start and for "try again". */
    suspend fun resume(): JSONObject? {
        exclusively { reportLogOut(it) }
        return exclusively { logIn(it) }
    }

    /** The access token, after a refresh if it is time for one. */
    suspend fun accessToken(): String = withContext(Dispatchers.IO) {
        val token = accessTokenOf(read()) ?: throw TicketgateError(SIGNED_OUT)
        if (System.nanoTime() < refreshAt) return@withContext token
        try {
            refresh(token)
        } catch (error: TicketgateError) {
            if (!error.isTemporary) throw error
            refreshAt = secondsFromNow(60)
            token // is good for some minutes yet
        }
    }

    /** An access token other than `rejected`. All callers share one refresh. */
    suspend fun refresh(rejected: String): String = synchronized(this) {
        refreshing?.takeIf { it.isActive }
            ?: scope.async { exclusively { refresh(rejected, it) } }.also { refreshing = it }
    }.await()

    /** Sends a request with the access token: to a path of the service, or to a URL of your own API. */
    suspend fun call(method: String, target: String, body: JSONObject? = null): HttpResponse {
        val token = accessToken()
        return try {
            authorized(method, target, body, token)
        } catch (error: TicketgateError) {
            if (error.action == "refresh") return authorized(method, target, body, refresh(token))
            if (error.isEnd && target.startsWith("/")) exclusively { end(it, token) }
            throw error
        }
    }

    /** Signs out: here at once, at the service as soon as it can be reached. */
    suspend fun logOut() {
        exclusively {
            val ended = it.opt("tokens") ?: it.opt("ended")
            store.write(JSONObject().put("ended", ended).toString())
        }
        resume()
    }

    private suspend fun logIn(state: JSONObject): JSONObject? {
        val login = state.optJSONObject("login") ?: return null
        val body = JSONObject().put("ext_msg", login.getString("ext_msg")).put("device", deviceJson())
        try {
            return tokens("/v1/sessions", body, login.getString("key")).getJSONObject("user")
        } catch (error: TicketgateError) {
            if (!error.isTemporary) remove(state, "login")
            throw error
        }
    }

    private suspend fun refresh(rejected: String, state: JSONObject): String {
        val token = accessTokenOf(state) ?: throw TicketgateError(SIGNED_OUT)
        if (token != rejected) return token // another process did it
        val body = JSONObject().put("refresh_token", state.getJSONObject("tokens").getString("refresh_token"))
        try {
            return tokens("/v1/sessions/refresh", body, state.getString("key")).getString("access_token")
        } catch (error: TicketgateError) {
            if (error.isEnd) end(state, rejected)
            throw error
        }
    }

    /** Gets tokens. Stores them with the key of their refresh before anything uses them. */
    private suspend fun tokens(path: String, body: JSONObject, key: String): JSONObject {
        val headers = mapOf("Content-Type" to "application/json", "Idempotency-Key" to key)
        val tokens = attempt(HttpRequest("POST", baseUrl + path, headers, body.toString()), proven = true) {
            JSONObject(it.body).apply { getString("access_token"); getString("refresh_token"); getJSONObject("user") }
        }
        val state = JSONObject().put("ended", read().opt("ended")).put("tokens", tokens).put("key", newKey())
        store.write(state.toString())
        refreshAt = secondsFromNow(tokens.optLong("refresh_after"))
        return tokens
    }

    private suspend fun authorized(method: String, target: String, body: JSONObject?, token: String): HttpResponse {
        val url = if (target.startsWith("/")) baseUrl + target else target
        val headers = mapOf("Content-Type" to "application/json", "Authorization" to "Bearer $token")
        val attempts = if (method == "POST" || method == "PATCH") 1 else ATTEMPTS
        return attempt(HttpRequest(method, url, headers, body?.toString()), attempts) { it }
    }

    /** Ends a session at the service; by its refresh token if its access token has expired. */
    private suspend fun reportLogOut(state: JSONObject) {
        val ended = state.optJSONObject("ended") ?: return
        val bearer = mapOf("Authorization" to "Bearer ${ended.getString("access_token")}")
        var error = failure(HttpRequest("DELETE", "$baseUrl/v1/sessions/current", bearer))
        if (error?.action == "refresh") {
            val form = mapOf("Content-Type" to "application/x-www-form-urlencoded")
            val token = "token=${ended.getString("refresh_token")}"
            error = failure(HttpRequest("POST", "$baseUrl/oauth2/revoke", form, token))
        }
        if (error?.isTemporary != true) remove(state, "ended")
    }

    private suspend fun failure(request: HttpRequest): TicketgateError? =
        try { attempt(request) { null } } catch (error: TicketgateError) { error }

    private fun end(state: JSONObject, token: String) {
        if (accessTokenOf(state) == token) remove(state, "tokens")
    }

    private fun remove(state: JSONObject, name: String) = store.write(state.apply { remove(name) }.toString())

    /** Repeats the request, with a new proof each time if `proven`. A JSONException of `read` is a lost response. */
    private suspend fun <T> attempt(
        request: HttpRequest, attempts: Int = ATTEMPTS, proven: Boolean = false, read: (HttpResponse) -> T,
    ): T {
        var attempt = 1
        var proofs = 1
        while (true) {
            val response = withContext(Dispatchers.IO) { send(request, deviceKey.takeIf { proven }) }
            nonce = response.headers["dpop-nonce"] ?: nonce
            if (response.status in 200..299) try {
                return read(response)
            } catch (_: JSONException) {} // the page of a proxy
            val error = TicketgateError(response)
            if (error.code == "proof_invalid" && proofs++ < ATTEMPTS) continue // at once, with the new nonce
            if (!error.isTemporary || attempt >= attempts) throw error
            delay(pause(error, attempt++))
        }
    }

    private fun send(request: HttpRequest, key: DeviceKey?): HttpResponse {
        val proof = if (key == null) emptyMap() else mapOf("DPoP" to proof(key, request))
        return try {
            transport(HttpRequest(request.method, request.url, request.headers + proof, request.body))
        } catch (_: IOException) {
            NO_RESPONSE
        }
    }

    /** RFC 9449 section 4.2. The service looks at the nonce, so the clock of the phone may be wrong. */
    private fun proof(key: DeviceKey, request: HttpRequest): String {
        val jwk = JSONObject().put("kty", "EC").put("crv", "P-256")
            .put("x", base64url(key.publicKey.copyOf(32))).put("y", base64url(key.publicKey.copyOfRange(32, 64)))
        val header = JSONObject().put("typ", "dpop+jwt").put("alg", "ES256").put("jwk", jwk)
        val claims = JSONObject().put("jti", newKey()).put("htm", request.method).put("htu", request.url)
            .put("iat", System.currentTimeMillis() / 1000).put("nonce", nonce)
        val signed = listOf(header, claims).joinToString(".") { base64url(it.toString().toByteArray()) }
        return "$signed.${base64url(key.sign(signed.toByteArray()))}"
    }

    /** Runs `work` alone: after the earlier work of this client, while no other process has the lock. */
    private suspend fun <T> exclusively(work: suspend (JSONObject) -> T): T =
        scope.async { mutex.withLock { store.lock().use { work(read()) } } }.await()

    private fun read(): JSONObject = parsed(store.read() ?: "")

    private fun deviceJson() = JSONObject().put("id", device.id).put("type", device.type)
        .put("name", device.name).put("app_version", device.appVersion)
}

private fun accessTokenOf(state: JSONObject): String? = state.optJSONObject("tokens")?.getString("access_token")

private fun newKey() = UUID.randomUUID().toString()

private fun secondsFromNow(seconds: Long) = System.nanoTime() + seconds * 1_000_000_000

/** Milliseconds: 1, 2, 4 s, each ± 50 %; or what the service asks for and up to 50 % more. */
private fun pause(error: TicketgateError, attempt: Int): Long {
    val spread = Random.nextDouble()
    val asked = error.retryAfter * (1 + spread / 2)
    return (1000 * if (asked > 0) asked else 2.0.pow(attempt - 1) * (0.5 + spread)).toLong()
}

private fun base64url(data: ByteArray): String = Base64.getUrlEncoder().withoutPadding().encodeToString(data)
