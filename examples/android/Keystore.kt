/** The keys of Platform.kt in the Android Keystore. Neither leaves the phone, and neither asks the user. */
package ticketgate

import android.content.Context
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.PrivateKey
import java.security.spec.ECGenParameterSpec
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey

private const val PROVIDER = "AndroidKeyStore"
private const val STORE_KEY = "ticketgate-store"
private const val DEVICE_KEY = "ticketgate-device"

/** Backups and transfers to another phone leave out `noBackupFilesDir`. */
fun keystoreFile(context: Context): EncryptedFile = EncryptedFile(context.noBackupFilesDir, storeKey())

fun keystoreDeviceKey(): DeviceKey {
    val keys = KeyStore.getInstance(PROVIDER).apply { load(null) }
    val private = keys.getKey(DEVICE_KEY, null) ?: return EcKey(newDeviceKey())
    return EcKey(KeyPair(keys.getCertificate(DEVICE_KEY).publicKey, private as PrivateKey))
}

private fun storeKey(): SecretKey {
    val keys = KeyStore.getInstance(PROVIDER).apply { load(null) }
    return keys.getKey(STORE_KEY, null) as SecretKey? ?: KeyGenerator.getInstance("AES", PROVIDER).run {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        init(
            KeyGenParameterSpec.Builder(STORE_KEY, purposes)
                .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
                .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
                .build(),
        )
        generateKey()
    }
}

private fun newDeviceKey(): KeyPair =
    try {
        newDeviceKey(strongBox = true)
    } catch (_: StrongBoxUnavailableException) {
        newDeviceKey(strongBox = false)
    }

private fun newDeviceKey(strongBox: Boolean): KeyPair = KeyPairGenerator.getInstance("EC", PROVIDER).run {
    initialize(
        KeyGenParameterSpec.Builder(DEVICE_KEY, KeyProperties.PURPOSE_SIGN)
            .setAlgorithmParameterSpec(ECGenParameterSpec("secp256r1"))
            .setDigests(KeyProperties.DIGEST_SHA256)
            .setIsStrongBoxBacked(strongBox)
            .build(),
    )
    generateKeyPair()
}
