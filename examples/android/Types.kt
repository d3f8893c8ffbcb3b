package ticketgate

import org.json.JSONException
import org.json.JSONObject

class HttpRequest(val method: String, val url: String, val headers: Map<String, String>, val body: String? = null)

/** Names of headers are in lower case. */
class HttpResponse(val status: Int, val headers: Map<String, String>, val body: String)

/** Sends a request once. Throws IOException when no whole response has arrived. It may block. */
typealias Transport = (HttpRequest) -> HttpResponse

/** One text that survives the end of the app, where no backup and no other app can read it. */
interface SecureStore {
    fun read(): String?

    fun write(text: String)

    /** Waits until no other process of this app has the lock. Closing gives it back. */
    fun lock(): AutoCloseable
}

/** A P-256 key that cannot leave the phone. */
interface DeviceKey {
    /** x and y, 32 bytes each. */
    val publicKey: ByteArray

    /** The 64 bytes of ES256. */
    fun sign(data: ByteArray): ByteArray
}

class Device(val id: String, val type: String = "android", val name: String? = null, val appVersion: String? = null)

class LaunchRequest(val userName: String, val path: String, val miniProgramType: Int)

private val ACTIONS = setOf("retry", "retry_after", "refresh", "relaunch_wechat", "contact_support", "none")

/** An error of the service, or no response (status 0). `action` says what the app does now. */
class TicketgateError private constructor(val response: HttpResponse, problem: JSONObject) :
    Exception(problem.optString("detail", "HTTP ${response.status}")) {
    val code: String = problem.optString("code", "unknown")
    val action: String = problem.optString("client_action").takeIf { it in ACTIONS }
        ?: if (response.status == 401) "refresh" else "retry"
    /** Why the session is over. */
    val reason: String? = problem.optString("reason").ifEmpty { null }
    /** The service says that the session is over. */
    val isEnd = problem.opt("session_alive") == false
    val retryAfter = problem.optDouble("retry_after", response.headers["retry-after"]?.toDoubleOrNull() ?: 0.0)
    /** The same request may succeed later. */
    val isTemporary = action == "retry" || action == "retry_after"

    constructor(response: HttpResponse) : this(response, parsed(response.body))
}

internal fun parsed(text: String): JSONObject = try { JSONObject(text) } catch (_: JSONException) { JSONObject() }
