// Lets the reference client for Kotlin be graded: does what the sandbox says, with the client's own code.
// Arguments: ADDRESS FOLDER
import java.io.File
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest.BodyPublishers.noBody
import java.net.http.HttpResponse.BodyHandlers.ofString
import java.nio.file.Files
import java.security.KeyPairGenerator
import java.security.spec.ECGenParameterSpec
import javax.crypto.KeyGenerator
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.supervisorScope
import org.json.JSONObject
import ticketgate.Device
import ticketgate.EcKey
import ticketgate.EncryptedFile
import ticketgate.SecureStore
import ticketgate.TicketgateClient
import ticketgate.TicketgateError
import ticketgate.httpTransport

const val READ_SECONDS = 2 // quicker than on a phone

class Killed : RuntimeException()

class Installation(folder: File) {
    private val pair = KeyPairGenerator.getInstance("EC").apply { initialize(ECGenParameterSpec("secp256r1")) }
    private val deviceKey = EcKey(pair.generateKeyPair())
    private val file = EncryptedFile(folder, KeyGenerator.getInstance("AES").generateKey())

    inner class Process {
        @Volatile private var isAlive = true

        private val store = object : SecureStore by file {
            override fun write(text: String) = if (isAlive) file.write(text) else throw Killed()
        }
        private val transport = httpTransport(READ_SECONDS)
        // Two clients share one store, as those of an app and its widget do.
        val clients = List(2) {
            TicketgateClient(baseUrl, Device("android"), { request ->
                try { transport(request) } finally { if (!isAlive) throw Killed() }
            }, store, deviceKey)
        }
        val client = clients.first()

        suspend fun refresh() = client.refresh(client.accessToken())

        fun kill() {
            isAlive = false
        }
    }
}

lateinit var baseUrl: String
lateinit var installation: Installation
lateinit var process: Installation.Process
var killed: Job? = null

suspend fun CoroutineScope.carryOut(instruction: JSONObject) {
    when (instruction.getString("do")) {
        "install" -> {
            installation = Installation(Files.createTempDirectory("phone").toFile())
            process = installation.Process()
        }
        "restart_app" -> {
            killed?.join()
            process = installation.Process()
            process.client.resume()
        }
        "sign_in" -> process.client.signIn(instruction.getString("ext_msg"))
        "call_api" -> List(instruction.optInt("at_once", 1)) {
            async { process.clients[it % 2].call("GET", "/v1/me") }
        }.awaitAll()
        "refresh" -> if (instruction.has("kill_after")) kill(instruction.getDouble("kill_after")) else process.refresh()
        "log_out" -> process.client.logOut()
    }
}

suspend fun CoroutineScope.kill(after: Double) {
    killed = launch { runCatching { process.refresh() } }
    delay((1000 * after).toLong())
    process.kill()
}

fun main(arguments: Array<String>) = runBlocking {
    baseUrl = arguments[0]
    val next = java.net.http.HttpRequest.newBuilder(URI("$baseUrl/sandbox/api/grade/next")).POST(noBody()).build()
    while (true) {
        val instruction = JSONObject(HttpClient.newHttpClient().send(next, ofString()).body())
        if (instruction.getString("do") == "stop") return@runBlocking println(instruction)
        try {
            supervisorScope { carryOut(instruction) }
        } catch (_: TicketgateError) {} // the service sees what the client did
    }
}
