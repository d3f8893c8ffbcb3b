/** What the client needs of the JDK: HTTP, an encrypted file, a signing key. Keystore.kt makes the keys on Android. */
package ticketgate

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.RandomAccessFile
import java.net.HttpURLConnection
import java.net.URL
import java.security.KeyPair
import java.security.Signature
import java.util.concurrent.Semaphore
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

private const val IV = 12
private const val TAG_BITS = 128
private val oneClient = Semaphore(1) // a process cannot lock a file twice

/** Sends with HttpURLConnection: no redirects, no cache, and no second attempt of its own. */
fun httpTransport(readSeconds: Int = 10): Transport = { request ->
    val connection = URL(request.url).openConnection() as HttpURLConnection
    try {
        connection.requestMethod = request.method
        connection.instanceFollowRedirects = false
        connection.useCaches = false
        connection.connectTimeout = 5_000
        connection.readTimeout = 1_000 * readSeconds
        request.headers.forEach(connection::setRequestProperty)
        if (request.method != "GET") {
            val body = request.body.orEmpty().toByteArray()
            connection.doOutput = true
            connection.setFixedLengthStreamingMode(body.size) // otherwise a lost POST is sent twice, unseen
            connection.outputStream.use { it.write(body) }
        }
        val status = connection.responseCode
        if (status < 0) throw IOException("no HTTP response")
        val stream = if (status < 400) connection.inputStream else connection.errorStream
        val headers = connection.headerFields.filterKeys { it != null }.map { it.key.lowercase() to it.value.last() }
        HttpResponse(status, headers.toMap(), stream?.use { it.readBytes().decodeToString() } ?: "")
    } finally {
        connection.disconnect()
    }
}

/** A file that is encrypted by a key of the Keystore. `folder` is Context.noBackupFilesDir. */
class EncryptedFile(private val folder: File, private val key: SecretKey) : SecureStore {
    private val file = File(folder, "ticketgate")

    /** null as well if the file comes from another phone, whose key is not here. */
    override fun read(): String? {
        if (!file.exists()) return null
        val bytes = file.readBytes()
        val cipher = cipher().apply { init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, bytes, 0, IV)) }
        return try {
            cipher.doFinal(bytes, IV, bytes.size - IV).decodeToString()
        } catch (_: AEADBadTagException) {
            null
        }
    }

    override fun write(text: String) {
        val cipher = cipher().apply { init(Cipher.ENCRYPT_MODE, key) }
        val new = File(folder, "ticketgate.new")
        FileOutputStream(new).use {
            it.write(cipher.iv + cipher.doFinal(text.toByteArray()))
            it.fd.sync()
        }
        if (!new.renameTo(file)) throw IOException("cannot store the tokens")
    }

    override fun lock(): AutoCloseable {
        oneClient.acquire()
        try {
            val file = RandomAccessFile(File(folder, "ticketgate.lock"), "rw").apply { channel.lock() }
            return AutoCloseable { file.close(); oneClient.release() }
        } catch (error: IOException) {
            oneClient.release()
            throw error
        }
    }

    private fun cipher() = Cipher.getInstance("AES/GCM/NoPadding")
}

/** A P-256 key of the JCA. Its signatures are DER; ES256 needs two numbers of 32 bytes (RFC 7518 section 3.4). */
class EcKey(private val pair: KeyPair) : DeviceKey {
    override val publicKey: ByteArray = pair.public.encoded.let { it.copyOfRange(it.size - 64, it.size) }

    override fun sign(data: ByteArray): ByteArray {
        val der = Signature.getInstance("SHA256withECDSA").run { initSign(pair.private); update(data); sign() }
        val end = 4 + der[3]
        return fixed(der.copyOfRange(4, end)) + fixed(der.copyOfRange(end + 2, der.size))
    }

    private fun fixed(number: ByteArray): ByteArray =
        (ByteArray(32) + number).let { it.copyOfRange(it.size - 32, it.size) }
}
